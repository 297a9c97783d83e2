/**
 * What storage formats of weights and of the KV cache cost in quality, teacher-forced, against f32 on the same backend:
 * `npm run bench -- quality [--backend reference] [--pictures FOLDER] [--models demo,golden,random]`. A folder of fresh
 * pictures is made by `examples/demo/train/evaluate.py render`; in those the demo reads by itself too: the share of pictures
 * without a mistake, and of characters that are right.
 */
import { parseArgs } from "node:util";
import { referenceBackend } from "../src/backends/reference/backend.ts";
import { wasmBackend } from "../src/backends/wasm/backend.ts";
import { GlimtError } from "../src/errors.ts";
import { chooseBackend } from "../src/runtime/choose-backend.ts";
import type { Stages } from "../src/runtime/open-stages.ts";
import { row } from "./kernels.ts";
import { agreement, CLEAR_LEAD } from "./quality/agreement.ts";
import { forcedLogits } from "./quality/forced.ts";
import {
  demoModel,
  demoOnRandomTexts,
  demoPictures,
  goldenModel,
  type QualityModel,
  randomModel,
  type Storage,
} from "./quality/models.ts";
import { readingScore } from "./quality/reading.ts";

const { values: flags } = parseArgs({
  options: {
    backend: { type: "string", default: "wasm" },
    pictures: { type: "string" },
    models: { type: "string", default: "demo,golden,random" },
    rows: { type: "string" },
  },
});

const ROWS: Readonly<Record<string, Storage>> = {
  bf16: { dtype: "bf16" },
  f16: { dtype: "f16" },
  q8: { dtype: "q8" },
  q4: { dtype: "q4" },
  "q8 vision tower": { dtype: "f32", visionDtype: "q8" },
  "q8 and q8 vision tower": { dtype: "q8", visionDtype: "q8" },
  "q4 and q8 vision tower": { dtype: "q4", visionDtype: "q8" },
  "q4 as f32: the format alone": { dtype: "q4", weightsOnly: true },
  "q4 with head and table": { dtype: "q4", instead: { lm_head: "q4", embed_tokens: "q4" } },
  "q4 with keys and values": { dtype: "q4", instead: { k_proj: "q4", v_proj: "q4" } },
  "q4 throughout": {
    dtype: "q4",
    instead: { k_proj: "q4", v_proj: "q4", lm_head: "q4", embed_tokens: "q4" },
  },
  "bf16 KV cache": { dtype: "f32", kvCacheDtype: "bf16" },
  "q8 KV cache": { dtype: "f32", kvCacheDtype: "q8" },
  "q8, q8 KV cache": { dtype: "q8", kvCacheDtype: "q8" },
  "q4 beside a bf16 head and table": { dtype: "q4", instead: { lm_head: "bf16", embed_tokens: "bf16" } },
};

const MODELS: Readonly<Record<string, () => Promise<QualityModel>[]>> = {
  demo: () => [demoModel, demoOnRandomTexts].map((make) => make(demoPictures(flags.pictures))),
  golden: () => ["glm4v-tiny", "glm46v-flash-tiny"].map(goldenModel),
  random: () =>
    [
      { hiddenSize: 256, layers: 4, vocabSize: 1024 },
      { hiddenSize: 512, layers: 8, vocabSize: 4096 },
    ].map(async (size) => randomModel(size)),
};

const backend = flags.backend === "reference" ? referenceBackend : wasmBackend;
await chooseBackend([backend], backend.name);
const rows = Object.entries(ROWS).filter(([name]) => !flags.rows || flags.rows.split(",").includes(name));
for (const kind of flags.models.split(",")) {
  for (const pending of MODELS[kind]?.() ?? []) await compare(await pending);
}

async function compare(model: QualityModel): Promise<void> {
  const judge = await model.open(backend, { dtype: "f32" });
  const texts = await model.texts(judge);
  const expected = await forcedLogits(judge, texts);
  const ofJudge = await readCells(model, judge);
  judge.engine.dispose();
  const { positions, clear } = agreement(expected, expected);
  const share = `${(100 * clear).toFixed(1)} % with a lead of ${CLEAR_LEAD} or more`;
  console.log(`\n${model.name}: ${positions} positions, ${share} (${backend.name})`);
  const titles = ofJudge.length > 0 ? ["exact", "letters"] : [];
  console.log(row("stored as", "top-1", "of all", "KL", "texts", ...titles));
  console.log(row("f32", "", "", "", "", ...ofJudge));
  for (const [name, storage] of rows) {
    const stages = await openOrSay(() => model.open(backend, storage), name);
    if (!stages) continue;
    const found = agreement(expected, await forcedLogits(stages, texts));
    const read = await readCells(model, stages);
    stages.engine.dispose();
    console.log(
      row(
        name,
        percent(found.top1),
        percent(found.top1OfAll),
        found.kl.toExponential(2),
        percent(found.sameTexts),
        ...read,
      ),
    );
  }
}

/** Null for what a model can not be stored in, as heads of 16 in blocks of 32. */
async function openOrSay(open: () => Promise<Stages>, name: string): Promise<Stages | null> {
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof GlimtError)) throw error;
    console.log(row(name, error.message));
    return null;
  }
}

async function readCells({ read }: QualityModel, stages: Stages): Promise<string[]> {
  if (!read) return [];
  const { exact, characters } = readingScore(await read(stages));
  return [percent(exact), percent(characters)];
}

function percent(value: number): string {
  return `${(100 * value).toFixed(2)} %`;
}
