/** Weights of formats that only checkpoints come in: blocks of any bits, whose scales leave products of about unit size. */
import { bytesOfBlock, SCALE_PLACES } from "../tensor/block-parts.ts";
import { narrow } from "../tensor/convert.ts";
import { type BlockFormat, blockCols, FORMATS, type FormatRow } from "../tensor/storage.ts";
import { Random } from "./random.ts";

/** Root mean squares of scales' codes, by their bits: of 0..63, and of -128..127. */
const CODE_SIZES = { 6: 36, 8: 74 } as const;

/** Plain rows, the same for the same seed. */
export function randomBlocks(format: BlockFormat, seed: string, rows: number, cols: number): Uint8Array {
  const random = new Random(seed);
  const blockBytes = bytesOfBlock(format);
  const bytes = new Uint8Array((rows * cols * blockBytes) / blockCols(format));
  for (let at = 0; at < bytes.length; at++) bytes[at] = random.integer(256);
  const { bits, group }: FormatRow = FORMATS[format];
  const code = group?.coded ? CODE_SIZES[group.coded.bits] : 1;
  const size = Math.sqrt(12 / cols) / 2 ** bits / code;
  // Of elements that are not negative about half of the range is taken off.
  const minimum = size * 2 ** (bits - 1) * (group?.coded ? 1 : -1);
  const places = SCALE_PLACES[format];
  const patterns = new Uint16Array(places.length);
  for (let at = 0; at < bytes.length; at += blockBytes) {
    const numbers = places.map((_, index) => (index === 0 ? size : minimum) * (0.5 + random.uniform()));
    narrow("f16", numbers, 0, numbers.length, patterns, 0);
    for (const [index, place] of places.entries()) {
      bytes[at + place] = (patterns[index] as number) & 255;
      bytes[at + place + 1] = (patterns[index] as number) >> 8;
    }
  }
  return bytes;
}
