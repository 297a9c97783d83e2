/** Servers whose answers are not what was asked for, or are of another file than the answers before. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type HttpOptions, httpFiles } from "../../src/checkpoint/http.ts";
import { failure } from "./fixtures.ts";
import { requestedRange, serve, withServer } from "./server.ts";

const NAME = "model.safetensors";
const bytes = Uint8Array.from({ length: 4000 }, (_, index) => (index * 7) % 251);
const other = bytes.map((byte) => byte ^ 255);
const files = new Map([[NAME, bytes]]);
const quick: HttpOptions = { retryDelay: 1, retries: 2 };

type Answer = (response: ServerResponse, first: number, last: number, request: IncomingMessage) => void;

const send = (response: ServerResponse, status: number, headers: Record<string, string>, body: Uint8Array) =>
  response.writeHead(status, headers).end(body);
const range = (first: number, last: number, total: number | string = bytes.length) => ({
  "content-range": `bytes ${first}-${last}/${total}`,
});

/** What is wrong with the first answer to a read of the bytes 100 to 299. */
const WRONG_PARTS: Record<string, Answer> = {
  "other bytes, and says so": (response, first) =>
    send(response, 206, range(0, 199), bytes.subarray(first, first + 200)),
  "bytes before those asked for too": (response, first, last) =>
    send(response, 206, range(first - 10, last), bytes.subarray(first - 10, last + 1)),
  "more bytes than asked for, and says so": (response, first, last) =>
    send(response, 206, range(first, last + 100), bytes.subarray(first, last + 101)),
  "more bytes than it says": (response, first, last) =>
    send(response, 206, range(first, last), bytes.subarray(first, last + 9)),
  "fewer bytes than it says": (response, first, last) =>
    send(response, 206, range(first, last), bytes.subarray(first, last - 9)),
  "no bytes": (response, first, last) => send(response, 206, range(first, last), new Uint8Array(0)),
  "bytes past the end of the file": (response, first, last) =>
    send(response, 206, range(first, last, last - 50), bytes.subarray(first, last + 1)),
  "no Content-Range, though nothing hides it": (response, first, last) =>
    send(response, 206, {}, bytes.subarray(first, last + 1)),
  "a Content-Range that is none": (response, first, last) =>
    send(response, 206, { "content-range": "bytes" }, bytes.subarray(first, last + 1)),
  "a Content-Range of other units": (response, first, last) =>
    send(response, 206, { "content-range": `items ${first}-${last}/4000` }, bytes.subarray(first, last + 1)),
  "a range that ends before it begins": (response, first) =>
    send(response, 206, range(first, first - 1), new Uint8Array(0)),
  "a compressed part": (response, first, last) =>
    send(
      response,
      206,
      { ...range(first, last), "content-encoding": "gzip" },
      gzipSync(bytes.subarray(first, last + 1)),
    ),
  "several parts": (response, first, last) => {
    const part = `--x\r\nContent-Range: bytes ${first}-${last}/4000\r\n\r\n`;
    const body = Buffer.concat([
      Buffer.from(part),
      bytes.subarray(first, last + 1),
      Buffer.from("\r\n--x--"),
    ]);
    send(response, 206, { "content-type": "multipart/byteranges; boundary=x" }, body);
  },
  "the whole file": (response) => send(response, 200, {}, bytes),
};

for (const [what, answer] of Object.entries(WRONG_PARTS)) {
  test(`asked for a part, a server answers with ${what}`, async () => {
    await withServer(
      (request, response) => {
        const [first, last] = requestedRange(request) ?? [0, 0];
        answer(response, first, last, request);
      },
      async (url) => {
        const into = new Uint8Array(200);
        const error = await failure(() => httpFiles(url, quick).readInto(NAME, 100, into));
        assert.is(error.code, "CHECKPOINT_INVALID");
        assert.match(error.message, NAME);
      },
    );
  });
}

test("an empty file, of which a server sends all", async () => {
  await withServer(
    (_, response) => send(response, 200, { "content-length": "0" }, new Uint8Array(0)),
    async (url) => assert.is(await httpFiles(url, quick).size(NAME), 0),
  );
});

test("a server may send a part piece by piece: the rest is asked for", async () => {
  await withServer(
    (request, response) => {
      const [first, last] = requestedRange(request) ?? [0, 0];
      const end = Math.min(last, first + 49);
      send(response, 206, range(first, end), bytes.subarray(first, end + 1));
    },
    async (url) => {
      const into = new Uint8Array(200);
      await httpFiles(url, quick).readInto(NAME, 100, into);
      assert.equal(into, bytes.subarray(100, 300));
    },
  );
});

/** The second version of a file, by the headers that tell it from the first. */
const CHANGES: Record<
  string,
  { before: Record<string, string>; now: Record<string, string>; total?: number }
