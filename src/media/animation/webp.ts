/** Animated WebP: every frame is taken out of the container and decoded as a still WebP file of its own. */

import { ascii, concatBytes, uint24, viewOf } from "../bytes.ts";
import { type Animation, type AnimationFrame, shownSeconds } from "./animation.ts";

const HAS_ALPHA = 0x10;
const FRAME_HEADER_BYTES = 16;

/** The RIFF chunks of bytes start .. end-1. @throws RangeError for a chunk that reaches past the end */
function* riffChunks(bytes: Uint8Array, start: number, end: number) {
  const view = viewOf(bytes);
  for (let at = start; at + 8 <= end; ) {
    const length = view.getUint32(at + 4, true);
    const next = at + 8 + length + (length % 2);
    if (at + 8 + length > end) throw new RangeError("a chunk reaches past the end");
    yield { type: ascii(bytes, at, at + 4), body: at + 8, length, whole: bytes.subarray(at, next) };
    at = next;
  }
}

/** @throws RangeError for a truncated file */
export function readAnimatedWebp(bytes: Uint8Array): Animation {
  const view = viewOf(bytes);
  const end = 8 + view.getUint32(4, true);
  if (end > bytes.length) throw new RangeError("shorter than its RIFF size");
  const canvas = { width: 0, height: 0 };
  const frames: AnimationFrame[] = [];
  for (const { type, body, length } of riffChunks(bytes, 12, end)) {
    if (type === "VP8X") {
      canvas.width = 1 + uint24(view, body + 4);
      canvas.height = 1 + uint24(view, body + 7);
    } else if (type === "ANMF") {
      frames.push(frameOf(bytes.subarray(body, body + length)));
    }
  }
  // libwebp ignores the colour in the file.
  return { ...canvas, background: [0, 0, 0, 0], frames };
}

function frameOf(chunk: Uint8Array): AnimationFrame {
  const view = viewOf(chunk);
  const flags = view.getUint8(15);
  const width = 1 + uint24(view, 6);
  const height = 1 + uint24(view, 9);
  return {
    x: 2 * uint24(view, 0),
    y: 2 * uint24(view, 3),
    width,
    height,
    seconds: shownSeconds(uint24(view, 12) / 1000),
    blend: flags & 0x02 ? "replace" : "over",
    dispose: flags & 0x01 ? "clear" : "keep",
    decode: async () => {
      const { decode } = await import("../codecs/webp.ts");
      return decode(stillFile(chunk, width, height));
    },
  };
}

/** The frame's bitstream chunks as a file; a separate alpha plane needs the extended header. */
function stillFile(chunk: Uint8Array, width: number, height: number): Uint8Array {
  const kept = [...riffChunks(chunk, FRAME_HEADER_BYTES, chunk.length)].filter(({ type }) =>
    ["ALPH", "VP8 ", "VP8L"].includes(type),
  );
  const parts = kept.map(({ whole }) => whole);
  if (kept.some(({ type }) => type === "ALPH")) parts.unshift(extendedHeader(width, height));
  const body = concatBytes(parts);
  const header = new Uint8Array(12);
  header.set(letters("RIFF"), 0);
  viewOf(header).setUint32(4, 4 + body.length, true);
  header.set(letters("WEBP"), 8);
  return concatBytes([header, body]);
}

function extendedHeader(width: number, height: number): Uint8Array {
  const chunk = new Uint8Array(18);
  const view = viewOf(chunk);
  chunk.set(letters("VP8X"), 0);
  view.setUint32(4, 10, true);
  view.setUint8(8, HAS_ALPHA);
  for (const [at, size] of [
    [12, width - 1],
    [15, height - 1],
  ] as const) {
    view.setUint16(at, size & 0xffff, true);
    view.setUint8(at + 2, size >>> 16);
  }
  return chunk;
}

function letters(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
