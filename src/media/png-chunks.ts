/** The chunks of PNG files: length, type, data and checksum. */

import { ascii, concatBytes, viewOf } from "./bytes.ts";
import { Unreadable } from "./codecs/unreadable.ts";

export interface PngChunk {
  readonly type: string;
  readonly data: Uint8Array;
  /** Whether the checksum fits type and data; computed when asked for. */
  isIntact(): boolean;
}

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

/**
 * The chunks up to and with IEND, or to the end of the file.
 *
 * @throws RangeError for a chunk that reaches past the end, save for its checksum; Unreadable for a type that is no word
 */
export function* pngChunks(bytes: Uint8Array): Generator<PngChunk> {
  const view = viewOf(bytes);
  for (let at = SIGNATURE.length; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = ascii(bytes, at + 4, at + 8);
    if (!/^\w{4}$/.test(type)) throw new Unreadable("a chunk has no name");
    const end = at + 8 + length;
    if (end > bytes.length) throw new RangeError("a chunk reaches past the end");
    const named = bytes.subarray(at + 4, end);
    yield {
      type,
      data: bytes.subarray(at + 8, end),
      isIntact: () => end + 4 <= bytes.length && view.getUint32(end) === crc32(named),
    };
    if (type === "IEND") return;
    at = end + 4;
  }
}

/** What a still picture is made of; the header is IHDR's. */
export interface PngParts {
  readonly header: Uint8Array;
  readonly palette: Uint8Array | undefined;
  readonly transparency: Uint8Array | undefined;
  /** Of the IDAT chunks, joined. */
  readonly pixels: Uint8Array;
}

/** A file of these parts alone. */
export function pngFile({ header, palette, transparency, pixels }: PngParts): Uint8Array {
  return concatBytes([
    SIGNATURE,
    pngChunk("IHDR", header),
    ...(palette ? [pngChunk("PLTE", palette)] : []),
    ...(transparency ? [pngChunk("tRNS", transparency)] : []),
    pngChunk("IDAT", pixels),
    pngChunk("IEND", new Uint8Array(0)),
  ]);
}

function pngChunk(type: string, data: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(12 + data.length);
  const view = viewOf(chunk);
  view.setUint32(0, data.length);
  chunk.set(
    Uint8Array.from(type, (letter) => letter.charCodeAt(0)),
    4,
  );
  chunk.set(data, 8);
  view.setUint32(8 + data.length, crc32(chunk.subarray(4, 8 + data.length)));
  return chunk;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** The checksum of PNG chunks (ISO 3309). */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
