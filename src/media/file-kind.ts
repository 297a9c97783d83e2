/** What a file is, by its first bytes. */

import { ascii } from "./bytes.ts";
import { type MovieFormat, movieKind } from "./movie-kind.ts";

export type ImageFormat = "png" | "jpeg" | "webp" | "gif" | "bmp" | "tiff";

export type FileKind = ImageFormat | MovieFormat;

/** As messages call them. */
export const FILE_KIND_NAMES: Readonly<Record<FileKind, string>> = {
  png: "PNG",
  jpeg: "JPEG",
  webp: "WebP",
  gif: "GIF",
  bmp: "BMP",
  tiff: "TIFF",
  mp4: "MP4 or QuickTime",
  webm: "WebM or Matroska",
  ts: "MPEG-TS",
};

/** Byte order, and 42 in it or, as Pillow allows, in the other; 43 in files of more than 4 GB. */
const TIFF_SIGNATURES = ["II*\0", "MM\0*", "II\0*", "MM*\0", "II+\0", "MM\0+"];

/** Undefined for everything glimt reads no pixels from. */
export function fileKind(bytes: Uint8Array): FileKind | undefined {
  if (ascii(bytes, 0, 8) === "\x89PNG\r\n\x1a\n") return "png";
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "jpeg";
  if (ascii(bytes, 0, 4) === "RIFF" && ascii(bytes, 8, 12) === "WEBP") return "webp";
  if (["GIF87a", "GIF89a"].includes(ascii(bytes, 0, 6))) return "gif";
  if (ascii(bytes, 0, 2) === "BM") return "bmp";
  if (TIFF_SIGNATURES.includes(ascii(bytes, 0, 4))) return "tiff";
  return movieKind(bytes);
}

export function isMovie(kind: FileKind | undefined): kind is MovieFormat {
  return kind === "mp4" || kind === "webm" || kind === "ts";
}
