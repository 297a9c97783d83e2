/**
 * The segments of a JPEG file up to its first scan, read as Pillow reads them: bytes between segments are skipped,
 * of several frame headers the last counts, EXIF may be spread over several segments.
 */

import { ascii, concatBytes, viewOf } from "../bytes.ts";
import type { Fail, Parsed } from "./parsed.ts";

const EXIF = "Exif\0\0";
const XMP = "http://ns.adobe.com/xap/1.0/\0";

/** Reading past the end is a RangeError, which means a truncated file. */
export function parseJpeg(bytes: Uint8Array, fail: Fail): Parsed {
  const view = viewOf(bytes);
  let size: { width: number; height: number } | undefined;
  const exif: Uint8Array[] = [];
  let xmp: Uint8Array | undefined;
  for (let at = 2; ; ) {
    if (view.getUint8(at) !== 0xff) {
      at += 1;
      continue;
    }
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    if (marker > 0 && marker < 0xc0) fail(`is a corrupt JPEG file, with a marker ${marker} in its header`);
    if (!hasSegment(marker)) {
      at += 2;
      continue;
    }
    const body = at + 4;
    // A length of less than its own two bytes is taken for an empty segment.
    const end = body + Math.max(0, view.getUint16(at + 2) - 2);
    if (end > bytes.length) throw new RangeError("a segment is cut off");
    if (isFrame(marker)) {
      size = { height: view.getUint16(body + 1), width: view.getUint16(body + 3) };
      const problem = unsupported(marker, view.getUint8(body), view.getUint8(body + 5));
      if (problem)
        fail(`is a JPEG ${problem}, which is not supported; save it anew with 8-bit samples in RGB`);
    } else if (marker === 0xe1) {
      const segment = bytes.subarray(body, end);
      if (beginsWith(segment, EXIF)) exif.push(segment.subarray(EXIF.length));
      else if (beginsWith(segment, XMP)) xmp = segment.subarray(XMP.length);
    }
    at = end;
    if (marker !== 0xda) continue;
    if (!size) return fail("is a JPEG file without a frame");
    return { ...size, exif: exif.length > 0 ? concatBytes(exif) : undefined, xmp };
  }
}

function beginsWith(segment: Uint8Array, text: string): boolean {
  return segment.length >= text.length && ascii(segment, 0, text.length) === text;
}

/** Of the markers from 0xc0 on, those without a length are JPG, restarts, start and end of image, and extensions. */
function hasSegment(marker: number): boolean {
  const isBare = marker === 0xc8 || (marker >= 0xd0 && marker <= 0xd9) || (marker >= 0xf0 && marker <= 0xfd);
  return marker >= 0xc0 && !isBare;
}

export function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

/** What a frame is that nobody decodes. */
function unsupported(marker: number, bits: number, components: number): string | undefined {
  if (bits !== 8) return `of ${bits}-bit samples`;
  if (![1, 3, 4].includes(components)) return `of ${components} components`;
  if (marker === 0xcb) return "of lossless kind with arithmetic codes";
  return [0xc5, 0xc6, 0xc7, 0xcd, 0xce, 0xcf].includes(marker) ? "of hierarchical kind" : undefined;
}
