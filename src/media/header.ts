/** What a file's first bytes say of the picture: format, size and EXIF block, read before anything is decoded. */

import { GlimtError } from "../errors.ts";
import { firstGifFrame } from "./animation/gif.ts";
import { bmpLayout } from "./bmp/layout.ts";
import { FILE_KIND_NAMES, fileKind, type ImageFormat, isMovie } from "./file-kind.ts";
import { parseJpeg } from "./header/jpeg.ts";
import type { Fail, Parsed } from "./header/parsed.ts";
import { isOutOfMemory, outOfMemory } from "./memory.ts";
import { describeOther } from "./other-files.ts";
import { pngHeader } from "./png-picture.ts";
import { tiffLayout } from "./tiff/layout.ts";
import { webpFile } from "./webp-file.ts";

export interface ImageHeader {
  readonly format: ImageFormat;
  /** As stored, before EXIF orientation; of an animation the canvas. */
  readonly width: number;
  readonly height: number;
  /** The TIFF structure of the EXIF block, when there is one. */
  readonly exif: Uint8Array | undefined;
  /** The XMP packet, which may hold the orientation when EXIF does not. */
  readonly xmp: Uint8Array | undefined;
  /** Of a TIFF file its own tag. */
  readonly orientation: number | undefined;
  /** Frames lie on a canvas, so a single one has to be composed (animated WebP). */
  readonly isAnimation: boolean;
}

/** @throws IMAGE_INVALID naming the source for an empty, unknown, truncated or contradictory file. */
export function readHeader(bytes: Uint8Array, name: string): ImageHeader {
  const fail = (problem: string): never => {
    throw new GlimtError("IMAGE_INVALID", `Image ${name} ${problem}.`);
  };
  if (bytes.length === 0) fail("is empty (0 bytes)");
  const format =
    fileKind(bytes) ?? fail(`is ${describeOther(bytes)}; give a PNG, JPEG, WebP, GIF, TIFF or BMP file`);
  if (isMovie(format)) return fail(`is a video file (${FILE_KIND_NAMES[format]}); give it as a video`);
  let header: Parsed;
  try {
    header = PARSERS[format](bytes, fail);
  } catch (error) {
    if (error instanceof GlimtError) throw error;
    if (isOutOfMemory(error)) throw outOfMemory("Image", name, error);
    if (error instanceof RangeError) return fail(`is a truncated ${FILE_KIND_NAMES[format]} file`);
    return fail(`is a ${FILE_KIND_NAMES[format]} file that can not be read: ${(error as Error).message}`);
  }
  if (header.width < 1 || header.height < 1) fail(`claims a size of ${header.width} x ${header.height}`);
  const { width, height, exif, xmp, orientation, isAnimation = false } = header;
  return { format, width, height, exif, xmp, orientation, isAnimation };
}

const PARSERS: Record<ImageFormat, (bytes: Uint8Array, fail: Fail) => Parsed> = {
  png: pngHeader,
  jpeg: parseJpeg,
  webp: webpFile,
  gif: firstGifFrame,
  bmp: bmpLayout,
  tiff: tiffLayout,
};
