/** Downloads that are stopped: whenever that is, they end, leave no lock, and what came is gone on with. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { httpFiles } from "../../src/checkpoint/http.ts";
import { type HubFile, type ModelCache, PART_BYTES } from "../../src/checkpoint/hub/cache.ts";
import { directoryCache } from "../../src/checkpoint/hub/directory.node.ts";
import { download } from "../../src/checkpoint/hub/download.ts";
import { pullModel } from "../../src/node-files.ts";
import { failure, safetensors } from "./fixtures.ts";
import { COMMIT, sha256, withHub } from "./hub-server.ts";

const MODEL = "org/model";
const FOLDER = "models--org--model";
const data = new Uint8Array(2 * PART_BYTES);
const weights = safetensors({ w: { dtype: "U8", shape: [data.length], data } });
const files = new Map<string, Uint8Array>([
  ["config.json", new TextEncoder().encode("{}")],
  ["model.safetensors", weights],
]);

async function inCache(use: (cacheDir: string) => Promise<void>): Promise<void> {
  const cacheDir = mkdtempSync(join(tmpdir(), "glimt-hub-aborts-"));
  try {
    await use(cacheDir);
  } finally {
    rmSync(cacheDir, { recursive: true });
  }
}

function locksIn(cacheDir: string): string[] {
  const locks = join(cacheDir, ".locks", FOLDER);
  return existsSync(locks) ? readdirSync(locks) : [];
}

test("a stop between two requests ends the download as one within a request does", () =>
  inCache((cacheDir) =>
    withHub({ [MODEL]: { files, commit: COMMIT } }, async ({ endpoint }) => {
      const control = new AbortController();
      const cache = directoryCache(cacheDir).model(MODEL);
      const stopped = {
        createSha256: () => cache.createSha256(),
        async begin(...given: Parameters<ModelCache["begin"]>) {
          const partial = await cache.begin(...given);
          control.abort();
          return partial;
        },
      } as unknown as ModelCache;
      const file: HubFile = {
        name: "model.safetensors",
        size: weights.length,
        etag: sha256(weights),
        hash: "sha256",
      };
      const http = httpFiles(`${endpoint}/${MODEL}/resolve/${COMMIT}`);
      const options = { signal: control.signal, onBytes: () => undefined };
      assert.is((await failure(() => download(http, stopped, COMMIT, file, options))).code, "ABORTED");
      assert.equal(locksIn(cacheDir), []);
      assert.equal(readdirSync(join(cacheDir, FOLDER, "blobs")), []);
    }),
  ));

test("stops at any time leave no lock, and the next pull has it all", () =>
  inCache((cacheDir) =>
    withHub({ [MODEL]: { files, commit: COMMIT } }, async (server) => {
      server.latency = 2;
      const hub = { endpoint: server.endpoint, cacheDir, token: false } as const;
      for (let turn = 0; turn < 40; turn++) {
        const control = new AbortController();
        // At a request, or between two.
        let left = turn % 12;
        server.misbehave = () => {
          if (left-- === 0) setTimeout(() => control.abort(), turn % 5);
          return false;
        };
        const { code } = await pullModel(MODEL, { hub, signal: control.signal }).then(
          () => ({ code: "ABORTED" }),
          (error) => error,
        );
        assert.is(code, "ABORTED");
        assert.equal(locksIn(cacheDir), []);
        if (turn % 4 === 3) rmSync(join(cacheDir, FOLDER), { recursive: true, force: true });
      }
      server.misbehave = null;
      assert.is((await pullModel(MODEL, { hub })).bytes, weights.length + 2);
      assert.equal(
        readdirSync(join(cacheDir, FOLDER, "blobs")).filter((name) => name.includes("incomplete")),
        [],
      );
    }),
  ));

test.run();
