/** Texts of PNG files that tell the orientation: XMP, and EXIF as ImageMagick writes it. */

import { ascii } from "./bytes.ts";
import { inflate } from "./inflate.ts";
import type { PngChunk } from "./png-chunks.ts";

const XMP = "XML:com.adobe.xmp";
const RAW_EXIF = "Raw profile type exif";
/** Pillow reads no longer texts. */
const MOST_TEXT = 2 ** 20;
/** Texts of one key that are tried, the last first. */
const MOST_TEXTS = 8;
/** Name and length of a profile come before its digits. */
const LINES_BEFORE = 3;

/** @returns the TIFF structure of an EXIF block, and an XMP packet. What of them can not be read is not there. */
export function pngTexts(chunks: readonly PngChunk[]): { exif?: Uint8Array; xmp?: Uint8Array } {
  const exif = lastText(chunks, RAW_EXIF);
  const xmp = lastText(chunks, XMP);
  const block = exif && hexBytes(new TextDecoder("latin1").decode(exif));
  return { ...(block && { exif: block }), ...(xmp && { xmp }) };
}

function lastText(chunks: readonly PngChunk[], key: string): Uint8Array | undefined {
  const named = chunks.filter(({ data }) => ascii(data, 0, key.length + 1) === `${key}\0`);
  for (const chunk of named.slice(-MOST_TEXTS).reverse()) {
    const text = textOf(chunk, key.length + 1);
    if (text) return text;
  }
  return undefined;
}

function textOf({ type, data }: PngChunk, at: number): Uint8Array | undefined {
  if (type === "tEXt") return data.subarray(at);
  if (type === "zTXt" && data[at] === 0) return decompressed(data.subarray(at + 1));
  if (type !== "iTXt") return undefined;
  const [isCompressed, method] = data.subarray(at);
  // Behind them a language and a translated key.
  const translated = data.indexOf(0, at + 2) + 1;
  const start = data.indexOf(0, translated) + 1;
  if (translated === 0 || start === 0) return undefined;
  if (isCompressed === 0) return data.subarray(start);
  return method === 0 ? decompressed(data.subarray(start)) : undefined;
}

function decompressed(data: Uint8Array): Uint8Array | undefined {
  try {
    return inflate(data, MOST_TEXT);
  } catch {
    return undefined;
  }
}

function hexBytes(text: string): Uint8Array | undefined {
  const digits = text.split("\n").slice(LINES_BEFORE).join("").replace(/\s/g, "");
  if (!/^([0-9a-f]{2})+$/i.test(digits)) return undefined;
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}
