/**
 * Builds the page and serves it on this machine: `node examples/web/serve.mjs [--port N]` (`npm run web`). With the headers that make
 * it cross-origin isolated, so that the model runs on several threads.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { buildWeb, OUT, POLICY } from "./build.mjs";

const HEADERS = {
  "content-security-policy": `${POLICY}; frame-ancestors 'none'`,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
  "x-content-type-options": "nosniff",
  "cache-control": "no-cache",
};

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
};

/** @param port 0: one that is free. @returns its address, and what ends it */
export async function serveWeb(port) {
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise((resolve, reject) => {
    server.once("error", (error) => {
      const isTaken = error.code === "EADDRINUSE";
      reject(isTaken ? new Error(`Port ${port} is in use: give another one (--port).`) : error);
    });
    server.listen(port, "127.0.0.1", resolve);
  });
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { origin: `http://127.0.0.1:${server.address().port}`, close };
}

async function answer(request, response) {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  if (request.method !== "GET" && request.method !== "HEAD") return response.writeHead(405).end();
  const path = pathOf(request.url);
  if (path === null) return response.writeHead(400).end();
  const file = join(OUT, path.endsWith("/") ? `${path}index.html` : path);
  const facts = file.startsWith(OUT) ? await stat(file).catch(() => null) : null;
  if (!facts?.isFile()) return response.writeHead(404).end();
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const start = range ? Number(range[1]) : 0;
  const end = Math.min(range?.[2] ? Number(range[2]) : Number.POSITIVE_INFINITY, facts.size - 1);
  if (range && start > end) {
    return response.writeHead(416, { "content-range": `bytes */${facts.size}` }).end();
  }
  response.writeHead(range ? 206 : 200, {
    "content-type": TYPES[extname(file)] ?? "application/octet-stream",
    "content-length": facts.size === 0 ? 0 : end - start + 1,
    "accept-ranges": "bytes",
    ...(range && { "content-range": `bytes ${start}-${end}/${facts.size}` }),
  });
  if (request.method === "HEAD" || facts.size === 0) return response.end();
  return createReadStream(file, { start, end }).pipe(response);
}

/** Null for an address that can not be read, such as "/%". */
function pathOf(address) {
  try {
    return normalize(decodeURIComponent(new URL(address, "http://localhost").pathname));
  } catch {
    return null;
  }
}

/** @throws before the page is built, which takes longest */
function portOf(text) {
  const port = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65535) return port;
  throw new Error(`--port is "${text}", expected a whole number from 0 (one that is free) to 65535.`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  try {
    const { values } = parseArgs({ options: { port: { type: "string", default: "8080" } } });
    const port = portOf(values.port);
    await buildWeb();
    const { origin } = await serveWeb(port);
    console.log(`${origin}/`);
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
