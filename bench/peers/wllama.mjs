/**
 * wllama, which is llama.cpp compiled to WebAssembly, in a Chromium without a window: `node wllama.mjs FILE.gguf CHROMIUM`.
 *
 * Times are its own (`timings` of an answer): of reading the prompt, and of all tokens after the first, with choosing
 * them. Browsers tell no processor time. It takes text alone, so the prompt is as many tokens as asked for, but one token
 * again and again.
 */
import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { serve } from "./child.mjs";

const [file, executablePath] = process.argv.slice(2);
/** One token whatever stands beside it. */
const TOKEN = "<|assistant|>";

const root = dirname(fileURLToPath(import.meta.resolve("@wllama/wllama")));
const TYPES = { ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };

const server = createServer((request, response) => {
  // Without these a page has no shared memory, so no threads.
  response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
  response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
  const path = normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname));
  if (path === "/") return response.setHeader("Content-Type", "text/html").end("<!doctype html>");
  const served = path === "/model.gguf" ? file : join(root, path);
  if (!statSync(served, { throwIfNoEntry: false })?.isFile()) return response.writeHead(404).end();
  response.setHeader("Content-Type", TYPES[extname(served)] ?? "application/octet-stream");
  createReadStream(served).pipe(response);
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
let current;

/** A page with the model loaded, kept until another number of threads is asked for. */
async function page(threads) {
  if (current?.threads === threads) return current.page;
  await current?.page.close();
  const opened = await browser.newPage();
  await opened.goto(`http://127.0.0.1:${server.address().port}/`);
  await opened.evaluate(async (threads) => {
    const { Wllama } = await import("/index.js");
    const quiet = { debug() {}, log() {}, warn() {}, error: console.error };
    const wllama = new Wllama({ default: "/wasm/wllama.wasm" }, { logger: quiet, suppressNativeLog: true });
    const blob = await (await fetch("/model.gguf")).blob();
    await wllama.loadModel([blob], {
      n_threads: threads,
      n_ctx: 1024,
      n_batch: 512,
      n_ubatch: 512,
      n_parallel: 1,
      n_gpu_layers: 0,
      warmup: false,
    });
    if (wllama.getNumThreads() !== threads) throw new Error(`wllama takes ${wllama.getNumThreads()} threads`);
    globalThis.wllama = wllama;
  }, threads);
  current = { page: opened, threads };
  return opened;
}

function complete(threads, { ids, ...request }) {
  const options = { prompt: TOKEN.repeat(ids.length), temperature: 0, ignore_eos: true, ...request };
  return page(threads).then((opened) =>
    opened.evaluate((request) => globalThis.wllama.createCompletion(request), options),
  );
}

await serve({
  about: async ({ threads }) => {
    const opened = await page(threads);
    const version = await opened.evaluate(async () => {
      const { Wllama } = await import("/index.js");
      return Wllama.getLibllamaVersion();
    });
    return { about: `wllama, llama.cpp ${version}, in Chromium ${browser.version()}` };
  },

  prefill: async ({ ids, threads }) => {
    const { timings } = await complete(threads, { ids, max_tokens: 1, cache_prompt: false });
    if (timings.prompt_n !== ids.length) throw new Error(`wllama read ${timings.prompt_n} tokens`);
    return { times: [{ ms: timings.prompt_ms }] };
  },

  /** `steps` tokens after `ids`, which stay in its cache from call to call. */
  decode: async ({ ids, steps, threads }) => {
    const { timings } = await complete(threads, { ids, max_tokens: steps + 1, cache_prompt: true });
    if (timings.predicted_n < steps) throw new Error(`wllama gave ${timings.predicted_n} tokens`);
    return { times: [{ ms: timings.predicted_ms / (timings.predicted_n - 1) }] };
  },
});
