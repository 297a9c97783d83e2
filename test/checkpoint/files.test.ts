/** The three sources of bytes keep one contract; the web one also survives what servers do. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { blobFiles } from "../../src/checkpoint/blobs.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { type CheckpointFiles, readJson } from "../../src/checkpoint/files.ts";
import { type HttpOptions, httpFiles } from "../../src/checkpoint/http.ts";
import { openFiles } from "../../src/node-files.ts";
import { failure } from "./fixtures.ts";

const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => (index * 7) % 251);
const contents: Record<string, Uint8Array<ArrayBuffer>> = {
  "data.bin": bytes,
  "empty.bin": new Uint8Array(0),
  "bad.json": new TextEncoder().encode("{"),
};

const directory = mkdtempSync(join(tmpdir(), "glimt-files-"));
for (const [name, content] of Object.entries(contents)) writeFileSync(join(directory, name), content);
test.after(() => rmSync(directory, { recursive: true }));

/** Serves `contents` with ranges, as a plain file server does. */
const fileServer: RequestListener = (request, response) => {
  const content = contents[decodeURIComponent((request.url ?? "").split("?")[0]?.slice(1) ?? "")];
  if (!content) return response.writeHead(404).end("no such file");
  const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "");
  if (!range) {
    response.writeHead(200, { "content-length": content.length });
    return response.end(request.method === "HEAD" ? undefined : content);
  }
  const [first, last] = [Number(range[1]), Math.min(Number(range[2]), content.length - 1)];
  if (first >= content.length) return response.writeHead(416).end();
  response.writeHead(206, { "content-range": `bytes ${first}-${last}/${content.length}` });
  return response.end(content.subarray(first, last + 1));
};

async function withServer<T>(listener: RequestListener, use: (url: string) => Promise<T>): Promise<T> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const quick: HttpOptions = { retryDelay: 1 };

async function contract(files: CheckpointFiles): Promise<void> {
  assert.is(await files.size("data.bin"), bytes.length);
  assert.is(await files.size("empty.bin"), 0);
  assert.is(await files.size("absent.bin"), null);
  assert.equal(new Uint8Array((await files.readAll("data.bin")) as Uint8Array), bytes);
  assert.is(await files.readAll("absent.bin"), null);
  const into = new Uint8Array(5000).fill(99);
  await files.readInto("data.bin", 1234, into.subarray(10, 4010));
  assert.equal(into.subarray(10, 4010), bytes.subarray(1234, 5234));
  assert.ok([...into.subarray(0, 10), ...into.subarray(4010)].every((byte) => byte === 99));
  await files.readInto("data.bin", 0, new Uint8Array(0));
  const past = await failure(() => files.readInto("data.bin", bytes.length - 3, new Uint8Array(10)));
  assert.is(past.code, "CHECKPOINT_INVALID");
  assert.match(past.message, "data.bin");
  assert.is(await readJson(files, "absent.json"), undefined);
  const json = await failure(() => readJson(files, "bad.json"));
  assert.is(json.code, "CHECKPOINT_INVALID");
  assert.match(json.message, "bad.json");
  const aborted = await failure(() => files.readInto("data.bin", 0, new Uint8Array(10), AbortSignal.abort()));
  assert.is(aborted.code, "ABORTED");
}

test("directory", async () => contract(await openDirectory(directory)));
test("blobs", () =>
  contract(blobFiles(new Map(Object.entries(contents).map(([k, v]) => [k, new Blob([v])])))));
test("picked files", () => contract(blobFiles(Object.entries(contents).map(([k, v]) => new File([v], k)))));
test("what is no location is said", async () => {
  for (const [location, message] of [
    ["", /location is empty/],
    [" ", /location is empty/],
    [new Map([["config.json", "{}"]]), /found "\{\}" by the name of "config\.json"/],
    [[null], /found null/],
  ] as const) {
    const error = await failure(() => openFiles(location as never));
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, message);
  }
});

test("of a picked directory the outermost files count, and two of one name are refused", async () => {
  const file = (path: string) =>
    Object.defineProperty(new File([path], path.split("/").at(-1) as string), "webkitRelativePath", {
      value: path,
    });
  for (const paths of [
    ["ocr/config.json", "ocr/onnx/config.json"],
    ["ocr/onnx/config.json", "ocr/config.json"],
  ]) {
    const content = await blobFiles(paths.map(file)).readAll("config.json");
    assert.is(new TextDecoder().decode(content as Uint8Array), "ocr/config.json");
  }
  const error = await failure(() => blobFiles(["a/config.json", "b/config.json"].map(file)));
  assert.is(error.code, "OPTION_INVALID");
  assert.match(error.message, "config.json");
});
test("web address", () => withServer(fileServer, (url) => contract(httpFiles(url, quick))));

test("a server that takes a last byte of 0 for none, as vite's does", async () => {
  const server: RequestListener = (request, response) => {
    const [, first, last] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "") ?? [];
    if (last !== "0") return fileServer(request, response);
    request.headers.range = `bytes=${first}-${2 ** 40}`;
    return fileServer(request, response);
  };
  await withServer(server, async (url) => {
    assert.is(await httpFiles(url, quick).size("data.bin"), bytes.length);
    assert.is(await httpFiles(url, quick).size("empty.bin"), 0);
  });
});

