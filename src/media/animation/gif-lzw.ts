/** The compressed pixels of a GIF frame. */

import { Unreadable } from "../codecs/unreadable.ts";
import type { GifFrame } from "./gif-blocks.ts";

/** Codes have at most 12 bits. */
const TABLE_SIZE = 4096;
/** A minimum code size of more bits than a code has means nothing. */
const LARGEST_CODE_SIZE = 12;
/** First row and distance of the four passes of an interlaced frame. */
const PASSES = [
  [0, 8],
  [4, 8],
  [2, 4],
  [1, 2],
] as const;

/**
 * Decodes a frame into `pixels`, a picture of `stride` pixels a row whose first pixel is the canvas' top left.
 * `colours` has 256 pixel values. Reads codes as Pillow does: past the end of a chain of blocks, and whatever follows
 * the last pixel is not looked at.
 *
 * @throws Unreadable for codes that mean nothing, RangeError when the data ends before the last pixel
 */
export function drawGifFrame(
  bytes: Uint8Array,
  { x, y, width, height, isInterlaced, codeSize, dataAt }: GifFrame,
  colours: Uint32Array,
  pixels: Uint32Array,
  stride: number,
): void {
  checkGifData(bytes, { width, height, codeSize, dataAt });
  const clear = 1 << codeSize;
  const end = clear + 1;
  // A string is a code's string with one more pixel.
  const prefixes = new Uint16Array(TABLE_SIZE);
  const suffixes = new Uint8Array(TABLE_SIZE);
  const string = new Uint8Array(TABLE_SIZE);
  let next = end + 1;
  let bits = codeSize + 1;
  let mask = (1 << bits) - 1;
  let isFresh = true;
  let lastCode = 0;
  let firstPixel = 0;

  let pass = isInterlaced ? 0 : -1;
  let row = 0;
  let column = 0;
  let to = y * stride + x;

  let at = dataAt;
  let blockEnd = at;
  let buffer = 0;
  let buffered = 0;
  for (;;) {
    while (buffered < bits) {
      if (at === blockEnd) {
        const length = bytes[at];
        if (length === undefined || at + 1 + length > bytes.length)
          throw new RangeError("the data ends early");
        at++;
        blockEnd = at + length;
        continue;
      }
      buffer |= (bytes[at++] as number) << buffered;
      buffered += 8;
    }
    let code = buffer & mask;
    buffer >>>= bits;
    buffered -= bits;

    if (code === clear) {
      next = end + 1;
      bits = codeSize + 1;
      mask = (1 << bits) - 1;
      isFresh = true;
      continue;
    }
    if (code === end) throw new RangeError("the data ends early");

    // The string is written from the right.
    let start = TABLE_SIZE;
    if (isFresh) {
      if (code > clear) throw new Unreadable("a code before its string");
      isFresh = false;
      lastCode = code;
      firstPixel = code & 0xff;
      string[--start] = firstPixel;
    } else {
      if (code > next) throw new Unreadable("a code before its string");
      const thisCode = code;
      if (code === next) {
        string[--start] = firstPixel;
        code = lastCode;
      }
      while (code >= clear) {
        if (start === 0 || code >= TABLE_SIZE) throw new Unreadable("a code without an end");
        string[--start] = suffixes[code] as number;
        code = prefixes[code] as number;
      }
      if (start === 0) throw new Unreadable("a code without an end");
      firstPixel = code & 0xff;
      string[--start] = firstPixel;
      if (next < TABLE_SIZE) {
        suffixes[next] = firstPixel;
        prefixes[next] = lastCode;
        if (next === mask && bits < 12) {
          bits++;
          mask = (1 << bits) - 1;
        }
        next++;
      }
      lastCode = thisCode;
    }

    for (let i = start; i < TABLE_SIZE; i++) {
      pixels[to++] = colours[string[i] as number] as number;
      if (++column < width) continue;
      column = 0;
      if (pass < 0) row++;
      else {
        row += (PASSES[pass] as (typeof PASSES)[number])[1];
        while (row >= height && ++pass < PASSES.length) row = (PASSES[pass] as (typeof PASSES)[number])[0];
      }
      // What a string holds beyond the last pixel is left out.
      if (row >= height) return;
      to = (y + row) * stride + x;
    }
  }
}

/**
 * Tells data that can not fill its frame before memory is taken for it: a code of at least codeSize + 1 bits stands
 * for at most TABLE_SIZE pixels.
 *
 * @throws RangeError for too little data, Unreadable for a code size that means nothing
 */
export function checkGifData(
  bytes: Uint8Array,
  { width, height, codeSize, dataAt }: Pick<GifFrame, "width" | "height" | "codeSize" | "dataAt">,
): void {
  if (codeSize > LARGEST_CODE_SIZE) throw new Unreadable(`its code size is ${codeSize}`);
  const codes = ((bytes.length - dataAt) * 8) / (codeSize + 1);
  if (width * height > codes * TABLE_SIZE) throw new RangeError("the data ends early");
}
