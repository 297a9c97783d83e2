/** WebP through libwebp (@jsquash/webp): lossy and lossless, with or without alpha. */

import factory from "@jsquash/webp/codec/dec/webp_dec.js";
import { type WebpFrame, webpFile } from "../webp-file.ts";
import { type DecoderFactory, emscriptenDecoder } from "./emscripten.ts";

const decodeStill = emscriptenDecoder(factory as unknown as DecoderFactory, "webp");

/** A frame to RGBA, not premultiplied. */
export function decodeWebp(frame: WebpFrame): Promise<Uint8Array> {
  return decodeStill(frame.still(), frame.width * frame.height);
}

/** Encoded bytes of a still picture to RGBA, not premultiplied. */
export async function decode(bytes: Uint8Array): Promise<Uint8Array> {
  const { frames, hasAlpha } = webpFile(bytes);
  const rgba = await decodeWebp(frames[0] as WebpFrame);
  if (!hasAlpha) for (let at = 3; at < rgba.length; at += 4) rgba[at] = 255;
  return rgba;
}
