/**
 * The most memory that loading takes, beside what stays: `npm run bench -- load-memory --checkpoint DIR`, with a
 * directory that bench/make_checkpoint.py wrote. Each case loads in a process of its own (Linux), whose resident memory is
 * looked at when it starts, at its most, and once the model is there. "allowed" is 1.05 times what stays and the largest
 * weight.
 */
import { spawn } from "node:child_process";
import { createReadStream, openAsBlob, readdirSync, readFileSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import * as edge from "../../src/edge.ts";
import * as node from "../../src/index.ts";
import { row } from "../kernels.ts";

const { values: flags } = parseArgs({
  options: {
    checkpoint: { type: "string" },
    dtypes: { type: "string", default: "stored,f32,q8,q4" },
    sources: { type: "string", default: "directory,http,blobs" },
    threads: { type: "string", default: "1" },
    /** Of a process that measures one case: a directory, or an address. */
    load: { type: "string" },
    dtype: { type: "string", default: "stored" },
  },
});
const MIB = 2 ** 20;

if (flags.load === undefined) await measureAll();
else await measureOne(flags.load);

async function measureAll(): Promise<void> {
  const { checkpoint } = flags;
  if (checkpoint === undefined) {
    throw new Error(
      "Give --checkpoint DIR, made by `python bench/make_checkpoint.py --model glm-ocr --out DIR`.",
    );
  }
  const server = await serve(checkpoint);
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  console.log(row("MiB over the start", "weights", "stays", "peak", "allowed", "seconds"));
  for (const source of flags.sources.split(",")) {
    for (const dtype of flags.dtypes.split(",")) {
      const from = source === "http" ? address : checkpoint;
      const args = ["--load", source === "blobs" ? `blobs:${from}` : from, "--dtype", dtype];
      await childRun([...args, "--threads", flags.threads], `${source}, ${dtype}`);
    }
  }
  server.close();
}

/** Loads and says how much memory that took. */
async function measureOne(from: string): Promise<void> {
  const { dtype } = flags;
  const options = {
    backend: "wasm",
    threads: Number(flags.threads),
    ...(dtype !== "stored" && { dtype: dtype as NonNullable<node.LoadOptions["dtype"]> }),
  } as const;
  const blobs = from.startsWith("blobs:") ? await blobsOf(from.slice("blobs:".length)) : null;
  globalThis.gc?.();
  const start = statusBytes("VmRSS");
  const begin = performance.now();
  let [largest, last] = [0, 0];
  const onProgress = ({ loadedBytes }: { readonly loadedBytes: number }) => {
    largest = Math.max(largest, loadedBytes - last);
    last = loadedBytes;
  };
  const model = blobs
    ? await edge.loadModel(blobs, { ...options, onProgress })
    : await node.loadModel(from, { ...options, onProgress });
  const seconds = (performance.now() - begin) / 1000;
  const peak = statusBytes("VmHWM") - start;
  globalThis.gc?.();
  await new Promise((resolve) => setTimeout(resolve, 200));
  globalThis.gc?.();
  const stays = statusBytes("VmRSS") - start;
  const allowed = 1.05 * stays + largest;
  const numbers = [model.liveBytes, stays, peak, allowed].map((bytes) => Math.round(bytes / MIB));
  process.stdout.write(`${JSON.stringify([...numbers, seconds])}\n`);
  await model.dispose();
}

/** Of this process, as Linux counts it. */
function statusBytes(name: string): number {
  const line = new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(readFileSync("/proc/self/status", "utf8"));
  return Number(line?.[1]) * 1024;
}

async function blobsOf(directory: string): Promise<Map<string, Blob>> {
  const names = readdirSync(directory).filter((name) => statSync(join(directory, name)).isFile());
  return new Map(
    await Promise.all(names.map(async (name) => [name, await openAsBlob(join(directory, name))] as const)),
  );
}

async function childRun(args: readonly string[], title: string): Promise<void> {
  const child = spawn(process.execPath, ["--expose-gc", fileURLToPath(import.meta.url), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (data) => {
    output += data;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  console.log(code === 0 ? row(title, ...(JSON.parse(output) as number[])) : row(title, "failed"));
}

/** The files of a directory, with Range requests. */
async function serve(directory: string): Promise<Server> {
  const server = createServer((request, response) => {
    const path = join(directory, new URL(request.url ?? "/", "http://host").pathname.slice(1));
    const size = statSync(path, { throwIfNoEntry: false })?.size;
    if (size === undefined) {
      response.writeHead(404).end();
      return;
    }
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    const from = Number(first ?? 0);
    const to = last ? Math.min(Number(last), size - 1) : size - 1;
    response.writeHead(first === undefined ? 200 : 206, {
      "accept-ranges": "bytes",
      "content-length": to - from + 1,
      ...(first !== undefined && { "content-range": `bytes ${from}-${to}/${size}` }),
    });
    if (request.method === "HEAD") response.end();
    else createReadStream(path, { start: from, end: to }).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
