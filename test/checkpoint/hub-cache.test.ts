/** The cache of the Hub in odd states: nearly full disks, locks and links that nobody can use, files that were named alone. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type HubFile, PART_BYTES, partsOf } from "../../src/checkpoint/hub/cache.ts";
import { directoryCache } from "../../src/checkpoint/hub/directory.node.ts";
import { missingBytes } from "../../src/checkpoint/hub/partial-blob.node.ts";
import { hubSettings } from "../../src/checkpoint/hub/settings.node.ts";
import { listModels, pullModel, removeModel } from "../../src/node-files.ts";
import { f32, failure, safetensors } from "./fixtures.ts";
import { COMMIT, gitHash, LATER, sha256, withHub } from "./hub-server.ts";

const MODEL = "org/model";
const FOLDER = "models--org--model";
const utf8 = new TextEncoder();
const weights = safetensors({ w: f32([2], [1, 2]) });
const config = utf8.encode("{}");
const repository = (files: readonly (readonly [string, Uint8Array])[], commit = COMMIT) => ({
  files: new Map(files),
  commit,
});
const WHOLE = repository([
  ["config.json", config],
  ["model.safetensors", weights],
]);

async function inCache(use: (cacheDir: string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "glimt-hub-cache-"));
  try {
    await use(join(root, "hub"));
  } finally {
    rmSync(root, { recursive: true });
  }
}

const fileOf = (etag: string, size: number): HubFile => ({
  name: "w.safetensors",
  size,
  etag,
  hash: "sha256",
});

test("room is asked for what is still to come: not for what another commit has, nor for parts that are here", () =>
  inCache(async (root) => {
    const blobs = join(root, FOLDER, "blobs");
    mkdirSync(blobs, { recursive: true });
    const huge = fileOf("a".repeat(64), 2 ** 45);
    const cut = fileOf("b".repeat(64), 3 * PART_BYTES);
    const cache = directoryCache(root).model(MODEL);
    assert.is((await failure(() => cache.hasRoom([huge]))).code, "CACHE_FAILED");
    assert.is(await missingBytes(blobs, [huge, cut, cut]), huge.size + cut.size);
    // Of holes there are any number: what is written counts.
    const partial = join(blobs, `${cut.etag}.01234567.glimt.incomplete`);
    writeFileSync(partial, Buffer.alloc(2 * PART_BYTES, 1));
    truncateSync(partial, cut.size + partsOf(cut.size));
    const left = await missingBytes(blobs, [cut]);
    assert.ok(left > 0 && left <= PART_BYTES, `${left}`);
    writeFileSync(join(blobs, huge.etag), "");
    truncateSync(join(blobs, huge.etag), 2 ** 43);
    assert.is(await missingBytes(blobs, [huge]), huge.size);
    assert.ok(await cache.hasRoom([fileOf(huge.etag, 2 ** 43)]));
  }));

test("a download of which no part came leaves nothing", () =>
  inCache((cacheDir) =>
    withHub({ [MODEL]: { ...WHOLE, gated: true } }, async ({ endpoint }) => {
      const hub = { endpoint, cacheDir, token: false } as const;
      assert.match(
        (await failure(() => pullModel(MODEL, { hub }))).message,
        "access to it must be asked for",
      );
      assert.equal(readdirSync(join(cacheDir, FOLDER, "blobs")), []);
      assert.is((await listModels({ hub }))[0]?.unfinishedBytes, 0);
    }),
  ));

test("a lock that is left and can not be removed is named, not waited for without end", () =>
  inCache((cacheDir) =>
    withHub({ [MODEL]: WHOLE }, async ({ endpoint }) => {
      const lock = join(cacheDir, ".locks", FOLDER, `${gitHash(config)}.glimt.lock`);
      mkdirSync(join(lock, "in it"), { recursive: true });
      utimesSync(lock, new Date(0), new Date(0));
      const error = await failure(() => pullModel(MODEL, { hub: { endpoint, cacheDir, token: false } }));
      assert.is(error.code, "CACHE_FAILED");
      assert.match(error.message, /\.glimt\.lock was left by a process that is gone, and can not be removed/);
    }),
  ));

test("links that lead round in a circle are listed as nothing, and those that lead nowhere are replaced", () =>
  inCache((cacheDir) =>
    withHub({ [MODEL]: WHOLE }, async ({ endpoint }) => {
      const hub = { endpoint, cacheDir, token: false } as const;
      const snapshot = join(cacheDir, FOLDER, "snapshots", COMMIT);
      mkdirSync(snapshot, { recursive: true });
      symlinkSync("loop.txt", join(snapshot, "loop.txt"));
      symlinkSync("nowhere", join(snapshot, "model.safetensors"));
      assert.is((await listModels({ hub }))[0]?.bytes, 0);
      await pullModel(MODEL, { hub });
      assert.is((await listModels({ hub }))[0]?.bytes, weights.length + config.length);
    }),
  ));

test("the name of one file removes nothing, since the others would go too", () =>
  inCache((cacheDir) =>
    withHub(
      {
        [MODEL]: repository([
          ["a.gguf", config],
          ["b.gguf", weights],
        ]),
      },
      async ({ endpoint }) => {
        const hub = { endpoint, cacheDir, token: false } as const;
        for (const name of ["a", "b"]) await pullModel(`${MODEL}/${name}.gguf`, { hub });
        for (const given of [`${MODEL}/a.gguf`, `${endpoint}/${MODEL}/resolve/main/a.gguf`]) {
          const { code, message } = await failure(() => removeModel(given, { hub }));
          assert.is(code, "OPTION_INVALID");
          assert.match(
            message,
            "a.gguf is one file of org/model: models and revisions are removed as a whole",
          );
        }
        assert.is((await listModels({ hub }))[0]?.revisions[0]?.files, 2);
      },
    ),
  ));

test("the one GGUF model of a repository is pulled with its parts and its tower; of several one must be named", () =>
  inCache((cacheDir) => {
    const gguf = ["M-00001-of-00002.gguf", "M-00002-of-00002.gguf", "mmproj-M.gguf"];
    const contents = gguf.map((name) => [name, utf8.encode(name)] as const);
    const repositories = {
      [MODEL]: repository(contents),
      "org/two": repository([...contents, ["N.gguf", config]]),
      "org/both": repository([["config.json", config], ...contents]),
    };
    return withHub(repositories, async ({ endpoint }) => {
      const hub = { endpoint, cacheDir, token: false } as const;
      assert.equal((await pullModel(MODEL, { hub })).files, gguf);
      assert.equal((await pullModel(MODEL, { hub: { ...hub, offline: true } })).files, gguf);
      assert.match((await failure(() => pullModel("org/two", { hub }))).message, "holds 2 GGUF models");
      const both = await failure(() => pullModel("org/both", { hub }));
      assert.match(
        both.message,
        /It has GGUF files \(M-00001-of-00002\.gguf, .*\): give the path of the one/,
      );
    });
  }));

test("options of the Hub that are none are named as such", async () => {
  for (const [given, message] of [
    [{ cacheDir: 5 }, "hub.cacheDir is 5, expected a string."],
    [{ endpoint: ["x"] }, "hub.endpoint is a list of 1, expected a string."],
    [{ offline: "yes" }, 'hub.offline is "yes", expected true or false.'],
    [{ token: 5 }, "hub.token is 5, expected text, or false for none."],
  ] as const) {
    const error = await failure(() => listModels({ hub: given as object }));
    assert.equal([error.code, error.message], ["OPTION_INVALID", message]);
  }
});

test("a cache that is no folder is told; one that is not there yet has no models", () =>
  inCache(async (folder) => {
    mkdirSync(folder, { recursive: true });
    const file = join(folder, "file");
    writeFileSync(file, "");
    for (const cacheDir of [file, join(file, "hub")]) {
      const hub = { cacheDir, token: false } as const;
      for (const use of [() => listModels({ hub }), () => removeModel(MODEL, { hub })]) {
        const error = await failure(use);
        assert.is(error.code, "CACHE_FAILED");
        assert.ok(
          error.message.startsWith(`${cacheDir} is no folder, or lies in what is none:`),
          error.message,
        );
      }
    }
    const hub = { cacheDir: join(folder, "later"), token: false } as const;
    assert.equal(await listModels({ hub }), []);
    assert.is((await failure(() => removeModel(MODEL, { hub }))).code, "CHECKPOINT_NOT_FOUND");
  }));

test("an empty cacheDir is none: mostly a variable that was not set", async () => {
  const env = { HF_HUB_CACHE: "/somewhere/hub" };
  assert.is((await hubSettings({ cacheDir: "", token: false }, env)).cacheDir, "/somewhere/hub");
});

test("who has the model does not wait for a Hub that asks for patience", () =>
  inCache((cacheDir) =>
    withHub({ [MODEL]: WHOLE }, async (server) => {
      const hub = { endpoint: server.endpoint, cacheDir, token: false } as const;
      await pullModel(MODEL, { hub });
      server.requests.length = 0;
      server.misbehave = ({ at }, response) => {
        if (at === "api") response.writeHead(429, { "retry-after": "50" }).end();
        return at === "api";
      };
      assert.is((await pullModel(MODEL, { hub })).commit, COMMIT);
      assert.is(server.requests.length, 1);
    }),
  ));

test("what a fetch of one's own gives is a Response, or named at once", () =>
  inCache((cacheDir) =>
    withHub({ [MODEL]: WHOLE }, async ({ endpoint }) => {
      const hub = { endpoint, cacheDir, token: false } as const;
      for (const [given, shown] of [
        [null, "null"],
        [{}, "an object"],
        ["text", '"text"'],
      ] as const) {
        let asked = 0;
        const send = (async () => {
          asked++;
          return given;
        }) as unknown as typeof fetch;
        const { code, message } = await failure(() => pullModel(MODEL, { hub, fetch: send }));
        assert.is(code, "OPTION_INVALID");
        assert.is(message, `fetch gave ${shown}, expected a Response.`);
        assert.is(asked, 1);
      }
    }),
  ));

test("a mirror that compresses tells the size of a file, not of what it would send", () =>
  inCache((cacheDir) =>
    withHub({ [MODEL]: WHOLE }, async (server) => {
      server.tellsFiles = false;
      let compressed = 0;
      server.misbehave = ({ method, path }, response) => {
        const encodings = String(response.req.headers["accept-encoding"] ?? "");
        if (method !== "HEAD" || !path.endsWith("config.json") || !/gzip/.test(encodings)) return false;
        compressed++;
        response
          .writeHead(200, {
            "content-encoding": "gzip",
            "content-length": 22,
            etag: `W/"${gitHash(config)}"`,
          })
          .end();
        return true;
      };
      const hub = { endpoint: server.endpoint, cacheDir, token: false } as const;
      assert.is((await pullModel(MODEL, { hub })).files.length, 2);
      assert.is(compressed, 0);
    }),
  ));

test("a new commit with the same weights downloads what changed alone", () =>
  inCache((cacheDir) =>
    withHub({ [MODEL]: WHOLE }, async (server) => {
      const hub = { endpoint: server.endpoint, cacheDir, token: false } as const;
      await pullModel(MODEL, { hub });
      const changed = utf8.encode('{"a": 1}');
      server.repositories.set(
        MODEL,
        repository(
          [
            ["config.json", changed],
            ["model.safetensors", weights],
          ],
          LATER,
        ),
      );
      server.requests.length = 0;
      await pullModel(MODEL, { hub });
      const asked = server.requests.filter(({ at }) => at !== "api").map(({ path }) => path);
      assert.ok(
        asked.every((path) => path.endsWith("config.json")),
        asked.join(),
      );
      assert.ok(existsSync(join(cacheDir, FOLDER, "blobs", sha256(weights))));
      // The blob of a snapshot that was moved away by hand.
      renameSync(join(cacheDir, FOLDER, "blobs", sha256(weights)), join(cacheDir, "away"));
      await pullModel(MODEL, { hub });
      assert.ok(existsSync(join(cacheDir, FOLDER, "blobs", sha256(weights))));
    }),
  ));

test.run();
