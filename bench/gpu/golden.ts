/**
 * The golden checkpoints end to end on the CUDA backend, against what transformers answered:
 * `node golden.js --activations f32|bf16 [--only glm_ocr-tiny] [--tensor 2] [--pipeline 2] [--cuda-addon FILE] [--json FILE]`.
 * With --tensor and --pipeline over as many GPUs.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { loadModelOn } from "../../src/api/load-model.ts";
import type { Model } from "../../src/api/model.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { type Message, openFiles } from "../../src/index.ts";
import { readFrameDirectory, readLocalFile } from "../../src/media/files.node.ts";
import { type GoldenCase, goldenCases, goldenCheckpoints } from "../../test/golden/load.ts";

const { values: flags } = parseArgs({
  options: {
    activations: { type: "string", default: "f32" },
    only: { type: "string", default: "" },
    tensor: { type: "string" },
    pipeline: { type: "string" },
    "cuda-addon": { type: "string" },
    json: { type: "string" },
  },
});
const activations = flags.activations === "bf16" ? "bf16" : "f32";
const { tensor, pipeline } = flags;
const parallel = (tensor ?? pipeline) !== undefined && {
  tensor: Number(tensor ?? 1),
  pipeline: Number(pipeline ?? 1),
};
const MOST_TOKENS = 24;
/** As in the tests of the other backends. */
const LOGIT_TOLERANCE = 1e-3;

interface GoldenResult {
  readonly name: string;
  readonly ok: boolean;
  /** Leading tokens that are transformers', of how many. */
  readonly agreed: number;
  readonly tokens: number;
  /** Largest difference of the prompt's top logits. */
  readonly logitDifference: number;
  readonly failure?: string;
}

const platform = {
  backends: [createCudaBackend({ activations, addonPath: flags["cuda-addon"] })],
  openFiles,
  readFile: readLocalFile,
  readFrameDirectory,
};
const results: GoldenResult[] = [];
for (const checkpoint of goldenCheckpoints().filter((name) => name.includes(flags.only))) {
  const cases = goldenCases(checkpoint);
  const model = await loadModelOn(platform, (cases[0] as GoldenCase).checkpointDir, {
    backend: "cuda",
    media: "huggingface",
    ...(parallel && { parallel }),
  });
  for (const golden of cases) results.push(await judged(model, golden));
  await model.dispose();
  if (model.liveBytes !== 0) throw new Error(`${checkpoint}: ${model.liveBytes} bytes are still held.`);
}
for (const { name, ok, agreed, tokens, logitDifference, failure } of results) {
  const difference = logitDifference.toExponential(1);
  console.log(
    `${ok ? "ok" : "FAILED"} ${name}: ${agreed}/${tokens} tokens, logits ${difference} ${failure ?? ""}`,
  );
}
const failed = results.filter(({ ok }) => !ok).length;
console.log(`${results.length - failed} of ${results.length} golden cases, ${activations} activations`);
if (flags.json !== undefined) writeFileSync(flags.json, JSON.stringify({ activations, results }, null, 1));
if (failed > 0) process.exitCode = 1;

async function judged(model: Model, golden: GoldenCase): Promise<GoldenResult> {
  const { name, tokenIds: expected } = golden;
  const about = { name, tokens: expected.length };
  try {
    const options = {
      templateVariables: golden.templateOptions,
      maxTokens: MOST_TOKENS,
      repetitionPenalty: 1,
    };
    const { tokenIds, topLogits } = await model.complete(golden.messages as Message[], options);
    const logitDifference = Math.max(
      ...topLogits.map(([token, logit]) => Math.abs(logit - (golden.lastLogits.data[token] as number))),
    );
    const differs = expected.findIndex((token, index) => token !== tokenIds[index]);
    const agreed = differs < 0 ? expected.length : differs;
    const failure = complaint(golden, agreed, logitDifference);
    return { ...about, agreed, logitDifference, ok: failure === undefined, ...(failure && { failure }) };
  } catch (error) {
    return { ...about, agreed: 0, logitDifference: Number.NaN, ok: false, failure: String(error) };
  }
}

/** Exact with f32 activations. With bf16 only a choice that was as close as the logits are off may turn out otherwise. */
function complaint(golden: GoldenCase, agreed: number, logitDifference: number): string | undefined {
  if (!Number.isFinite(logitDifference)) return "the logits are not finite";
  const margin = golden.greedyMargins[agreed] ?? 0;
  const isTie = activations === "bf16" && margin <= 4 * logitDifference;
  if (agreed < golden.tokenIds.length && !isTie)
    return `token ${agreed} differs, decided by ${margin.toFixed(3)}`;
  if (activations === "f32" && logitDifference > LOGIT_TOLERANCE) return "the logits differ";
  return undefined;
}
