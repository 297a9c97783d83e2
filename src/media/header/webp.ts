/** The chunks of a WebP file up to its picture. */

import { ascii, uint24, viewOf } from "../bytes.ts";
import type { Fail, Parsed } from "./parsed.ts";

/** Walks the RIFF chunks; the size is that of the canvas (VP8X) or of the only frame. */
export function parseWebp(bytes: Uint8Array, fail: Fail): Parsed {
  const view = viewOf(bytes);
  const end = 8 + view.getUint32(4, true);
  if (end > bytes.length) throw new RangeError("shorter than its RIFF size");
  let size: { width: number; height: number } | undefined;
  let exif: Uint8Array | undefined;
  let isAnimation = false;
  for (let at = 12; at + 8 <= end; ) {
    const type = ascii(bytes, at, at + 4);
    const length = view.getUint32(at + 4, true);
    const body = at + 8;
    if (type === "VP8X") {
      isAnimation = (view.getUint8(body) & 0x02) !== 0;
      size = { width: 1 + uint24(view, body + 4), height: 1 + uint24(view, body + 7) };
    } else if (type === "VP8 ") {
      size ??= {
        width: view.getUint16(body + 6, true) & 0x3fff,
        height: view.getUint16(body + 8, true) & 0x3fff,
      };
    } else if (type === "VP8L") {
      const packed = view.getUint32(body + 1, true);
      size ??= { width: 1 + (packed & 0x3fff), height: 1 + ((packed >>> 14) & 0x3fff) };
    } else if (type === "EXIF") {
      const block = bytes.subarray(body, body + length);
      exif = ascii(block, 0, 6) === "Exif\0\0" ? block.subarray(6) : block;
    }
    at = body + length + (length % 2);
  }
  return size ? { ...size, exif, isAnimation } : fail("is a WebP file without a picture");
}
