/**
 * Builds of the kernel module side by side, in turns in one process, so that what else the machine does hits all alike:
 * `npm run bench -- compare --modules OLD.wasm,NEW.wasm [--cases vision:2552,linear:48:bf16] [--rounds 15]`. Modules of
 * a kind, as build/wasm/kernels.relaxed.wasm, which run on one thread; each is checked before it is timed. Cases are vision:PATCHES,
 * paged:QUERIES:CONTEXT[:DTYPE[:PAGES]] (of the cache), linear:ROWS:DTYPE[:N:K] and chain:DTYPE (a row, with a weight in a core's caches). Medians, and shares of the first module's multiply-add peak.
 */
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { wasmBackend } from "../src/backends/wasm/backend.ts";
import { WasmEngine } from "../src/backends/wasm/engine.ts";
import { instantiateKernels, type Kernels } from "../src/backends/wasm/kernels.ts";
import { chooseVariant } from "../src/backends/wasm/variants.ts";
import type { CacheDType } from "../src/tensor/dtype.ts";
import type { RoundedFormat } from "../src/tensor/storage.ts";
import { pagedAttention, visionAttention } from "./attentions.ts";
import { type OpenEngine, processorMs, row, type TimedKernel } from "./kernels.ts";
import { chainedProducts, linear } from "./products.ts";

const { values: flags } = parseArgs({
  options: {
    modules: { type: "string", default: "build/wasm/kernels.relaxed.wasm" },
    cases: {
      type: "string",
      default: "vision:1024,paged:512:512,linear:684:f32,linear:684:bf16,linear:1:bf16",
    },
    rounds: { type: "string", default: "15" },
  },
});
const paths = flags.modules.split(",");
const rounds = Number(flags.rounds);
const PEAK_ITERATIONS = 3e6;

const peak = await kernelsOf(paths[0] as string);
for (const name of flags.cases.split(",")) await compare(name);

async function compare(name: string): Promise<void> {
  const kernels: TimedKernel[] = [];
  for (const path of paths) {
    kernels.push(await makeCase(name, async () => new WasmEngine(wasmBackend, await kernelsOf(path))));
  }
  const runs = [
    async () => peak.glimt_peak_arithmetic(PEAK_ITERATIONS, 0.5, 0.25),
    ...kernels.map(({ run }) => run),
  ];
  const times: number[][] = runs.map(() => []);
  for (let round = -4; round < rounds; round++) {
    for (const [index, run] of runs.entries()) {
      const began = processorMs();
      await run();
      if (round >= 0) times[index]?.push(processorMs() - began);
    }
    // The engine compiles hot functions again in the background.
    if (round < 0) await new Promise((resolve) => setTimeout(resolve, 60));
  }
  const ceiling = (96 * PEAK_ITERATIONS) / median(times[0] as number[]) / 1e6;
  console.log(row(kernels[0]?.name ?? name, "ms", "of peak", "time"));
  const first = times[1] as number[];
  for (const [index, path] of paths.entries()) {
    const own = times[index + 1] as number[];
    const share = (kernels[index] as TimedKernel).operations / median(own) / 1e6 / ceiling;
    // Of the same round: what slows one slows the other.
    const ratio = median(own.map((ms, round) => ms / (first[round] as number)));
    console.log(row(`  ${path}`, median(own), share.toFixed(3), ratio.toFixed(3)));
  }
  for (const { engine } of kernels) engine.dispose();
}

async function kernelsOf(path: string): Promise<Kernels> {
  const choice = chooseVariant({ threads: false });
  if ("reason" in choice) throw new Error(choice.reason);
  return instantiateKernels({ ...choice.variant, load: async () => new Uint8Array(await readFile(path)) });
}

function makeCase(text: string, open: OpenEngine): Promise<TimedKernel> {
  const [kind, ...fields] = text.split(":");
  const [a, b, n = 4096, k = 1024] = fields.map((field) =>
    /^[0-9]+$/.test(field) ? Number(field) : field,
  ) as [number, number | RoundedFormat, number?, number?];
  if (kind === "vision") return visionAttention({ patches: a, numHeads: 16, headDim: 64 }, open);
  if (kind === "paged") {
    const shape = { numHeads: 16, numKvHeads: 8, headDim: 128, pageSize: 16 };
    const [, , kvCacheDType, pages] = fields as [string, string, CacheDType?, string?];
    const cache = { kvCacheDType, pages: pages === undefined ? undefined : Number(pages) };
    return pagedAttention({ queries: a, context: b as number, ...cache, ...shape }, open);
  }
  if (kind === "chain") return chainedProducts(fields[0] as RoundedFormat, 512, 128, open);
  if (kind === "linear") return linear({ m: a, n, k, dtype: b as RoundedFormat }, open);
  throw new Error(`There is no case "${text}".`);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}
