/**
 * A whole model with random weights in a released size, on any backend:
 * `npm run bench -- model --backend wasm --model glm-ocr [--layers 2 --depth 2] [--json FILE]`.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Backend } from "../src/backends/backend.ts";
import { createCudaBackend } from "../src/backends/cuda/backend.node.ts";
import { referenceBackend } from "../src/backends/reference/backend.ts";
import { wasmBackend } from "../src/backends/wasm/backend.ts";
import { CACHE_DTYPES } from "../src/tensor/dtype.ts";
import { WEIGHT_FORMATS } from "../src/tensor/storage.ts";
import { row } from "./kernels.ts";
import { type Ceilings, measureCeilings } from "./model/ceilings.ts";
import { checkBackend } from "./model/check.ts";
import { timedModel } from "./model/configs.ts";
import { measureSpeed, type Speed } from "./model/speed.ts";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string", default: "glm-ocr" },
    backend: { type: "string", default: "wasm" },
    /** Of the CUDA backend. */
    activations: { type: "string", default: "bf16" },
    "cuda-addon": { type: "string" },
    /** "no": all products by the backend's own kernels. */
    cublas: { type: "string", default: "yes" },
    /** "no": no step is replayed as a captured graph. */
    graphs: { type: "string", default: "yes" },
    weights: { type: "string", default: "bf16" },
    "kv-cache-dtype": { type: "string" },
    layers: { type: "string" },
    depth: { type: "string" },
    batches: { type: "string", default: "1,8,64" },
    context: { type: "string", default: "1024" },
    prefill: { type: "string", default: "2048" },
    page: { type: "string", default: "1036" },
    /** Seconds for each measurement, after which no further run is started. */
    seconds: { type: "string", default: "5" },
    /** A program that prints the limits of the GPU: bench/gpu/ceilings.cu, compiled. */
    ceilings: { type: "string" },
    json: { type: "string" },
  },
});

const backend = namedBackend(flags.backend);
const probe = await backend.probe();
if (!probe.ok) throw new Error(probe.reason);
const { config, small } = timedModel(flags.model, whole(flags.layers), whole(flags.depth));
const { numHiddenLayers } = config.text;
const title = `${flags.model}, ${numHiddenLayers} layers, ${config.vision.depth} blocks, ${flags.weights} weights, ${flags["kv-cache-dtype"] ?? backend.activationDType} cache, ${backend.activationDType} activations`;
console.log(`${title}\n${backend.name}: ${probe.description}`);

const weights = weightType(flags.weights);
const checked = await checkBackend(backend, flags.model, small, weights);
console.log(
  `checked: ${checked.greedyAgreement}/${checked.steps} greedy tokens, rel ${checked.maxRel.toExponential(1)}`,
);
const ceilings = await measureCeilings(backend.name, flags.ceilings);
const speed = await measureSpeed(backend, config, {
  weights,
  kvCacheDtype: cacheType(flags["kv-cache-dtype"]),
  batches: flags.batches.split(",").map(Number),
  context: Number(flags.context),
  prefill: Number(flags.prefill),
  page: Number(flags.page),
  budgetMs: 1000 * Number(flags.seconds),
  log: (line) => console.error(`  ${line}`),
});
print(speed, ceilings);
// Of the whole process, at its most; the block of random values that weights are cut out of is in it.
const most = (process.resourceUsage().maxRSS * 1024) / 2 ** 30;
console.log(
  `memory: ${(speed.liveBytes / 2 ** 30).toFixed(2)} GiB on the device, process at most ${most.toFixed(2)} GiB`,
);
if (flags.json !== undefined) {
  const about = {
    model: flags.model,
    numHiddenLayers,
    depth: config.vision.depth,
    weights: flags.weights,
    kvCacheDtype: flags["kv-cache-dtype"],
    cublas: flags.cublas,
    graphs: flags.graphs,
  };
  const found = {
    backend: backend.name,
    activations: backend.activationDType,
    description: probe.description,
  };
  writeFileSync(flags.json, JSON.stringify({ ...about, ...found, checked, ceilings, ...speed }, null, 1));
}

function namedBackend(name: string): Backend {
  if (name === "wasm") return wasmBackend;
  if (name === "reference") return referenceBackend;
  if (name !== "cuda") throw new Error(`There is no backend "${name}"; there is wasm, cuda, reference.`);
  const { activations } = flags;
  if (activations !== "bf16" && activations !== "f16" && activations !== "f32") {
    throw new Error(`--activations is "${activations}", expected bf16, f16 or f32.`);
  }
  return createCudaBackend({
    activations,
    addonPath: flags["cuda-addon"],
    cublas: flags.cublas !== "no",
    graphs: flags.graphs !== "no",
  });
}

function weightType(name: string) {
  const format = WEIGHT_FORMATS.find((one) => one === name);
  if (format) return format;
  throw new Error(`--weights is "${name}", expected ${WEIGHT_FORMATS.join(", ")}.`);
}

function cacheType(name: string | undefined) {
  const format = CACHE_DTYPES.find((one) => one === name);
  if (format || name === undefined) return format;
  throw new Error(`--kv-cache-dtype is "${name}", expected ${CACHE_DTYPES.join(", ")}.`);
}

function whole(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

function print({ startUp, decode, prefill, vision }: Speed, ceilings: Ceilings | null): void {
  const { compileMs, loadMs, weightBytes, firstStepMs } = startUp;
  const loading = `${loadMs.toFixed(0)} ms for ${(weightBytes / 1e9).toFixed(2)} GB`;
  console.log(
    `start: compiling ${compileMs.toFixed(0)} ms, loading ${loading}, first step ${firstStepMs.toFixed(0)} ms`,
  );
  const { readGBps = Number.NaN, matrixTflops = Number.NaN, how = "" } = ceilings ?? {};
  console.log(
    row(`decode, context ${decode[0]?.context}`, "ms", "device ms", "tokens/s", "GB/s", "of limit"),
  );
  if (ceilings) console.log(row("limit (reading memory once)", "", "", "", readGBps));
  for (const { batch, median, device, tokensPerSecond, bytes } of decode) {
    const reached = bytes / median / 1e6;
    console.log(
      row(`batch ${batch}`, median, device ?? "", tokensPerSecond, reached, percent(reached / readGBps)),
    );
  }
  console.log(row("passes", "ms", "device ms", "TFLOP/s", "of peak"));
  if (ceilings) console.log(row(`peak (${how})`.slice(0, 33), "", "", matrixTflops.toFixed(4)));
  for (const [name, pass] of Object.entries({
    [`prefill of ${prefill.size} tokens`]: prefill,
    [`page of ${vision.size} patches`]: vision,
  })) {
    const reached = pass.operations / pass.median / 1e9;
    console.log(
      row(name, pass.median, pass.device ?? "", reached.toFixed(4), percent(reached / matrixTflops)),
    );
  }
}

function percent(share: number): string {
  return Number.isNaN(share) ? "" : `${(100 * share).toFixed(0)} %`;
}