test("a path that is no directory", async () => {
  assert.is((await failure(() => openDirectory(join(directory, "absent")))).code, "CHECKPOINT_NOT_FOUND");
  assert.is((await failure(() => openDirectory(join(directory, "data.bin")))).code, "CHECKPOINT_NOT_FOUND");
});

test("addresses: the query stays, the headers go along, others than http are refused", async () => {
  const seen: string[] = [];
  await withServer(
    (request, response) => {
      seen.push(`${request.url} ${request.headers.authorization}`);
      response.writeHead(404).end();
    },
    (url) => httpFiles(`${url}/a/b?token=1`, { headers: { authorization: "Bearer x" } }).size("c.json"),
  );
  assert.equal(seen, ["/a/b/c.json?token=1 Bearer x"]);
  assert.is((await failure(() => httpFiles("ftp://host/x"))).code, "OPTION_INVALID");
  assert.is((await failure(() => httpFiles("no address"))).code, "OPTION_INVALID");
});

test("failures in passing are tried again, and cut connections are taken up where they broke", async () => {
  let request = 0;
  const flaky: RequestListener = (incoming, response) => {
    request++;
    if (request % 3 === 1) return response.writeHead(503).end();
    if (request % 3 === 2) {
      const range = /bytes=(\d+)-(\d+)/.exec(incoming.headers.range ?? "");
      const [first, last] = [Number(range?.[1]), Number(range?.[2])];
      response.writeHead(206, {
        "content-range": `bytes ${first}-${last}/*`,
        "content-length": last - first + 1,
      });
      response.write(bytes.subarray(first, first + 100), () => response.destroy());
      return;
    }
    return fileServer(incoming, response);
  };
  await withServer(flaky, async (url) => {
    const into = new Uint8Array(2000);
    await httpFiles(url, quick).readInto("data.bin", 50, into);
    assert.equal(into, bytes.subarray(50, 2050));
  });
  assert.ok(request >= 3);
});

test("a server that stays down, refuses, or is not there is named", async () => {
  await withServer(
    (_, response) => response.writeHead(500).end(),
    async (url) => {
      const error = await failure(() => httpFiles(url, { ...quick, retries: 2 }).readAll("config.json"));
      assert.is(error.code, "CHECKPOINT_NOT_FOUND");
      assert.match(error.message, "config.json could not be read in 3 tries: status 500");
    },
  );
  await withServer(
    (_, response) => response.writeHead(403).end(),
    async (url) => {
      const error = await failure(() => httpFiles(url, quick).readAll("config.json"));
      assert.match(
        error.message,
        "status 403. If it is private, give an Authorization header in the option headers",
      );
    },
  );
  const gone = await failure(() =>
    httpFiles("http://127.0.0.1:9", { ...quick, retries: 1 }).readAll("config.json"),
  );
  assert.is(gone.code, "CHECKPOINT_NOT_FOUND");
});

test("a server that ignores ranges is told apart", async () => {
  await withServer(
    (_, response) => response.writeHead(200).end(bytes),
    async (url) => {
      const files = httpFiles(url, quick);
      for (const read of [
        () => files.size("data.bin"),
        () => files.readInto("data.bin", 5, new Uint8Array(9)),
      ]) {
        const error = await failure(read);
        assert.is(error.code, "CHECKPOINT_INVALID");
        assert.match(error.message, "supports HTTP ranges");
      }
    },
  );
});

test("a connection that is cut again and again brings a file all the same, part by part", async () => {
  const long = Uint8Array.from({ length: 1_000_000 }, (_, index) => (index * 7) % 251);
  const cut: RequestListener = (request, response) => {
    const [, first, last] = (/bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "") ?? []).map(Number);
    response.writeHead(206, { "content-range": `bytes ${first}-${last}/${long.length}` });
    response.write(long.subarray(first, (first as number) + 100_000), () => response.destroy());
  };
  await withServer(cut, async (url) => {
    const into = new Uint8Array(long.length);
    await httpFiles(url, { retries: 2, retryDelay: 1 }).readInto("data.bin", 0, into);
    assert.equal(into, long);
  });
});

test("where Content-Range is hidden, HEAD tells the size", async () => {
  const send: typeof fetch = async (_, init) => {
    if (init?.method === "HEAD") return new Response(null, { headers: { "content-length": "77" } });
    // As a browser shows it to a page of another origin.
    return Object.defineProperty(new Response("x", { status: 206 }), "type", { value: "cors" });
  };
  assert.is(await httpFiles("https://elsewhere.test/", { ...quick, fetch: send }).size("data.bin"), 77);
});

test("an abort ends the waiting between tries", async () => {
  await withServer(
    (_, response) => response.writeHead(503).end(),
    async (url) => {
      const control = new AbortController();
      setTimeout(() => control.abort(), 30);
      const files = httpFiles(url, { retryDelay: 60_000 });
      assert.is((await failure(() => files.readAll("config.json", control.signal))).code, "ABORTED");
    },
  );
});

test.run();
