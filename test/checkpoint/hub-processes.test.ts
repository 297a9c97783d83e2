/** Several processes that want one model at once: it is downloaded once; one that is killed leaves what the next goes on with. */
import { fork, spawn } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { PART_BYTES } from "../../src/checkpoint/hub/cache.ts";
import { pullModel } from "../../src/node-files.ts";
import { safetensors } from "./fixtures.ts";
import { COMMIT, type HubRequest, sha256, withHub } from "./hub-server.ts";

const CLI = "dist/cli.js";
const MODEL = "org/model";
const FOLDER = "models--org--model";
const data = Uint8Array.from({ length: 2 * PART_BYTES + 1000 }, (_, i) => (i * 7) & 255);
const weights = safetensors({ w: { dtype: "U8", shape: [data.length], data } });
const files = new Map<string, Uint8Array>([
  ["config.json", new TextEncoder().encode("{}")],
  ["model.safetensors", weights],
]);

async function inCache(use: (cacheDir: string) => Promise<void>): Promise<void> {
  const cacheDir = mkdtempSync(join(tmpdir(), "glimt-hub-processes-"));
  try {
    await use(cacheDir);
  } finally {
    rmSync(cacheDir, { recursive: true });
  }
}

function pullElsewhere(endpoint: string, cacheDir: string) {
  const env = { ...process.env, HF_ENDPOINT: endpoint, HF_HUB_CACHE: cacheDir, HF_TOKEN: "" };
  const child = fork(CLI, ["pull", MODEL, "--json"], { env, stdio: ["ignore", "pipe", "inherit", "ipc"] });
  const out: Buffer[] = [];
  child.stdout?.on("data", (piece) => out.push(piece));
  const ended = new Promise<string>((resolve) =>
    child.on("close", () => resolve(Buffer.concat(out).toString())),
  );
  return { child, ended };
}

const partsAsked = (requests: readonly HubRequest[]) =>
  requests.filter(({ at, range }) => at === "cdn" && range && range[1] - range[0] > 100).length;

test("two processes pull one model at once: it comes once, and both have it", () =>
  inCache((cacheDir) =>
    withHub({ [MODEL]: { files, commit: COMMIT } }, async (hub) => {
      hub.latency = 50;
      const pulls = [0, 1].map(() => pullElsewhere(hub.endpoint, cacheDir).ended);
      for (const printed of await Promise.all(pulls)) assert.is(JSON.parse(printed).commit, COMMIT, printed);
      assert.is(partsAsked(hub.requests), 3);
      assert.is(readdirSync(join(cacheDir, FOLDER, "blobs")).length, 2);
      const blob = readFileSync(join(cacheDir, FOLDER, "snapshots", COMMIT, "model.safetensors"));
      assert.is(sha256(blob), sha256(weights));
    }),
  ));

test("what a process leaves that is killed is taken over", () =>
  inCache((cacheDir) =>
    withHub({ [MODEL]: { files, commit: COMMIT } }, async (hub) => {
      // All but the second part comes; then the process is killed, and can neither end its work nor free its lock.
      hub.misbehave = ({ at, range }) => at === "cdn" && range?.[0] === PART_BYTES;
      const { child, ended } = pullElsewhere(hub.endpoint, cacheDir);
      const partial = () => {
        try {
          const blobs = join(cacheDir, FOLDER, "blobs");
          const name = readdirSync(blobs).find((blob) => blob.endsWith(".incomplete"));
          return name ? readFileSync(join(blobs, name)) : null;
        } catch {
          return null;
        }
      };
      while (partial()?.[weights.length] !== 1 || partial()?.[weights.length + 2] !== 1) {
        if (child.exitCode !== null) throw new Error(`It ended by itself: ${await ended}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      child.kill("SIGKILL");
      await ended;
      hub.misbehave = null;
      hub.requests.length = 0;
      await pullModel(MODEL, { hub: { endpoint: hub.endpoint, cacheDir, token: false } });
      assert.is(partsAsked(hub.requests), 1);
      const blobs = readdirSync(join(cacheDir, FOLDER, "blobs"));
      assert.equal(
        blobs.filter((name) => name.includes("incomplete")),
        [],
      );
      assert.is(blobs.length, 2);
    }),
  ));

test("a lock of a process that is gone, here or on another computer, does not stop anybody", () =>
  inCache((cacheDir) =>
    withHub({ [MODEL]: { files, commit: COMMIT } }, async ({ endpoint }) => {
      const gone = spawn(process.execPath, ["-e", "0"]);
      await new Promise((resolve) => gone.on("close", resolve));
      const locks = join(cacheDir, ".locks", FOLDER);
      mkdirSync(locks, { recursive: true });
      const { hostname } = await import("node:os");
      writeFileSync(
        join(locks, `${sha256(weights)}.glimt.lock`),
        JSON.stringify({ pid: gone.pid, host: hostname() }),
      );
      const old = join(locks, "9e26dfeeb6e641a33dae4961196235bdb965b21b.glimt.lock");
      writeFileSync(old, JSON.stringify({ pid: 1, host: "elsewhere" }));
      utimesSync(old, new Date(0), new Date(0));
      await pullModel(MODEL, { hub: { endpoint, cacheDir, token: false } });
      assert.equal(
        readdirSync(locks).filter((name) => name.startsWith(sha256(weights))),
        [],
      );
    }),
  ));

test.run();