> = {
  "its size": { before: {}, now: {}, total: 3999 },
  "its strong ETag": { before: { etag: '"a"' }, now: { etag: '"b"' } },
  "its weak ETag": { before: { etag: 'W/"a"' }, now: { etag: 'W/"b"' } },
  "its date": {
    before: { "last-modified": "Mon, 02 Nov 2026 10:00:00 GMT" },
    now: { "last-modified": "Mon, 02 Nov 2026 10:00:01 GMT" },
  },
};

for (const [what, { before, now, total = bytes.length }] of Object.entries(CHANGES)) {
  test(`a file that changes on the server while it is read is told by ${what}`, async () => {
    let changed = false;
    await withServer(
      (request, response) => {
        const [first, last] = requestedRange(request) ?? [0, 0];
        const body = (changed ? other : bytes).subarray(first, last + 1);
        const headers = changed
          ? { ...now, ...range(first, last, total) }
          : { ...before, ...range(first, last) };
        send(response, 206, headers, body);
      },
      async (url) => {
        const source = httpFiles(url, quick);
        assert.is(await source.size(NAME), bytes.length);
        await source.readInto(NAME, 0, new Uint8Array(100));
        changed = true;
        const error = await failure(() => source.readInto(NAME, 100, new Uint8Array(100)));
        assert.is(error.code, "CHECKPOINT_INVALID");
        assert.match(error.message, `${NAME} of ${url} changed while it was read`);
      },
    );
  });
}

test("the first strong ETag goes along as If-Range; the whole file, 412 and 416 in return mean that it changed", async () => {
  for (const status of [200, 412, 416]) {
    let changed = false;
    const sent: (string | undefined)[] = [];
    await withServer(
      (request, response) => {
        sent.push(request.headers["if-range"] as string | undefined);
        if (!changed) return serve(files, request, response, { headers: { etag: '"first"' } });
        const headers = status === 416 ? { "content-range": "bytes */50" } : { etag: '"second"' };
        response.writeHead(status, headers).end(status === 200 ? other : undefined);
      },
      async (url) => {
        const source = httpFiles(url, quick);
        await source.size(NAME);
        changed = true;
        const error = await failure(() => source.readInto(NAME, 100, new Uint8Array(100)));
        assert.is(error.code, "CHECKPOINT_INVALID");
        assert.match(error.message, "changed while it was read");
      },
    );
    assert.equal(sent, [undefined, '"first"']);
  }
});

test("a server that sends all of the same file for If-Range is asked without it", async () => {
  const sent: (string | undefined)[] = [];
  await withServer(
    (request, response) => {
      const ifRange = request.headers["if-range"] as string | undefined;
      sent.push(ifRange);
      const headers = { etag: '"a"' };
      if (ifRange) return send(response, 200, headers, bytes);
      serve(files, request, response, { headers });
    },
    async (url) => {
      const source = httpFiles(url, quick);
      await source.size(NAME);
      const into = new Uint8Array(100);
      for (const offset of [0, 100]) await source.readInto(NAME, offset, into);
      assert.equal(into, bytes.subarray(100, 200));
    },
  );
  assert.equal(sent, [undefined, '"a"', undefined, undefined]);
});

test("weak ETags are no promise of the same bytes: they are compared, and not sent", async () => {
  const sent: (string | undefined)[] = [];
  await withServer(
    (request, response) => {
      sent.push(request.headers["if-range"] as string | undefined);
      serve(files, request, response, { headers: { etag: 'W/"a"' } });
    },
    async (url) => {
      const source = httpFiles(url, quick);
      await source.size(NAME);
      const into = new Uint8Array(100);
      await source.readInto(NAME, 100, into);
      assert.equal(into, bytes.subarray(100, 200));
    },
  );
  assert.equal(sent, [undefined, undefined]);
});

test("one tag and several dates are one file: servers behind one address keep dates of their own", async () => {
  let date = 0;
  await withServer(
    (request, response) => {
      const headers = { etag: '"a"', "last-modified": new Date(1e12 + 1000 * date++).toUTCString() };
      serve(files, request, response, { headers });
    },
    async (url) => {
      const source = httpFiles(url, quick);
      await source.size(NAME);
      await source.readInto(NAME, 0, new Uint8Array(100));
    },
  );
});

test("a small file that is other when it is read again is told too", async () => {
  let version = 0;
  await withServer(
    (_, response) => send(response, 200, { etag: `"${version++}"` }, Buffer.from("{}")),
    async (url) => {
      const source = httpFiles(url, quick);
      await source.readAll("tokenizer_config.json");
      const error = await failure(() => source.readAll("tokenizer_config.json"));
      assert.match(error.message, "changed while it was read");
    },
  );
});

