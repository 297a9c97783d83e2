/**
 * What a model takes that lies far away: `npm run bench -- remote --checkpoint DIR --latency 50`, with the demo (default) or a
 * directory that bench/make_checkpoint.py wrote. A process of its own serves it as Hugging Face's Hub does, each answer late
 * by so many milliseconds and at most so many bytes a second (--rate, MB/s; 0: as fast as it goes): requests and seconds of a
 * model loaded straight from the address of its files, by its name with an empty cache, and once it is there.
 */
import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type LoadOptions, loadModel, type ModelLocation, pullModel } from "../src/index.ts";
import { row } from "./kernels.ts";

const { values: flags } = parseArgs({
  options: {
    checkpoint: { type: "string", default: "examples/demo/checkpoint" },
    latency: { type: "string", default: "50" },
    rate: { type: "string", default: "0" },
    runs: { type: "string", default: "1" },
    /** Of the process that serves. */
    serve: { type: "boolean", default: false },
  },
});
const COMMIT = "0123456789abcdef0123456789abcdef01234567";

if (flags.serve) await serve(flags.checkpoint, Number(flags.latency), Number(flags.rate) * 1e6);
else await measure();

async function measure(): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), [...process.argv.slice(2), "--serve"]);
  let count = 0;
  const address = await new Promise<string>((resolve) => {
    child.on("message", (message: { address?: string; requests?: number }) => {
      if (message.address !== undefined) resolve(message.address);
      else count += message.requests ?? 0;
    });
  });
  const cacheDir = mkdtempSync(join(tmpdir(), "glimt-bench-hub-"));
  const hub = { endpoint: address, cacheDir, token: false } as const;
  const timed = async (title: string, run: () => Promise<unknown>) => {
    count = 0;
    const start = performance.now();
    await run();
    const seconds = (performance.now() - start) / 1000;
    // Its count comes by another way than its answers.
    await new Promise((resolve) => setTimeout(resolve, 200));
    console.log(row(title, String(count), seconds));
  };
  const load = async (from: ModelLocation, options: LoadOptions = {}) => {
    const model = await loadModel(from, { backend: "wasm", threads: 1, ...options });
    await model.dispose();
  };
  try {
    console.log(row(`${flags.latency} ms`, "requests", "seconds"));
    await timed("a directory", () => load(flags.checkpoint));
    for (let run = 0; run < Number(flags.runs); run++) {
      await timed("straight", () => load(`${address}/org/model/resolve/main`));
      rmSync(join(cacheDir, "models--org--model"), { recursive: true, force: true });
      await timed("pulled", () => pullModel("org/model", { hub }));
      await timed("by name, here", () => load("org/model", { hub }));
      rmSync(join(cacheDir, "models--org--model"), { recursive: true, force: true });
      await timed("by name, empty", () => load("org/model", { hub }));
    }
  } finally {
    rmSync(cacheDir, { recursive: true, force: true });
    child.kill();
  }
}

/** The Hub's two routes over a directory; large files are behind a redirect. */
async function serve(directory: string, latency: number, rate: number): Promise<void> {
  const files = new Map<string, { size: number; large: boolean; hash: string }>();
  for (const name of readdirSync(directory)) {
    const found = statSync(join(directory, name));
    if (!found.isFile()) continue;
    const large = name.endsWith(".safetensors");
    const hash = createHash(large ? "sha256" : "sha1");
    if (!large) hash.update(`blob ${found.size}\0`);
    for await (const piece of createReadStream(join(directory, name))) hash.update(piece);
    files.set(name, { size: found.size, large, hash: hash.digest("hex") });
  }
  const server = createServer((request, response) => {
    process.send?.({ requests: 1 });
    setTimeout(() => {
      const { pathname } = new URL(request.url ?? "/", "http://host");
      if (pathname.startsWith("/api/")) {
        const siblings = [...files].map(([rfilename, { size, large, hash }]) => ({
          rfilename,
          size,
          ...(large ? { lfs: { sha256: hash, size } } : { blobId: hash }),
        }));
        response.end(JSON.stringify({ sha: COMMIT, siblings }));
        return;
      }
      const name = pathname.split("/").at(-1) ?? "";
      const file = files.get(name);
      if (!file) return response.writeHead(404).end();
      const headers = { "x-repo-commit": COMMIT, etag: `"${file.hash}"` };
      if (file.large && !pathname.startsWith("/blobs/")) {
        const linked = { "x-linked-size": file.size, "x-linked-etag": `"${file.hash}"` };
        return response.writeHead(302, { ...headers, ...linked, location: `/blobs/${name}` }).end();
      }
      const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
      const start = Number(first ?? 0);
      const end = Math.min(Number(last ?? file.size - 1), file.size - 1);
      response.writeHead(first === undefined ? 200 : 206, {
        ...headers,
        "content-length": end - start + 1,
        ...(first !== undefined && { "content-range": `bytes ${start}-${end}/${file.size}` }),
      });
      if (request.method === "HEAD") return response.end();
      const content = createReadStream(join(directory, name), { start, end, highWaterMark: 1 << 20 });
      if (rate === 0) return content.pipe(response);
      // All connections share the line.
      content.on("data", (piece) => {
        content.pause();
        line = line.then(() => new Promise((resolve) => setTimeout(resolve, (1000 * piece.length) / rate)));
        line.then(() => response.write(piece, () => content.resume()));
      });
      content.on("end", () => line.then(() => response.end()));
    }, latency);
  });
  let line = Promise.resolve();
  server.listen(0, "127.0.0.1", () => {
    process.send?.({ address: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  });
}
