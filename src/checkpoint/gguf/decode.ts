/**
 * What the decoders share of ggml's block types that are no storage formats. Each value is made by the float32 steps of ggml's own, so that both agree
 * to the bit: a scale is widened from half, products and sums are rounded one by one.
 */
import { f16Value } from "../../tensor/convert.ts";

/** Fills `into` with the values of whole blocks. */
export type DecodeBlocks = (bytes: Uint8Array, into: Float32Array) => void;

/** Decodes block after block: `at` is where one begins in `bytes`, `to` where its values go. */
export function byBlock(
  elements: number,
  blockBytes: number,
  decode: (bytes: Uint8Array, at: number, into: Float32Array, to: number) => void,
): DecodeBlocks {
  return (bytes, into) => {
    const blocks = into.length / elements;
    for (let block = 0; block < blocks; block++) decode(bytes, block * blockBytes, into, block * elements);
  };
}

/** The half at `at`. */
export function half(bytes: Uint8Array, at: number): number {
  return f16Value((bytes[at] as number) | ((bytes[at + 1] as number) << 8));
}

/** Of IQ4_NL and IQ4_XS: what the sixteen codes mean. */
export const NONLINEAR = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
