/** How weights are stored on the device: as asked where they can be, otherwise as the checkpoint has them. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { ChooseWeightFormat } from "../graph/builder.ts";
import { fitsInto8Bits } from "../tensor/blocks.ts";
import { holdsColumns, isBlockFormat, type RoundedFormat, type WeightFormat } from "../tensor/storage.ts";

/** What may be asked for. */
export interface WeightStorage {
  /** Of the decoder, and in a format without blocks of all weights. */
  readonly dtype?: RoundedFormat | undefined;
  /** Of the vision tower, in place of `dtype`. */
  readonly visionDtype?: RoundedFormat | undefined;
}

const VISION = "model.visual.";
/**
 * What stays in q8 under q4, by `npm run bench -- quality`: keys and values, few bytes of which much depends, and the
 * embedding table, which may be the head too, and the head.
 */
const EIGHT_BITS = [/\.self_attn\.[kv]_proj\.weight$/, /\.embed_tokens\.weight$/, /^lm_head\.weight$/];
/** Small, and what they decide is not smooth: who computes, and where a patch lies. */
const PRECISE = [/\.mlp\.gate\.weight$/, /^model\.visual\.embeddings\./];

/**
 * Of matrices; vectors are always f32.
 *
 * @param holds whether the backend has kernels for weights stored so; where it has none for blocks of the checkpoint's,
 * they become q8 if that is the same, or are rounded to bf16.
 */
export function chooseWeightFormat(
  checkpoint: Pick<Checkpoint, "tensorDType">,
  { dtype, visionDtype }: WeightStorage,
  holds: (format: WeightFormat) => boolean = () => true,
): ChooseWeightFormat {
  const storedFormat = (tensors: readonly string[], cols: number) => {
    const own = tensors.map((name) => checkpoint.tensorDType(name) ?? "f32");
    const held = (format: WeightFormat) => {
      if (holds(format) && holdsColumns(format, cols)) return format;
      return fitsInto8Bits(format) && holds("q8") ? "q8" : "bf16";
    };
    return commonFormat(own.map(held));
  };
  return (tensors, cols) => {
    const isVision = tensors.every((name) => name.startsWith(VISION));
    const ofVision = visionDtype ?? (dtype && isBlockFormat(dtype) ? undefined : dtype);
    const asked = isVision ? ofVision : dtype;
    if (!asked) return storedFormat(tensors, cols);
    if (!isBlockFormat(asked)) return asked;
    if (isOne(PRECISE, tensors) || !holdsColumns(asked, cols)) return storedFormat(tensors, cols);
    return !isVision && isOne(EIGHT_BITS, tensors) ? "q8" : asked;
  };
}

function isOne(patterns: readonly RegExp[], tensors: readonly string[]): boolean {
  return tensors.some((name) => patterns.some((pattern) => pattern.test(name)));
}

/** For a weight of several tensors of different types, f32 holds them all exactly; beside bf16, blocks are rounded to it. */
function commonFormat(formats: readonly WeightFormat[]): WeightFormat {
  const found = new Set(formats);
  const [only] = found;
  if (found.size === 1 && only) return only;
  return found.has("f32") || found.has("f16") ? "f32" : "bf16";
}
