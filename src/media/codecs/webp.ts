/** WebP through libwebp (@jsquash/webp): lossy and lossless, with or without alpha. */

import factory from "@jsquash/webp/codec/dec/webp_dec.js";
import wasm from "@jsquash/webp/codec/dec/webp_dec.wasm";
import { type DecoderFactory, emscriptenDecoder } from "./emscripten.ts";

/** Encoded bytes to RGBA, not premultiplied. */
export const decode = emscriptenDecoder(factory as unknown as DecoderFactory, wasm);
