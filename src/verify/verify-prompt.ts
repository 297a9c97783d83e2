/** The processor beside transformers': what a prompt becomes, before any model runs. */
import type { Message } from "../prompt/process-options.ts";
import type { ProcessedInputs } from "../prompt/processed-inputs.ts";
import type { Processor } from "../prompt/processor.ts";
import { type Check, equal, near, skipped } from "./check.ts";
import type { ExpectedValues } from "./expected.ts";

/** Ids, pixels and, where the judge had its model, positions. */
export async function verifyPrompt(
  processor: Processor,
  expected: ExpectedValues,
  signal?: AbortSignal,
): Promise<Check[]> {
  // As a list that may be changed nowhere else.
  const messages: readonly Message[] = expected.messages;
  const found = await processor.process(messages, { signal });
  return [idsOf(found, expected), pixelsOf(found, expected), positionsOf(found, expected)];
}

function idsOf(found: ProcessedInputs, expected: ExpectedValues): Check {
  const differs: string[] = [];
  if (found.promptText !== expected.promptText)
    differs.push(firstDifference("the text", [...found.promptText], [...expected.promptText]));
  if (!isSame(found.inputIds, expected.inputIds))
    differs.push(firstDifference("ids", found.inputIds, expected.inputIds));
  if (!isSame(found.mmTokenTypeIds, expected.tokenTypes))
    differs.push(firstDifference("token types", found.mmTokenTypeIds, expected.tokenTypes));
  for (const name of ["imageGridThw", "videoGridThw"] as const) {
    const [own, theirs] = [found[name].flat(), expected[name].flat()];
    if (!isSame(own, theirs)) differs.push(`${name} is ${own.join(", ")} in place of ${theirs.join(", ")}`);
  }
  return equal("ids", differs, `${found.inputIds.length} tokens`);
}

function pixelsOf(
  found: ProcessedInputs,
  { pixelValues, pixelValuesVideos, ...expected }: ExpectedValues,
): Check {
  const theirs = pixelValues ?? pixelValuesVideos;
  const own = pixelValues ? found.pixelValues : found.pixelValuesVideos;
  if (!theirs) return skipped("pixels", "no picture");
  const patches = [...expected.imageGridThw, ...expected.videoGridThw].reduce(
    (sum, [t, h, w]) => sum + t * h * w,
    0,
  );
  return near("pixels", own ?? [], theirs, "f32", patches);
}

function positionsOf(found: ProcessedInputs, { answer }: ExpectedValues): Check {
  if (!answer) return skipped("positions", "the judge has no model");
  const differs = ["time", "height", "width"].flatMap((name, axis) => {
    const [own, theirs] = [found.positionIds[axis], answer.positionIds[axis]] as [Int32Array, Int32Array];
    return isSame(own, theirs) ? [] : [firstDifference(`positions of ${name}`, own, theirs)];
  });
  return equal("positions", differs, "3 axes");
}

function isSame(found: ArrayLike<unknown>, expected: ArrayLike<unknown>): boolean {
  return (
    found.length === expected.length && Array.from(found).every((value, index) => value === expected[index])
  );
}

function firstDifference(what: string, found: ArrayLike<unknown>, expected: ArrayLike<unknown>): string {
  const length = Math.max(found.length, expected.length);
  const at = Array.from({ length }, (_, index) => index).find((index) => found[index] !== expected[index]);
  const shown = (value: unknown) => (value === undefined ? "nothing" : JSON.stringify(value));
  return `${what}: ${found.length} for ${expected.length}, first other at ${at}: ${shown(found[at as number])} for ${shown(expected[at as number])}`;
}
