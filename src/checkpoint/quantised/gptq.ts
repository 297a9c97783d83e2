/** GPTQ: integers packed along the input, lowest bits first. */
import type { JsonSection } from "../../config/json-section.ts";
import { unpackFields, wordsOf } from "./bit-fields.ts";
import { blocksOf } from "./block-rows.ts";
import { SCALE_DTYPES } from "./float-values.ts";
import { type Decoder, type Parts, type QuantisationMethod, Unreadable } from "./method.ts";
import { LastRead, packedColumns } from "./packed-columns.ts";
import { GroupOrder } from "./packed-rows.ts";

const BITS: readonly number[] = [2, 3, 4, 8];
/** By the key "checkpoint_format": what is to be added to the zero points of a file. */
const ZERO_OFFSETS: ReadonlyMap<string, number> = new Map([
  ["gptq", 1],
  ["gptq_v2", 0],
]);

export function gptq(config: JsonSection): QuantisationMethod {
  const format = config.has("checkpoint_format") ? config.string("checkpoint_format") : "gptq";
  const zeroOffset = ZERO_OFFSETS.get(format);
  if (zeroOffset === undefined) {
    throw config.invalid("checkpoint_format", `one of ${[...ZERO_OFFSETS.keys()].join(", ")}`);
  }
  return gptqMethod("GPTQ", config, zeroOffset);
}

/** Null for one group a column. Modules may have a size of their own. */
export function groupSizeOf(config: JsonSection, key = "group_size"): number | null {
  if (!config.has(key) || config.get(key) === -1) return null;
  return config.positiveInteger(key);
}

interface Settings {
  /** The widths that modules may have, the configuration's first: of few outputs several take as many words. */
  readonly widths: readonly number[];
  readonly groupSize: number | null;
  /** What is to be added to the zero points of the file. */
  readonly zeroOffset: number;
  /** All zero points are in the middle. */
  readonly isSymmetric: boolean;
  /** Groups may not follow one another. */
  readonly isActOrder: boolean;
}

export function gptqMethod(label: string, config: JsonSection, zeroOffset: number): QuantisationMethod {
  const last = new LastRead();
  const named = config.get("bits");
  const settings = {
    widths: BITS.toSorted((a, b) => Number(b === named) - Number(a === named)),
    groupSize: groupSizeOf(config),
    zeroOffset,
    isSymmetric: config.get("sym") === true,
    isActOrder: config.get("desc_act") === true,
  };
  return {
    label,
    parts: ["qweight", "qzeros", "scales", "g_idx"],
    decoder: (parts) => (parts.get("qweight") ? decoderOf(parts, settings, last) : null),
  };
}

function decoderOf(
  parts: Parts,
  { widths, groupSize, zeroOffset, isSymmetric, isActOrder }: Settings,
  last: LastRead,
): Decoder {
  const words = parts.need("qweight", ["I32"], 2);
  const scales = parts.need("scales", SCALE_DTYPES, 2);
  const zeroWords = parts.need("qzeros", ["I32"], 2);
  const groupOf = parts.get("g_idx") ? parts.need("g_idx", ["I32"], 1) : undefined;
  const [wordRows = 0, out = 0] = words.shape;
  const [groups = 0, scaleCols = 0] = scales.shape;
  if (scaleCols !== out) throw parts.misfit("scales", `${out} columns`);
  const [zeroRows = 0, zeroCols = 0] = zeroWords.shape;
  // Every module of a file may have its own width, which its shapes tell.
  const bits = widths.find((each) => wordsOf(out, each) === zeroCols);
  if (zeroRows !== groups || bits === undefined) {
    const words = BITS.map((each) => wordsOf(out, each)).join(", ");
    throw parts.misfit("qzeros", `${groups} rows of ${words} words`);
  }
  const cols = groupOf?.shape[0] ?? (wordRows * 32) / bits;
  if (!Number.isInteger(cols) || wordsOf(cols, bits) !== wordRows) {
    throw parts.misfit("qweight", `rows for ${cols} inputs of ${bits} bits`);
  }
  const group = groupOfColumns(parts, cols, groups, groupSize);
  return packedColumns(
    parts,
    {
      shape: [out, cols],
      words,
      scales,
      group,
      order: new GroupOrder(parts, groupOf, cols, group, groups),
      inBlocks: isActOrder ? null : blocksOf(scales, { bits, cols, group, isSymmetric }),
      encoding: `${bits} bits, ${group >= cols ? "a scale a row" : `groups of ${group}`}`,
      async zeros(signal) {
        const bytes = await parts.all(zeroWords, signal);
        const zeros = new Uint8Array(groups * out);
        for (let g = 0; g < groups; g++) {
          unpackFields(bytes.subarray(g * zeroCols * 4), bits, out, zeros, g * out);
        }
        const mask = 2 ** bits - 1;
        // The first version keeps one less; zero itself comes out as the largest integer there.
        return zeros.map((zero) => (zero + zeroOffset) & mask);
      },
      unpackColumn(packed, column, into) {
        const mask = 2 ** bits - 1;
        for (let row = 0, bit = 0; row < cols; row++, bit += bits) {
          const at = (bit >> 5) * out + column;
          const shift = bit & 31;
          let field = (packed[at] as number) >>> shift;
          if (shift + bits > 32) field |= (packed[at + out] as number) << (32 - shift);
          into[row] = field & mask;
        }
      },
    },
    last,
  );
}

/** How many columns (inputs) share a scale, of those that follow one another. @throws Unreadable */
export function groupOfColumns(parts: Parts, cols: number, groups: number, named: number | null): number {
  const size = named ?? cols;
  if (Math.ceil(cols / size) === groups) return size;
  if (groups > 0 && cols % groups === 0) return cols / groups;
  throw new Unreadable(
    `has ${groups} groups for ${cols} inputs, expected groups of ${size} (${parts.label})`,
  );
}
