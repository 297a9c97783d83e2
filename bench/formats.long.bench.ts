/**
 * The table of docs/formats.md: every file of the tests, by family and backend, held against transformers on the values that
 * its weights stand for: `npm run bench -- formats [--backend wasm,reference] [--cuda-addon FILE]`. Exits with 1 when an
 * answer in f32 differs by more than 1e-3, or one in the file's own bits chooses another token where transformers' led by 0.5.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { WeightStorage } from "../src/api/weight-dtype.ts";
import { describeStorage } from "../src/api/weight-storage.ts";
import type { Backend } from "../src/backends/backend.ts";
import { createCudaBackend } from "../src/backends/cuda/backend.node.ts";
import { referenceBackend } from "../src/backends/reference/backend.ts";
import { type Checkpoint, openCheckpoint } from "../src/checkpoint/checkpoint.ts";
import { type StorageTotals, storageTotals } from "../src/checkpoint/tensor-storage.ts";
import { openFiles } from "../src/index.ts";
import { wasmBackend } from "../src/node-files.ts";
import { chooseBackend } from "../src/runtime/choose-backend.ts";
import { openFixture, quantisedFixtures } from "../test/checkpoint/quantised-fixtures.ts";
import { GGUF_FOLDER, ggufModels } from "../test/golden/gguf-models.ts";
import { type GoldenCase, goldenCase, goldenCheckpoints } from "../test/golden/load.ts";
import { argmax, largestDifference } from "../test/models/difference.ts";
import { openStages } from "../test/models/open-stages.ts";
import { float32 } from "../test/mrope/golden.ts";

const { values: flags } = parseArgs({
  options: { backend: { type: "string", default: "wasm,reference" }, "cuda-addon": { type: "string" } },
});

const TOLERANCE = 1e-3;
/** A lead that activations in 8 bits or weights rounded to bf16 do not make up for. */
const CLEAR_LEAD = 0.5;
const TOKENS = 12;
const PLAIN = ["F64", "F32", "F16", "BF16"];

interface Row {
  readonly name: string;
  readonly base: string;
  readonly open: () => Promise<Checkpoint>;
  readonly lastLogits: Float32Array;
  readonly greedyIds: readonly number[];
}

const backends: Backend[] = flags.backend.split(",").map((name) => {
  if (name === "wasm") return wasmBackend;
  if (name === "reference") return referenceBackend;
  throw new Error(`--backend is ${name}, expected wasm, reference, or both with a comma between.`);
});
if (flags["cuda-addon"])
  backends.push(createCudaBackend({ addonPath: flags["cuda-addon"], activations: "f32" }));
for (const backend of backends) await chooseBackend([backend], backend.name);

const columns = backends.flatMap(({ name }) => [`${name}, f32`, `${name}, as it is`]);
console.log(
  `\n| file | family | in the file, stored as (${backends[0]?.name}) | KB in file, stored | ${columns.join(" | ")} |`,
);
console.log(`|---|---|---|---|${columns.map(() => "---|").join("")}`);
let isWrong = false;
for (const row of [...checkpoints(), ...ggufs(), ...quantised()]) {
  const golden = { ...goldenCase(row.base, "one-image"), greedyIds: row.greedyIds };
  const checkpoint = await row.open();
  const cells: string[] = [];
  for (const backend of backends) {
    const exact = await answered(backend, row, golden, { dtype: "f32" });
    const own = await answered(backend, row, golden, {});
    isWrong ||= !(exact.difference <= TOLERANCE) || exact.alike < row.greedyIds.length || own.isClearlyOther;
    cells.push(exact.text, own.text);
  }
  const totals = storageTotals(describeStorage(checkpoint, {}, backends[0] as Backend).tensors);
  const own = totals.filter(({ encoding }) => !PLAIN.includes(encoding));
  const shown = own.length > 0 ? own : totals.slice(0, 1);
  const kind = `${checkpoint.config.family} | ${shown.map(becomes).join(", ")} | ${kilobytes(shown, "bytes")}, ${kilobytes(shown, "storedBytes")}`;
  console.log(`| ${row.name} | ${kind} | ${cells.join(" | ")} |`);
}
process.exitCode = isWrong ? 1 : 0;

async function answered(backend: Backend, row: Row, golden: GoldenCase, storage: WeightStorage) {
  const stages = await openStages(backend, await row.open(), {}, storage);
  const logits = await stages.decode(golden);
  stages.dispose();
  const difference = largestDifference(logits[0] as Float32Array, row.lastLogits);
  const others = logits.filter((found, step) => argmax(found) !== row.greedyIds[step]);
  const alike = logits.length - others.length;
  return {
    difference,
    alike,
    /** The judge's token is one that ours is not near to. */
    isClearlyOther: logits.some((found, step) => {
      const judged = found[row.greedyIds[step] as number] as number;
      return !((found[argmax(found)] as number) - judged < CLEAR_LEAD);
    }),
    text: `${difference.toExponential(0)}, ${alike} of ${logits.length}`,
  };
}

function checkpoints(): Row[] {
  return goldenCheckpoints().map((base) => {
    const { lastLogits, greedyIds, checkpointDir } = goldenCase(base, "one-image");
    const open = async () => openCheckpoint(await openFiles(checkpointDir));
    return {
      name: `${base}, safetensors`,
      base,
      open,
      lastLogits: lastLogits.data,
      greedyIds: greedyIds.slice(0, TOKENS),
    };
  });
}

function ggufs(): Row[] {
  return ggufModels("one-image").map(({ name, base, file, lastLogits, greedyIds }) => ({
    name: `${name}, GGUF`,
    base,
    open: async () =>
      openCheckpoint(await openFiles(file, { mmproj: join(GGUF_FOLDER, `mmproj-${base}.gguf`) })),
    lastLogits,
    greedyIds: greedyIds.slice(0, TOKENS),
  }));
}

function quantised(): Row[] {
  return quantisedFixtures.map((fixture) => ({
    name: fixture.name,
    base: fixture.base,
    open: async () => openCheckpoint(await openFixture(fixture)),
    lastLogits: float32(fixture.lastLogits),
    greedyIds: fixture.greedyIds,
  }));
}

function becomes({ encoding, dtype, loss }: StorageTotals): string {
  return `${encoding} → ${dtype}${loss === "none" ? "" : ` (${loss})`}`;
}

function kilobytes(totals: readonly StorageTotals[], key: "bytes" | "storedBytes"): string {
  return (totals.reduce((sum, found) => sum + found[key], 0) / 1000).toFixed(1);
}