test("a branch that moves to another commit while its files are read is told, also by a redirect", async () => {
  for (const status of [200, 302]) {
    let commit = "1111";
    await withServer(
      (request, response) => {
        if (status === 200 || request.url === "/elsewhere") {
          const headers = status === 200 ? { "x-repo-commit": commit } : {};
          return serve(
            new Map([
              ["a.json", "{}"],
              ["elsewhere", "{}"],
            ]),
            request,
            response,
            { headers },
          );
        }
        response.writeHead(302, { location: "/elsewhere", "x-repo-commit": commit }).end();
      },
      async (url) => {
        const source = httpFiles(url, quick);
        assert.ok(await source.readAll("a.json"));
        assert.ok(await source.readAll("a.json"));
        commit = "2222";
        const error = await failure(() => source.readAll("a.json"));
        assert.is(error.code, "CHECKPOINT_INVALID");
        assert.match(error.message, "of commit 1111, and are of 2222 now");
      },
    );
  }
});

test("where a page of another origin sees neither Content-Range nor ETag, bytes are counted and nothing is sent that needs leave", async () => {
  const seen: (string | null)[] = [];
  /** As a browser answers across origins: headers that are not listed are not there, the type says why. */
  const crossOrigin =
    (body: (first: number, last: number) => Uint8Array): typeof fetch =>
    async (_, init) => {
      const headers = new Headers(init?.headers);
      seen.push(headers.get("if-range"));
      const [, first = "0", last = "0"] = /bytes=(\d+)-(\d+)/.exec(headers.get("range") ?? "") ?? [];
      const response = new Response(body(Number(first), Number(last)) as BodyInit, {
        status: 206,
        headers: { etag: '"exposed"' },
      });
      Object.defineProperty(response, "type", { value: "cors" });
      return response;
    };
  const right = httpFiles("https://elsewhere.test/", {
    ...quick,
    fetch: crossOrigin((first, last) => bytes.slice(first, last + 1)),
  });
  const into = new Uint8Array(100);
  await right.readInto(NAME, 0, into);
  await right.readInto(NAME, 100, into);
  assert.equal(into, bytes.subarray(100, 200));
  assert.equal(seen, [null, null]);
  const long = httpFiles("https://elsewhere.test/", {
    ...quick,
    fetch: crossOrigin(() => bytes.slice(0, 101)),
  });
  assert.is((await failure(() => long.readInto(NAME, 0, into))).code, "CHECKPOINT_INVALID");
});

test("of a header as long as a page the start is shown", async () => {
  const LONG = "x".repeat(5000);
  const headers: Record<string, string>[] = [
    { "content-range": `bytes ${LONG}` },
    { ...range(100, 299), "content-encoding": LONG },
    { ...range(100, 299), etag: `"${LONG}"` },
    { ...range(100, 299), "last-modified": LONG },
    { ...range(100, 299), "x-repo-commit": LONG },
  ];
  for (const sent of headers) {
    let asked = 0;
    await withServer(
      (request, response) => {
        const first = {
          "x-repo-commit": "a",
          ...("etag" in sent ? { etag: '"a"' } : { "last-modified": "a" }),
        };
        if (asked++ === 0) return serve(files, request, response, { headers: first });
        send(response, 206, sent, bytes.subarray(100, 300));
      },
      async (base) => {
        const opened = httpFiles(base, quick);
        await opened.size(NAME);
        const error = await failure(() => opened.readInto(NAME, 100, new Uint8Array(200)));
        assert.is(error.code, "CHECKPOINT_INVALID");
        assert.match(error.message, "xxx");
        assert.ok(error.message.length < 600, `${error.message.length}: ${error.message.slice(0, 100)}`);
      },
    );
  }
});

test("a server that answers with a byte at a time is given up", async () => {
  let asked = 0;
  await withServer(
    (request, response) => {
      asked += 1;
      const [first] = requestedRange(request) ?? [0];
      send(response, 206, range(first, first), bytes.subarray(first, first + 1));
    },
    async (base) => {
      const opened = httpFiles(base, quick);
      const few = new Uint8Array(100);
      await opened.readInto(NAME, 100, few);
      assert.equal(few, bytes.subarray(100, 200));
      const error = await failure(() => opened.readInto(NAME, 0, new Uint8Array(4000)));
      assert.is(error.code, "CHECKPOINT_INVALID");
      assert.match(error.message, /few bytes/);
      assert.ok(asked < 1200, `${asked} requests`);
    },
  );
});

test("a whole file that comes as one part is whole; a part of it is not", async () => {
  const answers = [
    [range(0, 3999), bytes],
    [range(0, 1999), bytes.subarray(0, 2000)],
    [range(1, 3999), bytes.subarray(1)],
    [range(0, 3999, "*"), bytes],
    [{}, bytes],
  ] as const;
  let turn = 0;
  await withServer(
    (_, response) => send(response, 206, { ...answers[turn]?.[0] }, answers[turn]?.[1] ?? bytes),
    async (url) => {
      assert.equal(await httpFiles(url, quick).readAll(NAME), bytes);
      for (turn = 1; turn < answers.length; turn++) {
        const { code, message } = await failure(() => httpFiles(url, quick).readAll(NAME));
        assert.is(code, "CHECKPOINT_NOT_FOUND", `${turn}`);
        assert.match(message, "answered with status 206");
      }
    },
  );
});

test.run();
