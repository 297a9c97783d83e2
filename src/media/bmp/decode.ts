/** BMP pixels: of 1 to 32 bits, plain or in runs. */

import { type BmpLayout, bmpLayout } from "./layout.ts";

/** Encoded bytes to RGBA. @throws RangeError for a truncated file, Unreadable saying what of it is not read */
export async function decode(bytes: Uint8Array): Promise<Uint8Array> {
  const layout = bmpLayout(bytes);
  return layout.palette ? decodeIndexed(bytes, layout) : decodeColours(bytes, layout);
}

function rowBytes({ width, bits }: BmpLayout): number {
  return ((width * bits + 31) >>> 5) * 4;
}

/** Where each row of the picture begins. @throws RangeError when the last one is cut off; its padding may be */
function rowStarts(bytes: Uint8Array, layout: BmpLayout): (y: number) => number {
  const { width, height, bits, pixelsAt, isTopDown } = layout;
  const step = rowBytes(layout);
  const end = pixelsAt + step * (height - 1) + Math.ceil((width * bits) / 8);
  if (end > bytes.length) throw new RangeError("the pixels are cut off");
  return (y) => pixelsAt + step * (isTopDown ? y : height - 1 - y);
}

function decodeColours(bytes: Uint8Array, layout: BmpLayout): Uint8Array {
  const { width, height, bits, masks = [0, 0, 0, 0] } = layout;
  const startOf = rowStarts(bytes, layout);
  const rgba = new Uint8Array(width * height * 4).fill(255);
  const pixelBytes = bits / 8;
  masks.forEach((mask, channel) => {
    if (mask === 0) return;
    const shift = 31 - Math.clz32(mask & -mask);
    const most = mask >>> shift;
    // A colour of fewer bits is stretched to 255.
    const values = Uint8Array.from({ length: most + 1 }, (_, value) => Math.floor((value * 255) / most));
    for (let y = 0, to = channel; y < height; y++) {
      for (let x = 0, at = startOf(y); x < width; x++, at += pixelBytes, to += 4) {
        let pixel = 0;
        for (let i = 0; i < pixelBytes; i++) pixel |= (bytes[at + i] as number) << (8 * i);
        rgba[to] = values[(pixel & mask) >>> shift] as number;
      }
    }
  });
  return rgba;
}

function decodeIndexed(bytes: Uint8Array, layout: BmpLayout): Uint8Array {
  const { width, height, compression, isTopDown, palette } = layout;
  const colours = paletteColours(palette as NonNullable<typeof palette>);
  const isRuns = compression !== "none";
  const indices = isRuns ? decodeRuns(bytes, layout) : bytes;
  // Of runs there is an index a byte.
  const bits = isRuns ? 8 : layout.bits;
  const startOf = isRuns ? (y: number) => (isTopDown ? y : height - 1 - y) * width : rowStarts(bytes, layout);
  const pixels = new Uint32Array(width * height);
  const mask = 2 ** bits - 1;
  for (let y = 0; y < height; y++) {
    const start = startOf(y);
    for (let x = 0; x < width; x++) {
      const bit = x * bits;
      const index = ((indices[start + (bit >>> 3)] as number) >> (8 - bits - (bit & 7))) & mask;
      pixels[y * width + x] = colours[index] as number;
    }
  }
  return new Uint8Array(pixels.buffer);
}

/** RGBA of each colour, as pixels lie in memory; what the palette lacks is black. */
function paletteColours({ bytes, step }: { bytes: Uint8Array; step: number }): Uint32Array {
  const rgba = new Uint8Array(256 * 4);
  for (let i = 0; i < 256; i++) {
    const [blue = 0, green = 0, red = 0] = (i + 1) * step <= bytes.length ? bytes.subarray(i * step) : [];
    rgba.set([red, green, blue, 255], i * 4);
  }
  return new Uint32Array(rgba.buffer);
}

/**
 * Indices, rows in the order of the file. Runs are read as Pillow reads them: those that are too long end with their
 * row, and literal pixels of 4 bits come in pairs.
 *
 * @throws RangeError when pixels are missing at the end
 */
function decodeRuns(bytes: Uint8Array, { width, height, compression, pixelsAt }: BmpLayout): Uint8Array {
  const isRle4 = compression === "rle4";
  const most = width * height;
  const indices = new Uint8Array(most);
  let done = 0;
  let x = 0;
  let at = pixelsAt;
  while (done < most && at + 1 < bytes.length) {
    const count = bytes[at] as number;
    const value = bytes[at + 1] as number;
    at += 2;
    if (count > 0) {
      const kept = Math.min(count, Math.max(0, width - x), most - done);
      if (isRle4) for (let i = 0; i < kept; i++) indices[done + i] = i % 2 === 0 ? value >> 4 : value & 15;
      else indices.fill(value, done, done + kept);
      done += kept;
      x += kept;
    } else if (value === 0) {
      done = Math.ceil(done / width) * width;
      x = 0;
    } else if (value === 1) {
      break;
    } else if (value === 2) {
      if (at + 2 > bytes.length) break;
      done += (bytes[at] as number) + (bytes[at + 1] as number) * width;
      x = done % width;
      at += 2;
    } else {
      const length = isRle4 ? value >> 1 : value;
      const literal = bytes.subarray(at, at + length);
      const pixels = isRle4 ? literal.length * 2 : literal.length;
      for (let i = 0; i < pixels && done + i < most; i++) {
        const byte = literal[isRle4 ? i >> 1 : i] as number;
        indices[done + i] = !isRle4 ? byte : i % 2 === 0 ? byte >> 4 : byte & 15;
      }
      done += pixels;
      at += literal.length;
      if (literal.length < length) break;
      x += value;
      at += at % 2;
    }
  }
  if (done < most) throw new RangeError("the pixels are cut off");
  return indices;
}
