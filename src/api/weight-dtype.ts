/** How weights are stored on the device: as asked where they can be, otherwise as the checkpoint has them. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { ChooseWeightFormat } from "../graph/builder.ts";
import { holdsColumns, isBlockFormat, type WeightFormat } from "../tensor/storage.ts";

/** What may be asked for. */
export interface WeightStorage {
  /** Of the decoder, and in a format without blocks of all weights. */
  readonly dtype?: WeightFormat | undefined;
  /** Of the vision tower, in place of `dtype`. */
  readonly visionDtype?: WeightFormat | undefined;
}

const VISION = "model.visual.";
/**
 * What stays in q8 under q4, by `npm run bench -- quality`: keys and values, few bytes of which much depends, and the
 * embedding table, which may be the head too, and the head.
 */
const EIGHT_BITS = [/\.self_attn\.[kv]_proj\.weight$/, /\.embed_tokens\.weight$/, /^lm_head\.weight$/];
/** Small, and what they decide is not smooth: who computes, and where a patch lies. */
const PRECISE = [/\.mlp\.gate\.weight$/, /^model\.visual\.embeddings\./];

/** Of matrices; vectors are always f32. */
export function chooseWeightFormat(
  checkpoint: Pick<Checkpoint, "tensorDType">,
  { dtype, visionDtype }: WeightStorage,
): ChooseWeightFormat {
  return (tensors, cols) => {
    const isVision = tensors.every((name) => name.startsWith(VISION));
    const ofVision = visionDtype ?? (dtype && isBlockFormat(dtype) ? undefined : dtype);
    const asked = isVision ? ofVision : dtype;
    if (!asked) return storedFormat(checkpoint, tensors);
    if (!isBlockFormat(asked)) return asked;
    if (isOne(PRECISE, tensors) || !holdsColumns(asked, cols)) return storedFormat(checkpoint, tensors);
    return !isVision && isOne(EIGHT_BITS, tensors) ? "q8" : asked;
  };
}

function isOne(patterns: readonly RegExp[], tensors: readonly string[]): boolean {
  return tensors.some((name) => patterns.some((pattern) => pattern.test(name)));
}

/** For a weight made of several tensors of different types, f32 holds them all exactly. */
function storedFormat(checkpoint: Pick<Checkpoint, "tensorDType">, tensors: readonly string[]): WeightFormat {
  const found = new Set(tensors.map((name) => checkpoint.tensorDType(name) ?? "f32"));
  const [only] = found;
  return found.size === 1 && only ? only : "f32";
}
