/** JPEG through a decoder of our own, which gives Pillow's pixels for every kind that Pillow reads. */

import { decodeJpeg } from "./jpeg/decode.ts";

export { decodeJpegSamples } from "./jpeg/decode.ts";

/** Encoded bytes to RGB. */
export async function decode(bytes: Uint8Array): Promise<Uint8Array> {
  return decodeJpeg(bytes);
}
