/** A checkpoint of another origin in a real browser: what its server allows, hides and redirects. */
import { readdirSync, readFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nameOf, serve, withServer } from "../checkpoint/server.ts";
import { CHECKPOINT } from "./answer.mjs";
import { ARGS, findChromium } from "./chromium.ts";
import { type Loopback, serveLoopback } from "./loopback.ts";

const executablePath = findChromium();
if (executablePath === undefined) {
  console.log("skipped: no Chromium (Debian: apt-get install chromium, or set GLIMT_CHROMIUM)");
}
const inChromium = executablePath === undefined ? test.skip : test;

const files = new Map(
  readdirSync(CHECKPOINT)
    .filter((name) => /\.(json|jinja|safetensors)$/.test(name))
    .map((name) => [name, readFileSync(join(CHECKPOINT, name))]),
);
const ALLOWED = { "access-control-allow-origin": "*" };

let browser: Browser;
let pages: Loopback;
test.before(async () => {
  if (executablePath === undefined) return;
  pages = await serveLoopback(
    { "/dist/": "dist" },
    { "/": '<!doctype html><link rel="icon" href="data:,">' },
  );
  browser = await chromium.launch({ executablePath, args: ARGS });
});
test.after(async () => {
  await browser?.close();
  pages?.close();
});

/** Opens the checkpoint at an address, reads 100 bytes of its weights twice, and says what came of it. */
async function open(address: string, headers: Record<string, string> = {}): Promise<string> {
  const page = await browser.newPage();
  try {
    await page.goto(pages.origin);
    // As text: a bundler would resolve the import.
    return await page.evaluate(`(async () => {
      const { openCheckpoint, openFiles } = await import("/dist/edge.js");
      try {
        const files = await openFiles(${JSON.stringify(address)}, { headers: ${JSON.stringify(headers)} });
        const { config, tensors } = await openCheckpoint(files);
        const into = new Uint8Array(100);
        for (const offset of [0, 100]) await files.readInto("model.safetensors", offset, into);
        return config.family + " " + (tensors.size > 0) + " " + into.slice(0, 3);
      } catch (error) {
        return error.code + ": " + error.message;
      }
    })()`);
  } finally {
    await page.close();
  }
}

const RIGHT = new RegExp(`^\\w+ true ${files.get("model.safetensors")?.subarray(100, 103).join()}$`);

inChromium("a server that allows no other origin: the error says CORS", () => {
  const asked: string[] = [];
  return withServer(
    (request, response) => {
      asked.push(`${request.method} ${request.url}`);
      serve(files, request, response);
    },
    async (url) => {
      assert.match(await open(url), /^CHECKPOINT_NOT_FOUND: .*its server answers.*CORS/);
      assert.ok(asked.length <= 4, `it is not asked again and again: ${asked.join(", ")}`);
    },
  );
});

inChromium("a server that shows its files and hides that one is not there: it is absent", () =>
  withServer(
    (request, response) => {
      const headers = files.has(nameOf(request)) ? ALLOWED : {};
      serve(files, request, response, { headers });
    },
    async (url) => assert.match(await open(url), RIGHT),
  ),
);

/** Refuses every request for leave, as a plain file server does. */
const withoutLeave =
  (headers: Record<string, string>): RequestListener =>
  (request, response) => {
    if (request.method === "OPTIONS") return response.writeHead(405).end();
    return serve(files, request, response, { headers: { ...ALLOWED, ...headers } });
  };

inChromium(
  "a server that only allows to read: nothing is sent that needs leave, whatever it exposes",
  async () => {
    for (const exposed of ["", "ETag", "ETag, Content-Range, Last-Modified"]) {
      const headers = { etag: '"a"', ...(exposed && { "access-control-expose-headers": exposed }) };
      await withServer(withoutLeave(headers), async (url) => assert.match(await open(url), RIGHT));
    }
  },
);

inChromium("headers stay with their origin over redirects, or the redirect is refused", async () => {
  const seen: unknown[] = [];
  await withServer(
    (request, response) => {
      seen.push(request.headers.authorization ?? null, request.headers["x-api-key"] ?? null);
      withoutLeave({})(request, response);
    },
    (elsewhere) =>
      withServer(
        (request, response) => {
          const leave = { ...ALLOWED, "access-control-allow-headers": "authorization, x-api-key, range" };
          if (request.method === "OPTIONS") return response.writeHead(204, leave).end();
          return response.writeHead(302, { ...leave, location: `${elsewhere}/${nameOf(request)}` }).end();
        },
        async (url) => {
          assert.match(await open(url, { Authorization: "Bearer secret" }), RIGHT);
          assert.match(await open(url), RIGHT);
          assert.match(await open(url, { "x-api-key": "secret" }), /^CHECKPOINT_NOT_FOUND: .*x-api-key/);
        },
      ),
  );
  assert.ok(seen.length > 0);
  assert.ok(seen.every((value) => value === null));
});

test.run();
