/** Models of the Hub in a real browser: kept in its storage, counted, removed, and gone on with. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { PART_BYTES } from "../../src/checkpoint/hub/cache.ts";
import { COMMIT, sha256, TOKEN, withHub } from "../checkpoint/hub-server.ts";
import { type Answer, CHECKPOINT, PICTURE } from "./answer.mjs";
import { ARGS, findChromium } from "./chromium.ts";
import { serveLoopback } from "./loopback.ts";
import { answerInNode } from "./node-answer.ts";

const FOLDERS = { "/dist/": "dist", "/examples/": "examples", "/test/": "test/browser" };
const PAGE = `<!doctype html><link rel="icon" href="data:,"><script type="module">
import * as glimt from "/dist/edge.js";
import { answer } from "/test/answer.mjs";
globalThis.glimt = glimt;
globalThis.ask = async (name, hub) => {
  const picture = await (await fetch("/${PICTURE}")).blob();
  const seen = [];
  const load = (location, options) =>
    glimt.loadModel(location, { ...options, hub, onDownload: ({ downloadedBytes, totalBytes }) => seen.push([downloadedBytes, totalBytes]) });
  return { answer: await answer(load, name, picture), seen };
};
</script>`;

const executablePath = findChromium();
if (executablePath === undefined) {
  console.log("skipped: no Chromium (Debian: apt-get install chromium, or set GLIMT_CHROMIUM)");
}
const inChromium = executablePath === undefined ? test.skip : test;

const files = new Map(
  readdirSync(CHECKPOINT)
    .filter((name) => !name.startsWith("."))
    .map((name) => [name, new Uint8Array(readFileSync(join(CHECKPOINT, name)))]),
);
/** A file of two parts and a bit. */
const big = Uint8Array.from({ length: 2 * PART_BYTES + 100 }, (_, i) => (i * 7) & 255);

interface Asked {
  readonly answer: Answer;
  readonly seen: readonly (readonly [number, number])[];
}

inChromium("a private model is downloaded once, verified, loaded offline, listed and removed", async () => {
  const expected = await answerInNode();
  const repositories = {
    "glimt/demo": { files, commit: COMMIT, private: true },
    "glimt/small": { files: new Map([["small.gguf", big.slice(0, 3000)]]), commit: COMMIT },
    "glimt/big": { files: new Map([["big.gguf", big]]), commit: COMMIT },
  };
  await withHub(repositories, async (hub) => {
    const server = await serveLoopback(FOLDERS, { "/": PAGE });
    const browser = await chromium.launch({ executablePath: executablePath!, args: ARGS });
    try {
      const page = await browser.newPage();
      // Requests to another origin, as to the Hub.
      await page.goto(server.origin);
      await page.waitForFunction("globalThis.ask");
      const options = { endpoint: hub.endpoint, token: TOKEN };
      const ask = (name: string, more: object) =>
        page.evaluate(
          `ask(${JSON.stringify(name)}, ${JSON.stringify({ ...options, ...more })})`,
        ) as Promise<Asked>;
      const call = (text: string) => page.evaluate(text.replaceAll("HUB", JSON.stringify({ hub: options })));

      const first = await ask("glimt/demo", {});
      assert.equal(first.answer, expected);
      const weights = files.get("model.safetensors")!.length;
      assert.equal(first.seen.at(-1), [weights, weights]);
      const sent = hub.requests.filter(({ at, method }) => at === "cdn" && method === "GET");
      assert.equal([...new Set(sent.map(({ authorization }) => authorization))], [null]);

      hub.requests.length = 0;
      assert.equal((await ask("glimt/demo", { offline: true })).answer, expected);
      assert.equal(hub.requests, []);
      assert.equal((await ask("glimt/demo", {})).seen, []);
      assert.equal(
        hub.requests.map(({ at }) => at),
        ["api"],
      );

      const models = (await call("glimt.listModels(HUB)")) as {
        repository: string;
        bytes: number;
        lastUsed: number;
      }[];
      assert.equal(
        models.map(({ repository }) => repository),
        ["glimt/demo"],
      );
      assert.ok(models[0]!.bytes > weights && models[0]!.lastUsed > 0);

      // Cut off behind its first part; then what came is not asked for again.
      hub.misbehave = ({ at, range }) => at === "cdn" && range?.[0] === PART_BYTES;
      const cut = call(`(async () => {
        const control = new AbortController();
        const pulling = glimt.pullModel("glimt/big/big.gguf", { ...HUB, signal: control.signal }).catch(({ code }) => code);
        for (let kept = 0; kept < ${PART_BYTES + 100}; ) {
          await new Promise((resolve) => setTimeout(resolve, 50));
          const models = await glimt.listModels(HUB).catch(() => []);
          kept = models.find(({ repository }) => repository === "glimt/big")?.unfinishedBytes ?? 0;
        }
        control.abort();
        return pulling;
      })()`);
      assert.is(await cut, "ABORTED");
      hub.misbehave = null;
      hub.requests.length = 0;
      await call(`glimt.pullModel("glimt/big/big.gguf", HUB)`);
      const asked = hub.requests.filter(({ at, range }) => at === "cdn" && range && range[1] - range[0] > 10);
      assert.equal(
        asked.map(({ range }) => range?.[0]),
        [PART_BYTES],
      );
      const digest = await call(`(async () => {
        const files = await glimt.openFiles("glimt/big/big.gguf", { hub: { ...HUB.hub, offline: true } });
        const into = new Uint8Array(${big.length});
        await files.readInto("big.gguf", 0, into);
        const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", into));
        return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
      })()`);
      assert.is(digest, sha256(big));

      // Read as one part first: Chromium asks for the whole then as for that part, and hands out status 206.
      const small = await call(`(async () => {
        const files = await glimt.openFiles("glimt/small/small.gguf", HUB);
        await files.readInto("small.gguf", 0, new Uint8Array(3000));
        await files.bring(["small.gguf"]);
        const size = await files.size("small.gguf");
        await glimt.removeModel("glimt/small", HUB);
        return size;
      })()`);
      assert.is(small, 3000);

      const freed = await call(`glimt.removeModel("glimt/demo", HUB)`);
      assert.is(freed, models[0]!.bytes);
      const left = (await call("glimt.listModels(HUB)")) as { repository: string; bytes: number }[];
      assert.equal(
        left.map(({ repository, bytes }) => [repository, bytes]),
        [["glimt/big", big.length]],
      );
    } finally {
      await browser.close();
      server.close();
    }
  });
});

test.run();
