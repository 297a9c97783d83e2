/** Animated PNG: every frame is put together as a still PNG file of its own and decoded. */

import { ascii, concatBytes, viewOf } from "../bytes.ts";
import { type Animation, type AnimationFrame, shownSeconds } from "./animation.ts";

interface Chunk {
  readonly type: string;
  readonly data: Uint8Array;
  /** Length, type, data and checksum. */
  readonly whole: Uint8Array;
}

const SIGNATURE_BYTES = 8;
/** Chunks that say how pixels are stored; what only describes the picture is left out. */
const SHARED = ["PLTE", "tRNS"];
const DISPOSE = ["keep", "clear", "restore"] as const;

/** @throws RangeError for a truncated file */
function* pngChunks(bytes: Uint8Array): Generator<Chunk> {
  const view = viewOf(bytes);
  for (let at = SIGNATURE_BYTES; at < bytes.length; ) {
    const length = view.getUint32(at);
    const end = at + 12 + length;
    if (end > bytes.length) throw new RangeError("a chunk reaches past the end");
    const type = ascii(bytes, at + 4, at + 8);
    yield { type, data: bytes.subarray(at + 8, end - 4), whole: bytes.subarray(at, end) };
    if (type === "IEND") return;
    at = end;
  }
}

/** The animation in a PNG file, or null for a still picture. @throws RangeError for a truncated file */
export function readApng(bytes: Uint8Array): Animation | null {
  const chunks = [...pngChunks(bytes)];
  if (!chunks.some(({ type }) => type === "acTL")) return null;
  const header = chunks.find(({ type }) => type === "IHDR");
  if (!header) return null;
  const shared = chunks.filter(({ type }) => SHARED.includes(type)).map(({ whole }) => whole);
  const frames: { control: Chunk; data: Uint8Array[] }[] = [];
  for (const chunk of chunks) {
    // Image data before the first control chunk is a picture for viewers that know no animation.
    if (chunk.type === "fcTL") frames.push({ control: chunk, data: [] });
    else if (chunk.type === "IDAT") frames.at(-1)?.data.push(chunk.data);
    else if (chunk.type === "fdAT") frames.at(-1)?.data.push(chunk.data.subarray(4));
  }
  const view = viewOf(header.data);
  return {
    width: view.getUint32(0),
    height: view.getUint32(4),
    background: [0, 0, 0, 0],
    frames: frames.map(({ control, data }, index) => frameOf(control, index === 0, header, shared, data)),
  };
}

function frameOf(
  control: Chunk,
  isFirst: boolean,
  header: Chunk,
  shared: readonly Uint8Array[],
  data: readonly Uint8Array[],
): AnimationFrame {
  const view = viewOf(control.data);
  const width = view.getUint32(4);
  const height = view.getUint32(8);
  const dispose = DISPOSE[view.getUint8(24)] ?? "keep";
  return {
    x: view.getUint32(12),
    y: view.getUint32(16),
    width,
    height,
    seconds: shownSeconds(view.getUint16(20) / (view.getUint16(22) || 100)),
    blend: view.getUint8(25) === 1 ? "over" : "replace",
    // Before the first frame there was nothing to restore.
    dispose: isFirst && dispose === "restore" ? "clear" : dispose,
    decode: async () => {
      const { decode } = await import("../codecs/png.ts");
      const size = header.data.slice();
      viewOf(size).setUint32(0, width);
      viewOf(size).setUint32(4, height);
      return decode(
        concatBytes([
          PNG_SIGNATURE,
          pngChunk("IHDR", size),
          ...shared,
          pngChunk("IDAT", concatBytes(data)),
          pngChunk("IEND", new Uint8Array(0)),
        ]),
      );
    },
  };
}

const PNG_SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

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
