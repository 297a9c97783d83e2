/** Matrices of 8-bit elements with a scale, and perhaps a zero point, for each rectangle of rows x cols: w = (q - zero) * scale. */

import { E4M3, FP8_BLOCK_BYTES, FP8_COLS, FP8_SCALE_BYTES } from "../../tensor/fp8.ts";
import { holdsColumns } from "../../tensor/storage.ts";
import type { StoredDType, StoredTensor } from "../safetensors.ts";
import { INT8, SCALE_DTYPES } from "./float-values.ts";
import { type BlockRows, type Decoder, elementCount, type Parts } from "./method.ts";

/** Whether the weight is of a type that is nothing without scales. */
export function holdsCodes(parts: Parts): boolean {
  const dtype = parts.get("weight")?.dtype;
  return dtype !== undefined && ELEMENTS.includes(dtype);
}

const ELEMENTS: readonly StoredDType[] = ["F8_E4M3", "I8"];

export interface Rectangle {
  readonly rows: number;
  readonly cols: number;
}

/**
 * @param blocks rectangles that the configuration names; that there is one scale, or one a row, is told by its shape
 * @throws Unreadable
 */
export function scaledElements(
  parts: Parts,
  scaleEnd: string,
  blocks: readonly Rectangle[],
  zeroEnd?: string,
): Decoder {
  const weight = parts.need("weight", ELEMENTS, 2);
  const scale = parts.need(scaleEnd, [...SCALE_DTYPES, "F8_E8M0", "U8"]);
  const zero = zeroEnd !== undefined && parts.get(zeroEnd) ? parts.need(zeroEnd, ["I8"]) : undefined;
  const [out = 0, cols = 0] = weight.shape;
  const block = blockOf(scale, { rows: out, cols }, blocks);
  if (!block) {
    const named = blocks.map(({ rows: r, cols: c }) => `or one for each ${r} x ${c} elements`);
    throw parts.misfit(
      scaleEnd,
      `one for weight [${out}, ${cols}], one for each row${["", ...named].join(", ")}`,
    );
  }
  if (zero && zero.shape.join() !== scale.shape.join())
    throw parts.misfit(zeroEnd as string, "the shape of the scales");
  const across = Math.ceil(cols / block.cols);
  const table = weight.dtype === "I8" ? INT8 : E4M3;
  /** Those of rows [first, first + count): in the whole, the first and the one behind the last. */
  const groupsOf = (first: number, count: number) => ({
    from: Math.floor(first / block.rows) * across,
    to: Math.ceil((first + count) / block.rows) * across,
  });
  const inBlocks: BlockRows = {
    format: "fp8",
    async rows(first, count, into, signal) {
      const { from, to } = groupsOf(first, count);
      const scales = await parts.floats(scale, from, to, signal);
      const elements = await parts.rows(weight, first, count, signal);
      const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
      let at = 0;
      for (let row = 0; row < count; row++) {
        const group = Math.floor((first + row) / block.rows) * across - from;
        for (let col = 0; col < cols; col += FP8_COLS, at += FP8_BLOCK_BYTES) {
          view.setFloat32(at, scales[group + Math.floor(col / block.cols)] as number, true);
          const start = row * cols + col;
          into.set(elements.subarray(start, start + FP8_COLS), at + FP8_SCALE_BYTES);
        }
      }
    },
  };
  const sharesScales = block.cols === cols || block.cols % FP8_COLS === 0;
  const holds = weight.dtype === "F8_E4M3" && holdsColumns("fp8", cols) && sharesScales;
  return {
    shape: [out, cols],
    encoding: `${weight.dtype === "I8" ? "int8" : "E4M3"}, ${placesOf(block, out, cols)}`,
    ...(holds && !zero && { blocks: inBlocks }),
    async rows(first, count, into, signal) {
      const { from, to } = groupsOf(first, count);
      const scales = await parts.floats(scale, from, to, signal);
      const zeros = zero && (await parts.floats(zero, from, to, signal));
      const elements = await parts.rows(weight, first, count, signal);
      for (let row = 0; row < count; row++) {
        const group = Math.floor((first + row) / block.rows) * across - from;
        const end = (row + 1) * cols;
        for (let g = group, start = row * cols; start < end; g++, start += block.cols) {
          const scaleOf = scales[g] as number;
          const zeroOf = (zeros?.[g] as number) ?? 0;
          const stop = Math.min(start + block.cols, end);
          for (let at = start; at < stop; at++) {
            into[at] = ((table[elements[at] as number] as number) - zeroOf) * scaleOf;
          }
        }
      }
    },
  };
}

function blockOf(scale: StoredTensor, whole: Rectangle, blocks: readonly Rectangle[]): Rectangle | undefined {
  const { rows, cols } = whole;
  const [high = 1, wide = 1] = scale.shape;
  if (elementCount(scale) === 1) return whole;
  if (scale.shape.length <= 2 && high === rows && wide === 1) return { rows: 1, cols };
  if (scale.shape.length !== 2) return undefined;
  return blocks.find(
    (block) => Math.ceil(rows / block.rows) === high && Math.ceil(cols / block.cols) === wide,
  );
}

function placesOf(block: Rectangle, rows: number, cols: number): string {
  if (block.rows >= rows && block.cols >= cols) return "one scale";
  if (block.rows === 1 && block.cols >= cols) return "a scale a row";
  return block.rows === 1 ? `groups of ${block.cols}` : `blocks of ${block.rows} x ${block.cols}`;
}
