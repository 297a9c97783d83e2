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
/** The embedding table, which may be the head too, and the head: q4 loses most there. */
const VOCABULARY = ["model.language_model.embed_tokens.weight", "lm_head.weight"];
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
    const isPrecise = tensors.some((name) => PRECISE.some((pattern) => pattern.test(name)));
    if (isPrecise || !holdsColumns(asked, cols)) return storedFormat(checkpoint, tensors);
    return tensors.some((name) => VOCABULARY.includes(name)) ? "q8" : asked;
  };
}

/** For a weight made of several tensors of different types, f32 holds them all exactly. */
function storedFormat(checkpoint: Pick<Checkpoint, "tensorDType">, tensors: readonly string[]): WeightFormat {
  const found = new Set(tensors.map((name) => checkpoint.tensorDType(name) ?? "f32"));
  const [only] = found;
  return found.size === 1 && only ? only : "f32";
}
