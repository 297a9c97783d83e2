/** A PNG file's picture, with what Pillow accepts and refuses. Of an animation it is what viewers of stills show. */

import { concatBytes, viewOf } from "./bytes.ts";
import { Unreadable } from "./codecs/unreadable.ts";
import { checkedInflate, checkInflatable } from "./inflate.ts";
import { type PngChunk, type PngParts, pngChunk, pngChunks } from "./png-chunks.ts";
import { pngTexts } from "./png-text.ts";

interface PngFile {
  /** Up to the pixels. */
  readonly before: readonly PngChunk[];
  readonly pixels: readonly PngChunk[];
  readonly after: readonly PngChunk[];
  readonly header: Uint8Array;
}

/** IHDR's bytes: bits a sample, kind of pixel, compression, filters, interlacing. */
const [DEPTH, COLOUR, COMPRESSION, FILTERS, INTERLACING] = [8, 9, 10, 11, 12] as const;
const HEADER_BYTES = 13;
const [GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA] = [0, 2, 3, 4, 6] as const;
/** Bits a sample that each kind of pixel may have. */
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  [GREY]: [1, 2, 4, 8, 16],
  [RGB]: [8, 16],
  [PALETTE]: [1, 2, 4, 8],
  [GREY_ALPHA]: [8, 16],
  [RGB_ALPHA]: [8, 16],
};
/** Bytes without which a chunk says nothing. */
const SHORTEST: Readonly<Record<string, number>> = { sRGB: 1, gAMA: 4, pHYs: 9, acTL: 8, fcTL: 26, iCCP: 2 };
/** Some files lack the checksum of the decompressed pixels, without which the decoder would wait for it. */
const UNREAD_CHECKSUM = pngChunk("IDAT", new Uint8Array(4));

/** The chunks of a file with pixels. @throws RangeError for a truncated file, Unreadable for one that is no PNG */
function readChunks(bytes: Uint8Array): PngFile {
  const before: PngChunk[] = [];
  const pixels: PngChunk[] = [];
  const after: PngChunk[] = [];
  for (const chunk of pngChunks(bytes, "picture")) {
    // Another frame of an animation begins, which may be cut short.
    if (chunk.type === "fcTL" && pixels.length > 0 && last(before, "acTL")) break;
    if (chunk.type === "IDAT" && after.length === 0) pixels.push(chunk);
    else (pixels.length > 0 ? after : before).push(chunk);
  }
  const header = last(before, "IHDR");
  if (!header || header.length < HEADER_BYTES) throw new Unreadable("it has no header");
  if (pixels.length === 0) throw new RangeError("it has no pixels");
  return { before, pixels, after, header };
}

/** @throws RangeError for a truncated file, Unreadable for one that is no PNG */
export function pngHeader(bytes: Uint8Array) {
  const { before, after, header } = readChunks(bytes);
  const view = viewOf(header);
  const all = [...before, ...after];
  const { exif, xmp } = pngTexts(all);
  return { width: view.getUint32(0), height: view.getUint32(4), exif: last(all, "eXIf") ?? exif, xmp };
}

/**
 * What a decoder needs of the file. Checksums count up to the pixels; those of the pixels themselves do not, nor does
 * a missing end. Chunks that describe the picture need not make sense, but must be whole.
 *
 * @throws RangeError for a truncated file, Unreadable saying what is wrong with another
 */
export function pngParts(bytes: Uint8Array): PngParts {
  const { before, pixels, after, header } = readChunks(bytes);
  const broken = before.find((chunk) => !chunk.isIntact());
  if (broken) throw new Unreadable(`the checksum of its ${broken.type} chunk is wrong`);
  for (const chunk of [...before, ...after]) checkChunk(chunk);
  const depth = header[DEPTH] as number;
  const colour = header[COLOUR] as number;
  if (!DEPTHS[colour]?.includes(depth))
    throw new Unreadable(`it has pixels of kind ${colour} with ${depth} bits`);
  if (header[FILTERS] !== 0) throw new Unreadable("its filters are unknown");
  const clean = header.slice(0, HEADER_BYTES);
  clean[COMPRESSION] = 0;
  clean[INTERLACING] = header[INTERLACING] === 0 ? 0 : 1;
  return {
    header: clean,
    palette: colour === PALETTE ? fullPalette(2 ** depth, last(before, "PLTE")) : undefined,
    transparency: transparency(last([...before, ...after], "tRNS"), colour, 2 ** depth),
    pixels: pixelChunks(pixels, clean),
  };
}

