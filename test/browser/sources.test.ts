/** Sources in a real browser: what its pages and workers may read, and what they are told when they may not. */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { chromium } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ARGS, findChromium } from "./chromium.ts";
import { serveLoopback } from "./loopback.ts";

const CHECKPOINT = "test/golden/data/glm4v-tiny";
const PICTURE = "test/golden/data/media/rgb.png";
const picture = readFileSync(PICTURE);

/** Answers [code, message] for each [source, sources]; ["read", ""] for what is read. */
const READ = `
globalThis.readAll = async (base, cases) => {
  const { openProcessor } = await import(base + "/dist/edge.js");
  const processor = await openProcessor(base + "/${CHECKPOINT}");
  const found = [];
  for (const [image, sources] of cases) {
    const messages = [{ role: "user", content: [{ type: "image", image }] }];
    const result = await processor.process(messages, { sources }).then(() => ["read", ""], (error) => [error.code, error.message]);
    found.push(result);
  }
  return found;
};`;
const PAGE = `<!doctype html><link rel="icon" href="data:,"><script>${READ}</script>`;
const WORKER = `${READ} onmessage = async ({ data }) => postMessage(await readAll(...data));`;

const executablePath = findChromium();
if (executablePath === undefined) {
  console.log("skipped: no Chromium (Debian: apt-get install chromium, or set GLIMT_CHROMIUM)");
}
const inChromium = executablePath === undefined ? test.skip : test;

interface Page {
  readAll(base: string, cases: readonly unknown[]): Promise<[string, string][]>;
}

type Case = readonly [image: string, sources: unknown, code: string, message?: RegExp];

inChromium("Chromium: addresses of pages and workers, redirects, CORS", async () => {
  const own = await serveLoopback({ "/dist/": "dist", "/test/": "test" }, { "/": PAGE });
  const other = createServer(({ url }, response) => {
    if (url !== "/closed.png") response.setHeader("access-control-allow-origin", "*");
    if (url === "/redirect") return void response.writeHead(302, { location: "/a.png" }).end();
    if (url === "/page") return void response.end("<!doctype html>");
    response.end(picture);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => other.on("listening", resolve));
  const far = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  const hosts = { hosts: ["127.0.0.1"] };
  const cases: Case[] = [
    [PICTURE, "any", "read"],
    [`/${PICTURE}`, hosts, "read"],
    [`${far}/a.png`, "any", "read"],
    [`${far}/a.png`, hosts, "read"],
    [`${far}/redirect`, "any", "read"],
    [`data:image/png;base64,${picture.toString("base64")}`, "inline", "read"],
    [picture.toString("base64"), "inline", "read"],
    [`${far}/redirect`, hosts, "SOURCE_REFUSED"],
    [PICTURE, "inline", "SOURCE_REFUSED"],
    [`${far}/a.png`, { hosts: ["public"] }, "SOURCE_REFUSED"],
    ["http://localhost:1/a.png", { hosts: ["public"] }, "SOURCE_REFUSED"],
    [`${far}/closed.png`, "any", "IMAGE_INVALID", /CORS: it must send Access-Control-Allow-Origin\)\.$/],
    [`${far}/page`, "any", "IMAGE_INVALID", /a web page's \(HTML\)/],
    ["file:///etc/hosts", "any", "IMAGE_INVALID", /no file: ones/],
    ["http://bob:s3cret@127.0.0.1:9/a.png", "any", "IMAGE_INVALID", /^(?!.*s3cret).*127\.0\.0\.1:9/],
  ];
  const given = cases.map(([image, sources]) => [image, sources]);
  const browser = await chromium.launch({ executablePath: executablePath!, args: ARGS });
  try {
    const page = await browser.newPage();
    await page.goto(own.origin);
    const inPage = await page.evaluate(
      ([base, list]) => (globalThis as unknown as Page).readAll(base, list),
      [own.origin, given] as const,
    );
    check(cases, inPage, "page");
    const inWorker = await page.evaluate(
      ([base, list, script]) => {
        const worker = new Worker(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
        worker.postMessage([base, list]);
        return new Promise<[string, string][]>((resolve) => {
          worker.onmessage = ({ data }) => resolve(data);
        });
      },
      [own.origin, given, WORKER] as const,
    );
    // What a Blob's address is the base of has none.
    const blobCases = cases.map((one): Case => {
      const [image, sources] = one;
      return image.endsWith(PICTURE) ? [image, sources, "IMAGE_INVALID", /it is a relative address/] : one;
    });
    check(blobCases, inWorker, "worker of a Blob");
  } finally {
    await browser.close();
    own.close();
    other.closeAllConnections();
    other.close();
  }
});

function check(cases: readonly Case[], found: readonly (readonly [string, string])[], where: string): void {
  cases.forEach(([image, sources, code, message], index) => {
    const [foundCode, said] = found[index] ?? ["", ""];
    const what = `${where}: ${image.slice(0, 60)} with ${JSON.stringify(sources)}: ${said}`;
    assert.is(foundCode, code, what);
    if (message) assert.match(said, message, what);
  });
}

test.run();
