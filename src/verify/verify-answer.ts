/** The model beside transformers': features from its pixels, logits and tokens from its ids and positions. */
import type { TensorStorage } from "../checkpoint/tensor-storage.ts";
import type { PromptInputs } from "../prompt/prompt-inputs.ts";
import type { VisionItem } from "../prompt/vision-items.ts";
import { selectEncoderItems } from "../prompt/vision-items.ts";
import { encodeMedia } from "../serving/encode-media.ts";
import type { ModelCore } from "../serving/model-core.ts";
import { BOUNDS, type Computed, type Exactness, exactnessOf } from "./bounds.ts";
import { type Check, near, skipped } from "./check.ts";
import { differenceOf, spreadOf } from "./difference.ts";
import type { ExpectedAnswer, ExpectedValues } from "./expected.ts";
import { type ForcedOptions, forcedLogits } from "./forced-answer.ts";

export interface VerifyAnswerOptions extends ForcedOptions {
  readonly computed: Computed;
  /** What became of the checkpoint's tensors. */
  readonly weights: readonly TensorStorage[];
}

const TOWER = "model.visual.";

/** Features, logits and tokens. @throws OUT_OF_MEMORY, CONTEXT_OVERFLOW, ABORTED, DISPOSED */
export async function verifyAnswer(
  core: ModelCore,
  expected: ExpectedValues,
  options: VerifyAnswerOptions,
): Promise<Check[]> {
  const { answer } = expected;
  if (!answer)
    return (["features", "logits", "tokens"] as const).map((stage) =>
      skipped(stage, "the judge has no model"),
    );
  const { computed, weights } = options;
  const ofTower = weights.filter(({ tensor }) => tensor.startsWith(TOWER));
  const found: { checks: Check[]; items: VisionItem[] } = { checks: [], items: [] };
  if (answer.features) {
    const parts = await encodeMedia(core, async () => itemsOf(expected), { signal: options.signal });
    const features = joined(parts);
    const rows = features.length / core.parts.config.text.hiddenSize;
    found.checks.push(near("features", features, answer.features, exactnessOf(computed, ofTower), rows));
    found.items = parts.map((embeddings) => ({ embeddings }));
  } else found.checks.push(skipped("features", "no picture"));
  const exactness = exactnessOf(computed, weights);
  const logits = await forcedLogits(core, promptOf(expected, answer, found.items), answer.greedyIds, options);
  const last = near("logits", logits[0] as Float32Array, answer.lastLogits, exactness, 1);
  const isTowers = last.verdict === "wrong" && found.items.length > 0;
  const told = isTowers ? await withoutTower(core, expected, answer, found.items, last, options) : last;
  return [...found.checks, told, tokensOf(logits, answer, exactness)];
}

/** Whose fault it is: with the judge's features in place of the tower's. */
async function withoutTower(
  core: ModelCore,
  expected: ExpectedValues,
  answer: ExpectedAnswer,
  items: readonly VisionItem[],
  check: Check,
  { signal }: ForcedOptions,
): Promise<Check> {
  let start = 0;
  const theirs = items.map((item) => {
    const end = start + ("embeddings" in item ? item.embeddings.length : 0);
    const embeddings = (answer.features as Float32Array).subarray(start, end);
    start = end;
    return { embeddings };
  });
  const [logits] = await forcedLogits(
    core,
    promptOf(expected, answer, theirs),
    answer.greedyIds.slice(0, 1),
    { signal },
  );
  const { share } = differenceOf(logits as Float32Array, answer.lastLogits);
  return {
    ...check,
    detail: `${check.detail}; ${share.toExponential(1)} of the spread with transformers' own features`,
  };
}

function itemsOf({
  pixelValues,
  pixelValuesVideos,
  imageGridThw,
  videoGridThw,
}: ExpectedValues): VisionItem[] {
  return (
    [
      [pixelValues, imageGridThw],
      [pixelValuesVideos, videoGridThw],
    ] as const
  ).flatMap(([values, gridThw]) =>
    values ? selectEncoderItems({ pixelValues: values, gridThw }, [...gridThw.keys()]) : [],
  );
}

/** What the judge's decoder was given. */
function promptOf(
  { inputIds, tokenTypes, imageGridThw, videoGridThw }: ExpectedValues,
  { positionIds }: ExpectedAnswer,
  visionItems: readonly VisionItem[],
): PromptInputs {
  return { inputIds, mmTokenTypeIds: tokenTypes, positionIds, imageGridThw, videoGridThw, visionItems };
}

/**
 * Each step was given the judge's tokens before it. Another token than the judge's is wrong where the judge's led by more
 * than two logits may both be off.
 */
function tokensOf(
  logits: readonly Float32Array[],
  { greedyIds, top, lastLogits }: ExpectedAnswer,
  exactness: Exactness,
): Check {
  const spread = spreadOf(lastLogits);
  const allowed = 2 * BOUNDS[exactness] * spread;
  const others: string[] = [];
  let [isWrong, worst] = [false, differenceOf([], [])];
  for (const [step, row] of logits.entries()) {
    const { ids, logits: expected } = top[step] as ExpectedAnswer["top"][number];
    const difference = differenceOf(
      Array.from(ids, (id) => row[id] ?? Number.NaN),
      expected,
      spread,
    );
    if (!(difference.largest <= worst.largest)) worst = difference;
    const token = argmax(row);
    if (token === greedyIds[step]) continue;
    const lead = (expected[0] as number) - (expected[1] ?? Number.NEGATIVE_INFINITY);
    isWrong ||= !(lead <= allowed);
    others.push(`step ${step + 1}: ${token} for ${greedyIds[step]}, which led by ${lead.toFixed(4)}`);
  }
  isWrong ||= !(worst.share <= BOUNDS[exactness]);
  const count = `${logits.length - others.length} of ${logits.length} tokens`;
  return {
    stage: "tokens",
    verdict: isWrong ? "wrong" : "same",
    detail: others.length === 0 ? count : `${count}; first other at ${others[0]}`,
    difference: worst,
    bound: { share: BOUNDS[exactness], exactness },
  };
}

/** Of equal ones the first. */
function argmax(values: Float32Array): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) {
    if ((values[index] as number) > (values[best] as number)) best = index;
  }
  return best;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let start = 0;
  for (const part of parts) {
    all.set(part, start);
    start += part.length;
  }
  return all;
}
