/** The chunks of PNG files: length, type, data and checksum. */

import { ascii, concatBytes, letters, viewOf } from "./bytes.ts";
import { Unreadable } from "./codecs/unreadable.ts";

export interface PngChunk {
  readonly type: string;
  readonly data: Uint8Array;
  /** From the length to the checksum; shorter at the end of the file. */
  readonly whole: Uint8Array;
  /** Whether the checksum fits type and data; computed when asked for. */
  isIntact(): boolean;
}

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

/** Each costs more memory than its bytes; those of pixels usually have 8 KB and more. */
const MOST_CHUNKS = 2 ** 19;

/**
 * The chunks up to IEND, or to the end of the file.
 *
 * @param need "picture": chunks of pixels may be cut off, and what follows them need be no chunk; "whole": all counts.
 * @throws RangeError for a chunk that reaches past the end, save for its checksum; Unreadable for a type that is no word
 */
export function* pngChunks(bytes: Uint8Array, need: "picture" | "whole"): Generator<PngChunk> {
  const view = viewOf(bytes);
  let hasPixels = false;
  let count = 0;
  for (let at = SIGNATURE.length; at + 8 <= bytes.length; ) {
    if (++count > MOST_CHUNKS) throw new Unreadable(`it has more than ${MOST_CHUNKS} chunks`);
    const type = ascii(bytes, at + 4, at + 8);
    if (!/^\w{4}$/.test(type)) {
      if (hasPixels && need === "picture") return;
      throw new Unreadable("a chunk has no name");
    }
    const isPixels = type === "IDAT" || type === "fdAT";
    hasPixels ||= isPixels;
    const end = at + 8 + view.getUint32(at);
    // Whatever length it has.
    if (type === "IEND") return;
    if (end > bytes.length && !(isPixels && need === "picture"))
      throw new RangeError("a chunk reaches past the end");
    const named = bytes.subarray(at + 4, end);
    yield {
      type,
      data: bytes.subarray(at + 8, end),
      whole: bytes.subarray(at, end + 4),
      isIntact: () => end + 4 <= bytes.length && view.getUint32(end) === crc32(named),
    };
    at = end + 4;
  }
}

/** What a still picture is made of; the header is IHDR's. */
export interface PngParts {
  readonly header: Uint8Array;
  readonly palette: Uint8Array | undefined;
  readonly transparency: Uint8Array | undefined;
  /** IDAT chunks with checksums that fit. */
  readonly pixels: readonly Uint8Array[];
}

/** A file of these parts alone. */
export function pngFile({ header, palette, transparency, pixels }: PngParts): Uint8Array {
  return concatBytes([
    SIGNATURE,
    pngChunk("IHDR", header),
    ...(palette ? [pngChunk("PLTE", palette)] : []),
    ...(transparency ? [pngChunk("tRNS", transparency)] : []),
    ...pixels,
    pngChunk("IEND", new Uint8Array(0)),
  ]);
}

/** @returns length, type, data and checksum */
export function pngChunk(type: string, data: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(12 + data.length);
  const view = viewOf(chunk);
  view.setUint32(0, data.length);
  chunk.set(letters(type), 4);
  chunk.set(data, 8);
  view.setUint32(8 + data.length, crc32(chunk.subarray(4, 8 + data.length)));
  return chunk;
}

/** What a byte does to the checksum, by how many bytes it is ahead. */
const CRC_TABLES = [
  new Uint32Array(256),
  new Uint32Array(256),
  new Uint32Array(256),
  new Uint32Array(256),
] as const;
for (let byte = 0; byte < 256; byte++) {
  let value = byte;
  for (const table of CRC_TABLES) {
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
    table[byte] = value;
  }
}

/** The checksum of PNG chunks (ISO 3309), four bytes at a time: there are many megabytes of them. */
function crc32(bytes: Uint8Array): number {
  const [one, two, three, four] = CRC_TABLES;
  let crc = -1;
  let at = 0;
  for (const end = bytes.length - 3; at < end; at += 4) {
    crc ^=
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    crc =
      (four[crc & 0xff] as number) ^
      (three[(crc >>> 8) & 0xff] as number) ^
      (two[(crc >>> 16) & 0xff] as number) ^
      (one[crc >>> 24] as number);
  }
  for (; at < bytes.length; at++) crc = (one[(crc ^ (bytes[at] as number)) & 0xff] as number) ^ (crc >>> 8);
  return (crc ^ -1) >>> 0;
}
