/** What a file's first bytes say of the picture: format, size and EXIF block, read before anything is decoded. */

import { GlimtError } from "../errors.ts";
import { firstGifFrame } from "./animation/gif.ts";
import { ascii, uint24, viewOf } from "./bytes.ts";
import { describeOther, FILE_KIND_NAMES, fileKind, type ImageFormat, isMovie } from "./file-kind.ts";
import { parseJpeg } from "./header/jpeg.ts";
import type { Fail, Parsed } from "./header/parsed.ts";

export interface ImageHeader {
  readonly format: ImageFormat;
  /** As stored, before EXIF orientation; of an animation the canvas. */
  readonly width: number;
  readonly height: number;
  /** The TIFF structure of the EXIF block, when there is one. */
  readonly exif: Uint8Array | undefined;
  /** The XMP packet, which may hold the orientation when EXIF does not. */
  readonly xmp: Uint8Array | undefined;
  /** Frames lie on a canvas, so a single one has to be composed (animated WebP). */
  readonly isAnimation: boolean;
}

/** @throws IMAGE_INVALID naming the source for an empty, unknown, truncated or contradictory file. */
export function readHeader(bytes: Uint8Array, name: string): ImageHeader {
  const fail = (problem: string): never => {
    throw new GlimtError("IMAGE_INVALID", `Image ${name} ${problem}.`);
  };
  if (bytes.length === 0) fail("is empty (0 bytes)");
  const format = fileKind(bytes) ?? fail(`is ${describeOther(bytes)}; give a PNG, JPEG, WebP or GIF file`);
  if (isMovie(format)) return fail(`is a video file (${FILE_KIND_NAMES[format]}); give it as a video`);
  let header: Parsed | undefined;
  try {
    header = PARSERS[format](bytes, fail);
  } catch (error) {
    if (error instanceof RangeError) fail(`is a truncated ${FILE_KIND_NAMES[format]} file`);
    throw error;
  }
  if (header.width < 1 || header.height < 1) fail(`claims a size of ${header.width} x ${header.height}`);
  return { format, exif: undefined, xmp: undefined, isAnimation: false, ...header };
}

const PARSERS: Record<ImageFormat, (bytes: Uint8Array, fail: Fail) => Parsed> = {
  png: parsePng,
  jpeg: parseJpeg,
  webp: parseWebp,
  gif: parseGif,
};

/** Walks the chunks: length, type, data, CRC. Reading past the end is a RangeError, which means a truncated file. */
function parsePng(bytes: Uint8Array, fail: Fail): Parsed {
  const view = viewOf(bytes);
  if (ascii(bytes, 12, 16) !== "IHDR") fail("has no PNG header chunk");
  const size = { width: view.getUint32(16), height: view.getUint32(20) };
  let exif: Uint8Array | undefined;
  for (let at = 8; at < bytes.length; ) {
    const length = view.getUint32(at);
    const type = ascii(bytes, at + 4, at + 8);
    view.getUint32(at + 8 + length);
    if (type === "eXIf") exif = bytes.subarray(at + 8, at + 8 + length);
    if (type === "IEND") break;
    at += 12 + length;
  }
  return { ...size, exif };
}

/** Walks the RIFF chunks; the size is that of the canvas (VP8X) or of the only frame. */
function parseWebp(bytes: Uint8Array, fail: Fail): Parsed {
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

function parseGif(bytes: Uint8Array): Parsed {
  const { width, height } = firstGifFrame(bytes);
  return { width, height };
}
