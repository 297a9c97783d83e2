/** Rows of 4-bit floats, two a byte, low half first, with a scale for each group of columns. */
import type { StoredTensor } from "../safetensors.ts";
import { E2M1 } from "./float-values.ts";
import type { Decoder, Parts } from "./method.ts";

export interface Fp4Rows {
  /** [out, cols / 2] bytes. */
  readonly elements: StoredTensor;
  /** [out, groups]. */
  readonly scales: StoredTensor;
  readonly group: number;
  /** One number that the scales are divided by. */
  readonly divisor?: StoredTensor | undefined;
  readonly encoding: string;
}

export function fp4Rows(parts: Parts, { elements, scales, group, divisor, encoding }: Fp4Rows): Decoder {
  const [out = 0, rowBytes = 0] = elements.shape;
  const cols = 2 * rowBytes;
  const groups = Math.ceil(cols / group);
  return {
    shape: [out, cols],
    encoding,
    async rows(first, count, into, signal) {
      const scale = await parts.floats(scales, first * groups, (first + count) * groups, signal);
      if (divisor) {
        const [total = 1] = await parts.floats(divisor, 0, 1, signal);
        if (total === 0) throw parts.invalid(divisor, "is zero");
        for (let g = 0; g < scale.length; g++) scale[g] = (scale[g] as number) / total;
      }
      const bytes = await parts.rows(elements, first, count, signal);
      for (let row = 0; row < count; row++) {
        for (let col = 0; col < cols; col++) {
          const at = row * cols + col;
          const code = ((bytes[at >> 1] as number) >> ((at & 1) * 4)) & 15;
          const s = scale[row * groups + Math.floor(col / group)] as number;
          into[at] = (E2M1[code] as number) * s;
        }
      }
    },
  };
}
