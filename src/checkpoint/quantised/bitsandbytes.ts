/**
 * bitsandbytes' 4-bit types, nf4 and fp4: indices into a table of 16 values, two a byte, high half first, over all elements
 * of the matrix row by row, with a scale for each block of them. The scales may be in blocks of 8-bit indices themselves.
 */
import { JsonSection } from "../../config/json-section.ts";
import { parseJson } from "../../json/plain.ts";
import { JsonError } from "../../json/reader.ts";
import type { StoredTensor } from "../safetensors.ts";
import { type Decoder, elementCount, type Parts, type QuantisationMethod, Unreadable } from "./method.ts";

const STATES = ["weight.quant_state.bitsandbytes__nf4", "weight.quant_state.bitsandbytes__fp4"];
/** The state is some hundred characters of JSON. */
const MOST_STATE_BYTES = 65_536;

export function bitsandbytes(): QuantisationMethod {
  return {
    label: "bitsandbytes",
    parts: [
      "weight",
      "weight.absmax",
      "weight.quant_map",
      "weight.nested_absmax",
      "weight.nested_quant_map",
      ...STATES,
      "SCB",
      "weight_format",
    ],
    decoder(parts, signal) {
      if (parts.get("SCB"))
        throw new Unreadable("is quantised by LLM.int8; glimt reads nf4 and fp4 (bitsandbytes)");
      return parts.get("weight.absmax") ? fourBits(parts, signal) : null;
    },
  };
}

interface State {
  readonly type: string;
  readonly shape: readonly [number, number];
  readonly block: number;
  readonly nested: { readonly block: number; readonly offset: number } | null;
}

async function fourBits(parts: Parts, signal: AbortSignal | undefined): Promise<Decoder> {
  const { type, shape, block, nested } = await readState(parts, signal);
  const [out, cols] = shape;
  const elements = out * cols;
  // A storage type may be asked for; the bytes are the same.
  const weight = parts.need("weight", ["U8", "I8", "BF16", "F16", "F32"]);
  if (weight.bytes !== Math.ceil(elements / 2)) {
    throw parts.misfit("weight", `${Math.ceil(elements / 2)} bytes for [${shape.join(", ")}]`);
  }
  const blocks = Math.ceil(elements / block);
  const table = sized(parts, "weight.quant_map", "F32", 16);
  const readScales = nested
    ? nestedScales(parts, blocks, nested)
    : plainScales(parts, sized(parts, "weight.absmax", "F32", blocks));
  return {
    shape,
    encoding: `${type} in blocks of ${block}${nested ? ", their scales in 8 bits" : ""}`,
    async rows(first, count, into, stop) {
      const [from, to] = [first * cols, (first + count) * cols];
      const firstBlock = Math.floor(from / block);
      const values = await parts.floats(table, 0, 16, stop);
      const scales = await readScales(firstBlock, Math.ceil(to / block), stop);
      const firstByte = from >> 1;
      const bytes = await parts.bytes(weight, firstByte, (to + 1) >> 1, stop);
      for (let at = from; at < to; at++) {
        const byte = bytes[(at >> 1) - firstByte] as number;
        const code = at & 1 ? byte & 15 : byte >> 4;
        const scale = scales[Math.floor(at / block) - firstBlock] as number;
        into[at - from] = (values[code] as number) * scale;
      }
    },
  };
}

/** Of blocks [from, to). */
type ReadScales = (from: number, to: number, signal: AbortSignal | undefined) => Promise<Float32Array>;

function plainScales(parts: Parts, absmax: StoredTensor): ReadScales {
  return (from, to, signal) => parts.floats(absmax, from, to, signal);
}

function nestedScales(
  parts: Parts,
  blocks: number,
  { block, offset }: NonNullable<State["nested"]>,
): ReadScales {
  const codes = sized(parts, "weight.absmax", "U8", blocks);
  const table = sized(parts, "weight.nested_quant_map", "F32", 256);
  const absmax = sized(parts, "weight.nested_absmax", "F32", Math.ceil(blocks / block));
  return async (from, to, signal) => {
    const first = Math.floor(from / block);
    const scales = await parts.floats(absmax, first, Math.ceil(to / block), signal);
    const values = await parts.floats(table, 0, 256, signal);
    const bytes = await parts.bytes(codes, from, to, signal);
    return Float32Array.from(bytes, (code, at) => {
      const scale = scales[Math.floor((from + at) / block) - first] as number;
      return Math.fround((values[code] as number) * scale) + offset;
    });
  };
}

/** A tensor of just so many elements. */
function sized(parts: Parts, end: string, dtype: "F32" | "U8", count: number): StoredTensor {
  const tensor = parts.need(end, [dtype]);
  if (elementCount(tensor) !== count) throw parts.misfit(end, `${count} elements`);
  return tensor;
}

async function readState(parts: Parts, signal: AbortSignal | undefined): Promise<State> {
  const end = STATES.find((name) => parts.get(name));
  if (end === undefined) throw new Unreadable("has no weight.quant_state (bitsandbytes)");
  const tensor = parts.need(end, ["U8"]);
  if (tensor.bytes > MOST_STATE_BYTES) throw parts.misfit(end, `at most ${MOST_STATE_BYTES} bytes`);
  let json: unknown;
  try {
    json = parseJson(new TextDecoder("utf-8", { fatal: true }).decode(await parts.all(tensor, signal)));
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof JsonError)) throw cause;
    throw parts.invalid(tensor, "is not valid JSON");
  }
  const state = JsonSection.root(json, `${parts.path}.${end}`, "CHECKPOINT_INVALID");
  const shape = state.naturalNumbers("shape");
  if (shape.length !== 2) throw state.invalid("shape", "[out, in]");
  const nested = parts.get("weight.nested_absmax") !== undefined;
  if (nested && !Number.isFinite(state.get("nested_offset")))
    throw state.invalid("nested_offset", "a number");
  return {
    type: state.string("quant_type"),
    shape: [shape[0] as number, shape[1] as number],
    block: state.positiveInteger("blocksize"),
    nested: nested
      ? {
          block: state.positiveInteger("nested_blocksize"),
          offset: Math.fround(state.get("nested_offset") as number),
        }
      : null,
  };
}
