/** JPEG through MozJPEG (@jsquash/jpeg): baseline and progressive, greyscale and colour. */

import factory from "@jsquash/jpeg/codec/dec/mozjpeg_dec.js";
import wasm from "@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm";
import { type DecoderFactory, emscriptenDecoder } from "./emscripten.ts";

const APPLY_ORIENTATION = false;

/** Encoded bytes to RGBA. */
export const decode = emscriptenDecoder(factory as unknown as DecoderFactory, wasm, APPLY_ORIENTATION);
