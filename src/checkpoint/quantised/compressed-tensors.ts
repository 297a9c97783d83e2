/**
 * compressed-tensors, as llm-compressor writes it: 8-bit floats or integers with scales, packed integers (W4A16, W8A16),
 * 4-bit floats (NVFP4, MXFP4). What activations it means to quantise is not read: weights meet them as they are.
 */
import type { JsonSection } from "../../config/json-section.ts";
import { wordsOf } from "./bit-fields.ts";
import { SCALE_DTYPES } from "./float-values.ts";
import { fp4Rows } from "./fp4-rows.ts";
import { type Decoder, type Parts, type QuantisationMethod, Unreadable } from "./method.ts";
import { packedRows } from "./packed-rows.ts";
import { holdsCodes, type Rectangle, scaledElements } from "./scaled-elements.ts";

/** What a group of modules is quantised with. Which group a module belongs to is told by which one fits its tensors. */
interface Scheme {
  readonly bits: number;
  /** Null for a scale a row, or one in all. */
  readonly groupSize: number | null;
  readonly block: Rectangle | null;
}

/** Formats whose tensors mean something else. */
const OTHER_FORMATS = /sparse|marlin/;

export function compressedTensors(config: JsonSection): QuantisationMethod {
  const format = config.has("format") ? config.string("format") : "";
  if (OTHER_FORMATS.test(format)) {
    throw config.invalid("format", "a dense format (float-quantized, int-quantized, pack-quantized, ...)");
  }
  const transforms = config.optionalSection("transform_config")?.optionalSection("config_groups");
  if (transforms && transforms.keys().length > 0) {
    throw config.invalid("transform_config", "no transforms, which glimt does not apply");
  }
  const groups = config.optionalSection("config_groups");
  const schemes = groups ? groups.keys().flatMap((key) => schemeOf(groups.section(key))) : [];
  return {
    label: "compressed-tensors",
    parts: [
      "weight",
      "weight_packed",
      "weight_scale",
      "weight_zero_point",
      "weight_shape",
      "weight_g_idx",
      "weight_global_scale",
      ...ACTIVATION_PARTS,
    ],
    decoder: (parts) => decoderOf(parts, schemes),
  };
}

/** Scales of activations. */
const ACTIVATION_PARTS = [
  "input_scale",
  "input_zero_point",
  "input_global_scale",
  "output_scale",
  "output_zero_point",
];

function schemeOf(group: JsonSection): Scheme[] {
  const weights = group.optionalSection("weights");
  if (!weights) return [];
  const size = weights.has("group_size") && weights.get("group_size") !== -1;
  return [
    {
      bits: weights.positiveInteger("num_bits"),
      groupSize: size ? weights.positiveInteger("group_size") : null,
      block: weights.has("block_structure") ? blockStructure(weights) : null,
    },
  ];
}

/** [128, 128], or "128x128" as older files have it. */
function blockStructure(weights: JsonSection): Rectangle {
  const given = weights.get("block_structure");
  const sizes = typeof given === "string" ? given.split("x").map(Number) : given;
  const isPair = Array.isArray(sizes) && sizes.length === 2;
  if (!isPair || !sizes.every((size) => Number.isSafeInteger(size) && size > 0)) {
    throw weights.invalid("block_structure", "two positive integers");
  }
  return { rows: sizes[0], cols: sizes[1] };
}

function decoderOf(parts: Parts, schemes: readonly Scheme[]): Decoder | null {
  const packed = parts.get("weight_packed");
  if (packed?.dtype === "U8") return fp4(parts);
  if (packed) return packedIntegers(parts, schemes);
  if (!parts.get("weight_scale") && !holdsCodes(parts)) return null;
  const blocks = schemes.flatMap(({ groupSize, block }) => [
    ...(block ? [block] : []),
    ...(groupSize ? [{ rows: 1, cols: groupSize }] : []),
  ]);
  return scaledElements(parts, "weight_scale", blocks, "weight_zero_point");
}

function fp4(parts: Parts): Decoder {
  const elements = parts.need("weight_packed", ["U8"], 2);
  const isNv = parts.get("weight_global_scale") !== undefined;
  const scales = parts.need("weight_scale", isNv ? ["F8_E4M3"] : ["U8", "F8_E8M0"], 2);
  const divisor = isNv ? parts.need("weight_global_scale", ["F32"]) : undefined;
  const group = isNv ? 16 : 32;
  const [out = 0, half = 0] = elements.shape;
  const groups = Math.ceil((2 * half) / group);
  if (scales.shape.join() !== [out, groups].join()) throw parts.misfit("weight_scale", `[${out}, ${groups}]`);
  if (divisor && divisor.shape.join() !== "1" && divisor.shape.length > 0) {
    throw parts.misfit("weight_global_scale", "one number");
  }
  return fp4Rows(parts, { elements, scales, group, divisor, encoding: isNv ? "NVFP4" : "MXFP4" });
}

function packedIntegers(parts: Parts, schemes: readonly Scheme[]): Decoder {
  const words = parts.need("weight_packed", ["I32"], 2);
  const scales = parts.need("weight_scale", SCALE_DTYPES, 2);
  const groupOf = parts.get("weight_g_idx") ? parts.need("weight_g_idx", ["I32"], 1) : undefined;
  const [out = 0, rowWords = 0] = words.shape;
  const [scaleRows = 0, groups = 0] = scales.shape;
  if (scaleRows !== out) throw parts.misfit("weight_scale", `${out} rows`);
  const fitting = schemes.flatMap(({ bits, groupSize }) => {
    const most = Math.floor((rowWords * 32) / bits);
    // A row is filled up to whole words; whoever knows its length is asked.
    const cols = groupOf?.shape[0] ?? (groupSize && groups * groupSize < most ? groups * groupSize : most);
    const group = groupSize ?? cols;
    const fits = wordsOf(cols, bits) === rowWords && Math.ceil(cols / group) === groups;
    return fits ? [{ bits, cols, group }] : [];
  });
  const [scheme] = fitting;
  if (!scheme) {
    const known = schemes.map(({ bits, groupSize }) => `${bits} bits in groups of ${groupSize ?? "a row"}`);
    throw parts.misfit(
      "weight_packed",
      `what goes with weight_scale [${scales.shape.join(", ")}] and ${known.join(" or ") || "config_groups, which are missing"}`,
    );
  }
  const { bits, cols, group } = scheme;
  if (bits !== 4 && bits !== 8)
    throw new Unreadable(`has ${bits} bits; glimt reads 4 and 8 (${parts.label})`);
  const zeroPoint = parts.get("weight_zero_point") ? parts.need("weight_zero_point", ["I32"], 2) : undefined;
  const zeroShape = [wordsOf(out, bits), groups];
  if (zeroPoint && zeroPoint.shape.join() !== zeroShape.join()) {
    throw parts.misfit("weight_zero_point", `[${zeroShape.join(", ")}]`);
  }
  // Both the integers and the zero points are kept with half of the range added; where there are none they are 0.
  return packedRows(parts, {
    words,
    bits,
    cols,
    scales,
    group,
    groupOf,
    zero: zeroPoint ?? 2 ** (bits - 1),
    encoding: `${bits} bits, ${group >= cols ? "a scale a row" : `groups of ${group}`}`,
  });
}
