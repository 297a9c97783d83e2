/** AWQ in the layout "gemm": 4-bit integers packed along the output, eight a word in an order of their own. */
import type { JsonSection } from "../../config/json-section.ts";
import { blocksOf } from "./block-rows.ts";
import { SCALE_DTYPES } from "./float-values.ts";
import { groupOfColumns, groupSizeOf } from "./gptq.ts";
import type { Decoder, Parts, QuantisationMethod } from "./method.ts";
import { LastRead, packedColumns } from "./packed-columns.ts";
import { GroupOrder } from "./packed-rows.ts";

const PER_WORD = 8;
/** Where column j of a word's eight begins: bits 4k hold column [0, 2, 4, 6, 1, 3, 5, 7][k]. */
const SHIFTS = [0, 16, 4, 20, 8, 24, 12, 28];

/** quantization_config has `bits` and `group_size`; AutoAWQ's own quant_config.json `w_bit` and `q_group_size`. */
export function awq(config: JsonSection): QuantisationMethod {
  const bits = config.has("w_bit") ? "w_bit" : "bits";
  if (config.positiveInteger(bits) !== 4) throw config.invalid(bits, "4");
  if (config.has("version") && config.string("version").toLowerCase() !== "gemm") {
    throw config.invalid("version", '"gemm"');
  }
  return awqMethod("AWQ", groupSizeOf(config, config.has("q_group_size") ? "q_group_size" : "group_size"));
}

export function awqMethod(label: string, groupSize: number | null): QuantisationMethod {
  const last = new LastRead();
  return {
    label,
    parts: ["qweight", "qzeros", "scales"],
    decoder: (parts) => (parts.get("qweight") ? decoderOf(parts, groupSize, last) : null),
  };
}

function decoderOf(parts: Parts, groupSize: number | null, last: LastRead): Decoder {
  const words = parts.need("qweight", ["I32"], 2);
  const scales = parts.need("scales", SCALE_DTYPES, 2);
  const zeroWords = parts.need("qzeros", ["I32"], 2);
  const [cols = 0, across = 0] = words.shape;
  const [groups = 0, scaleCols = 0] = scales.shape;
  const out = PER_WORD * across;
  if (scaleCols !== out) throw parts.misfit("scales", `${out} columns`);
  if (zeroWords.shape.join() !== [groups, across].join())
    throw parts.misfit("qzeros", `[${groups}, ${across}]`);
  const group = groupOfColumns(parts, cols, groups, groupSize);
  return packedColumns(
    parts,
    {
      shape: [out, cols],
      words,
      scales,
      group,
      order: new GroupOrder(parts, undefined, cols, group, groups),
      inBlocks: blocksOf(scales, { bits: 4, cols, group, isSymmetric: false }),
      encoding: `4 bits, ${group >= cols ? "a scale a row" : `groups of ${group}`}`,
      async zeros(signal) {
        const packed = new Uint32Array((await parts.all(zeroWords, signal)).buffer);
        return Uint8Array.from({ length: groups * out }, (_, at) => field(packed, at));
      },
      unpackColumn(packed, column, into) {
        const shift = SHIFTS[column % PER_WORD] as number;
        let at = Math.floor(column / PER_WORD);
        for (let row = 0; row < cols; row++, at += across)
          into[row] = ((packed[at] as number) >>> shift) & 15;
      },
    },
    last,
  );
}

/** Integer `at` of rows whose lengths are multiples of eight. */
function field(packed: Uint32Array, at: number): number {
  const shift = SHIFTS[at % PER_WORD] as number;
  return ((packed[Math.floor(at / PER_WORD)] as number) >>> shift) & 15;
}
