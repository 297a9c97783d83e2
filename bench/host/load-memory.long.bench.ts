/**
 * What loading takes: the most memory, beside what stays, and the time, beside that of reading the same bytes:
 * `npm run bench -- load-memory --checkpoint DIR`, which may be repeated, with a directory that bench/make_checkpoint.py or
 * `glimt quantize` wrote, or a GGUF file. Each case loads in a process of its own (Linux), whose resident memory is
 * looked at when it starts, at its most, and once the model is there. "allowed" is 1.05 times what stays and the largest
 * weight. "reading" is how long it takes to read the weight files into fresh WebAssembly memory, in a process of its own
 * too. Of `--runs` the fastest counts.
 */
import { spawn } from "node:child_process";
import { createReadStream, openAsBlob, readdirSync, readFileSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
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
    checkpoint: { type: "string", multiple: true, default: [] },
    dtypes: { type: "string", default: "stored,f32,q8,q4" },
    sources: { type: "string", default: "directory,http,blobs" },
    threads: { type: "string", default: "1" },
    runs: { type: "string", default: "1" },
    /** Of a process that measures one case: a directory, or an address. */
    load: { type: "string" },
    dtype: { type: "string", default: "stored" },
    /** Of a process that reads the bytes alone. */
    read: { type: "string" },
  },
});
const MIB = 2 ** 20;
const READ_BYTES = 8 * MIB;

if (flags.read !== undefined) await measureReading(flags.read);
else if (flags.load !== undefined) await measureOne(flags.load);
else await measureAll();

async function measureAll(): Promise<void> {
  if (flags.checkpoint.length === 0) {
    throw new Error(
      "Give --checkpoint DIR, made by `python bench/make_checkpoint.py --model glm-ocr --out DIR`.",
    );
  }
  for (const checkpoint of flags.checkpoint) await measureCheckpoint(checkpoint);
}

async function measureCheckpoint(checkpoint: string): Promise<void> {
  const isFile = statSync(checkpoint).isFile();
  const server = await serve(checkpoint);
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const [reading = Number.NaN] = await fastestOf(["--read", checkpoint]);
  console.log(
    `\n${checkpoint}: ${Math.round(weightBytes(checkpoint) / MIB)} MiB, read in ${reading.toFixed(2)} s`,
  );
  console.log(row("MiB over the start", "weights", "stays", "peak", "allowed", "seconds", "/ reading"));
  for (const source of isFile ? ["directory"] : flags.sources.split(",")) {
    for (const dtype of flags.dtypes.split(",")) {
      const from = source === "http" ? address : checkpoint;
      const args = ["--load", source === "blobs" ? `blobs:${from}` : from, "--dtype", dtype];
      const found = await fastestOf([...args, "--threads", flags.threads]);
      const [seconds = Number.NaN, ...memory] = found;
      const cells = memory.map((mib) => String(Math.round(mib)));
      console.log(
        row(
          `${isFile ? "file" : source}, ${dtype}`,
          ...cells,
          seconds.toFixed(2),
          (seconds / reading).toFixed(2),
        ),
      );
    }
  }
  server.close();
}

/** The numbers of the fastest of the runs, the seconds first. */
async function fastestOf(args: readonly string[]): Promise<number[]> {
  const runs: number[][] = [];
  for (let run = 0; run < Number(flags.runs); run++) runs.push(await childRun(args));
  return runs.sort((a, b) => (a[0] as number) - (b[0] as number))[0] as number[];
}

function weightFiles(checkpoint: string): string[] {
  if (statSync(checkpoint).isFile()) return [checkpoint];
  const names = readdirSync(checkpoint).filter((name) => name.endsWith(".safetensors"));
  return names.map((name) => join(checkpoint, name));
}

function weightBytes(checkpoint: string): number {
  return weightFiles(checkpoint).reduce((sum, file) => sum + statSync(file).size, 0);
}

/** Reads the weight files into memory that nobody has touched. */
async function measureReading(checkpoint: string): Promise<void> {
  const page = 65_536;
  const begin = performance.now();
  const memory = new WebAssembly.Memory({ initial: Math.ceil(weightBytes(checkpoint) / page) });
  let at = 0;
  for (const path of weightFiles(checkpoint)) {
    const file = await open(path);
    const { size } = await file.stat();
    for (let done = 0; done < size; ) {
      const into = new Uint8Array(memory.buffer, at + done, Math.min(READ_BYTES, size - done));
      done += (await file.read(into, 0, into.length, done)).bytesRead;
    }
    at += size;
    await file.close();
  }
  process.stdout.write(`${JSON.stringify([(performance.now() - begin) / 1000])}\n`);
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
  const numbers = [model.liveBytes, stays, peak, allowed].map((bytes) => bytes / MIB);
  process.stdout.write(`${JSON.stringify([seconds, ...numbers])}\n`);
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

async function childRun(args: readonly string[]): Promise<number[]> {
  const child = spawn(process.execPath, ["--expose-gc", fileURLToPath(import.meta.url), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (data) => {
    output += data;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  if (code !== 0) throw new Error(`${args.join(" ")} failed`);
  return JSON.parse(output);
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