/**
 * IDAT chunks for a decoder, of those and of fdAT. Wrong checksums of these chunks do not count when the pixels are
 * whole, for which their own checksum stands; so may the last chunk be cut off behind them.
 *
 * @throws Unreadable
 */
export function pixelChunks(chunks: readonly PngChunk[], header: Uint8Array): Uint8Array[] {
  const compressed = chunks.reduce((sum, { data }) => sum + data.length, 0);
  checkInflatable(compressed, pixelBytes(header));
  const isIntact = chunks.every((chunk) => chunk.isIntact());
  if (isIntact && chunks.every(({ type }) => type === "IDAT")) {
    return [...chunks.map(({ whole }) => whole), UNREAD_CHECKSUM];
  }
  // An fdAT chunk begins with its number.
  const joined = concatBytes(chunks.map(({ type, data }) => (type === "IDAT" ? data : data.subarray(4))));
  if (isIntact) return [pngChunk("IDAT", joined), UNREAD_CHECKSUM];
  try {
    // The decoder may fail at what follows the pixels: it gets them as they are.
    return [pngChunk("IDAT", storedZlib(checkedInflate(joined, pixelBytes(header)))), UNREAD_CHECKSUM];
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const end = chunks.at(-1);
    const isCut = !end || end.whole.length < end.data.length + 12;
    throw new Unreadable(isCut ? "it is a truncated PNG file" : "its pixels are corrupt");
  }
}

/** Bytes of a block that is stored as it is. */
const MOST_STORED = 65535;

/** A zlib stream that compresses nothing, up to its checksum. */
function storedZlib(bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(0x78, 0x01)];
  for (let at = 0; at < bytes.length; at += MOST_STORED) {
    const block = bytes.subarray(at, at + MOST_STORED);
    const isLast = at + MOST_STORED >= bytes.length;
    const header = new Uint8Array(5);
    header[0] = isLast ? 1 : 0;
    viewOf(header).setUint16(1, block.length, true);
    viewOf(header).setUint16(3, block.length ^ 0xffff, true);
    parts.push(header, block);
  }
  return concatBytes(parts);
}

/** First column and row, and distances, of the seven passes of an interlaced picture. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;
const CHANNELS: Readonly<Record<number, number>> = {
  [GREY]: 1,
  [RGB]: 3,
  [PALETTE]: 1,
  [GREY_ALPHA]: 2,
  [RGB_ALPHA]: 4,
};

/** Bytes of all rows, each of which begins with its filter. */
function pixelBytes(header: Uint8Array): number {
  const view = viewOf(header);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const bits = (header[DEPTH] as number) * (CHANNELS[header[COLOUR] as number] ?? 0);
  const passes = header[INTERLACING] === 0 ? [[0, 0, 1, 1] as const] : PASSES;
  return passes.reduce((sum, [x, y, across, down]) => {
    const columns = Math.ceil((width - x) / across);
    const rows = Math.ceil((height - y) / down);
    return columns > 0 && rows > 0 ? sum + rows * (1 + Math.ceil((columns * bits) / 8)) : sum;
  }, 0);
}

function last(chunks: readonly PngChunk[], type: string): Uint8Array | undefined {
  return chunks.findLast((chunk) => chunk.type === type)?.data;
}

function checkChunk({ type, data }: PngChunk): void {
  if (data.length < (SHORTEST[type] ?? 0)) throw new Unreadable(`its ${type} chunk is too short`);
  // A profile or text in an unknown compression.
  if (type === "iCCP" && data[data.indexOf(0) + 1] !== 0)
    throw new Unreadable(`its ${type} chunk is corrupt`);
}

/** Colours that the file lacks are black. */
function fullPalette(colours: number, given: Uint8Array = new Uint8Array(0)): Uint8Array {
  if (given.length >= 3 * 257) throw new Unreadable("its palette has more than 256 colours");
  const palette = new Uint8Array(3 * colours);
  palette.set(given.subarray(0, Math.min(palette.length, given.length - (given.length % 3))));
  return palette;
}

function transparency(
  given: Uint8Array | undefined,
  colour: number,
  colours: number,
): Uint8Array | undefined {
  const bytes = { [GREY]: 2, [RGB]: 6, [PALETTE]: colours }[colour];
  if (!given || bytes === undefined) return undefined;
  if (colour !== PALETTE && given.length < bytes) throw new Unreadable("its tRNS chunk is too short");
  return given.subarray(0, bytes);
}
