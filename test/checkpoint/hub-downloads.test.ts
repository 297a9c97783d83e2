/** Downloads from the Hub: in parts, over faults of its servers, and gone on with. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { PART_BYTES } from "../../src/checkpoint/hub/cache.ts";
import type { DownloadProgress } from "../../src/checkpoint/hub/progress.ts";
import { listModels, openFiles, pullModel } from "../../src/node-files.ts";
import { failure, safetensors } from "./fixtures.ts";
import { blobsOf, FOLDER, inPlace, MODEL, NEEDED, repository, text, weights } from "./hub-place.ts";
import { COMMIT, sha256 } from "./hub-server.ts";

test("parts of a large file are several requests at a time, and redirects are asked for once", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ hub, options }) => {
    const big = safetensors({
      w: { dtype: "U8", shape: [5 * PART_BYTES], data: new Uint8Array(5 * PART_BYTES) },
    });
    hub.repositories.get(MODEL)!.files = new Map([
      ["config.json", text({})],
      ["model.safetensors", big],
    ]);
    let now = 0;
    let most = 0;
    hub.latency = 20;
    hub.misbehave = (request, response) => {
      if (request.at !== "cdn") return false;
      most = Math.max(most, ++now);
      response.on("close", () => now--);
      return false;
    };
    await pullModel(MODEL, options);
    const parts = hub.requests.filter(({ at, range }) => at === "cdn" && range && range[1] - range[0] > 100);
    assert.is(parts.length, 6);
    assert.ok(most > 3, `${most} at a time`);
  });
});

test("a file whose hash is another does not get its name", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ hub, cacheDir, options }) => {
    for (const name of ["model.safetensors", "config.json"]) {
      const good = hub.repositories.get(MODEL)!.files.get(name)!;
      const bad = good.slice();
      bad[bad.length - 2] = (bad.at(-2) as number) ^ 1;
      hub.misbehave = ({ at, path, range }, response) => {
        const isIt =
          at === "cdn" ? name === "model.safetensors" : path.endsWith(`/${name}`) && name === "config.json";
        if (!isIt) return false;
        if (range) {
          const [first, last] = [range[0], Math.min(range[1], bad.length - 1)];
          response.writeHead(206, { "content-range": `bytes ${first}-${last}/${bad.length}` });
          response.end(bad.subarray(first, last + 1));
        } else response.writeHead(200).end(bad);
        return true;
      };
      const error = await failure(async () => (await openFiles(MODEL, options)).bring?.([name]));
      assert.is(error.code, "CHECKPOINT_INVALID");
      assert.match(
        error.message,
        `${name} of ${hub.endpoint}/${MODEL}/resolve/${COMMIT} is not what the Hub says`,
      );
      assert.equal(
        blobsOf(cacheDir).filter((blob) => blob.length !== 40),
        [],
      );
    }
  });
});

test("a download that was cut off goes on: what came is not asked for again", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ hub, cacheDir, options }) => {
    const control = new AbortController();
    const seen: DownloadProgress[] = [];
    hub.misbehave = ({ at, range }, response) => {
      // The second part never comes.
      if (at !== "cdn" || range?.[0] !== PART_BYTES) return false;
      response.on("close", () => undefined);
      return true;
    };
    const watch = setInterval(() => {
      const name = existsSync(join(cacheDir, FOLDER, "blobs"))
        ? blobsOf(cacheDir).find((blob) => blob.includes("incomplete"))
        : undefined;
      if (!name) return;
      const bytes = readFileSync(join(cacheDir, FOLDER, "blobs", name));
      if (bytes[weights.length] === 1) control.abort();
    }, 20);
    const error = await failure(() => pullModel(MODEL, { ...options, signal: control.signal }));
    clearInterval(watch);
    assert.is(error.code, "ABORTED");
    const [model] = await listModels({ hub: options.hub });
    assert.ok((model?.unfinishedBytes ?? 0) >= PART_BYTES, `${model?.unfinishedBytes} bytes are kept`);
    hub.misbehave = null;
    hub.requests.length = 0;
    await pullModel(MODEL, { ...options, onDownload: (progress) => seen.push(progress) });
    const firsts = hub.requests.filter(({ at }) => at === "cdn").map(({ range }) => range?.[0]);
    assert.not.ok(
      firsts.includes(0) &&
        hub.requests.some(({ at, range }) => at === "cdn" && range?.[0] === 0 && range[1] > 1000),
    );
    assert.ok(firsts.includes(PART_BYTES));
    const last = seen.at(-1)!;
    assert.is(last.downloadedBytes, last.totalBytes);
    assert.equal(
      blobsOf(cacheDir).filter((blob) => blob.includes("incomplete")),
      [],
    );
  });
});

test("what was kept and is wrong is downloaded once more", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ cacheDir, hub, options }) => {
    const blob = join(cacheDir, FOLDER, "blobs", sha256(weights));
    mkdirSync(join(cacheDir, FOLDER, "blobs"), { recursive: true });
    // As a computer leaves it that lost power: marked as there, and zero.
    const parts = Math.ceil(weights.length / PART_BYTES);
    writeFileSync(
      `${blob}.01234567.glimt.incomplete`,
      Buffer.concat([Buffer.alloc(weights.length), Buffer.alloc(parts, 1)]),
    );
    writeFileSync(`${blob}.89abcdef.glimt.incomplete`, "of another size");
    writeFileSync(`${blob}.89abcdef.incomplete`, "Python's");
    await pullModel(MODEL, options);
    assert.equal(
      new Uint8Array(readFileSync(blob)),
      hub.repositories.get(MODEL)!.files.get("model.safetensors"),
    );
    assert.equal(
      blobsOf(cacheDir).filter((name) => name.includes("incomplete")),
      [`${sha256(weights)}.89abcdef.incomplete`],
    );
  });
});

test("broken connections, 429 with Retry-After and 5xx are tried again", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ hub, options }) => {
    const faults = new Map<string, number>();
    const once = (what: string) => {
      const count = faults.get(what) ?? 0;
      faults.set(what, count + 1);
      return count === 0;
    };
    hub.misbehave = ({ at, path, range }, response) => {
      if (at === "api" && once("api")) {
        response.writeHead(429, { "retry-after": "1" }).end();
        return true;
      }
      if (path.endsWith("config.json") && once("config")) {
        response.writeHead(503).end();
        return true;
      }
      if (at === "cdn" && range && range[1] - range[0] > 1000) {
        if (once("cut")) {
          const [first, last] = [range[0], Math.min(range[1], weights.length - 1)];
          response.writeHead(206, { "content-range": `bytes ${first}-${last}/${weights.length}` });
          response.write(weights.subarray(first, first + 200_000), () => response.destroy());
          return true;
        }
      }
      return false;
    };
    const pulled = await pullModel(MODEL, options);
    assert.is(pulled.files.length, NEEDED.length);
    assert.equal([...faults.keys()].sort(), ["api", "config", "cut"]);
  });
});

test("where a redirect led is asked at once, until its signature has expired; then the Hub is asked anew", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ hub, options }) => {
    const files = await openFiles(MODEL, options);
    const into = new Uint8Array(100);
    await files.readInto("model.safetensors", 0, into);
    await files.readInto("model.safetensors", 100, into);
    const at = () => hub.requests.splice(0).map((request) => request.at);
    assert.equal(at(), ["api", "resolve", "cdn", "cdn"]);
    let isExpired = true;
    hub.misbehave = ({ at }, response) => {
      if (at !== "cdn" || !isExpired) return false;
      isExpired = false;
      response.writeHead(403).end("<Error>Request has expired</Error>");
      return true;
    };
    await files.readInto("model.safetensors", 200, into);
    assert.equal(into, weights.slice(200, 300));
    assert.equal(at(), ["cdn", "resolve", "cdn"]);
    hub.misbehave = ({ at }, response) => {
      if (at === "cdn") response.writeHead(403).end();
      return at === "cdn";
    };
    const error = await failure(() => files.readInto("model.safetensors", 300, into));
    assert.match(error.message, "the server that keeps its large files refuses");
    assert.not.match(error.message, "s3cret");
  });
});

test("what onDownload throws comes out as it is, and progress tells rate and time", async () => {
  await inPlace({ [MODEL]: repository() }, async ({ hub, options }) => {
    const thrown = new Error("the caller's");
    try {
      await pullModel(MODEL, {
        ...options,
        onDownload: () => {
          throw thrown;
        },
      });
      assert.unreachable();
    } catch (error) {
      assert.is(error, thrown);
    }
    const asked: string[] = [];
    const send: typeof fetch = (input, init) => {
      asked.push(String(input));
      return fetch(input, init);
    };
    await pullModel(MODEL, { ...options, fetch: send });
    assert.ok(asked.some((address) => address.startsWith(`${hub.endpoint}/api/models/${MODEL}`)));
  });
});

test.run();
