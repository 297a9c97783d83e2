/**
 * PNG through the Rust png crate (@jsquash/png): every colour type and depth, interlaced or not.
 *
 * The package's own glue keeps one instance for good, whose memory never shrinks after a large page. This is the
 * same module with the few imports its `decode` needs, in an instance per picture. It gets a file of the chunks that
 * matter, put in order, since it refuses some that Pillow reads.
 */

import { viewOf } from "../bytes.ts";
import { expectRoom } from "../memory.ts";
import type { MediaMode } from "../mode.ts";
import { type PngParts, pngFile } from "../png-chunks.ts";
import { pngParts } from "../png-picture.ts";
import { compiledCodec } from "./compiled-codec.ts";

interface PngExports {
  readonly memory: WebAssembly.Memory;
  __wbindgen_malloc(bytes: number, align: number): number;
  decode(pointer: number, length: number): number;
}

/**
 * Encoded bytes to RGBA, not premultiplied. Palettes are expanded; of 16 bits the upper 8 are kept, but as Hugging
 * Face has them, shades of grey of 16 bits are clipped to 255.
 */
export async function decode(bytes: Uint8Array, mode: MediaMode): Promise<Uint8Array> {
  const parts = pngParts(bytes);
  const isGrey16 = parts.header[8] === 16 && parts.header[9] === 0;
  return mode === "huggingface" && isGrey16 ? decodeClipped(parts) : decodePng(parts);
}

/** Rows of 16 bits a pixel lie and are filtered alike when they are read as grey and alpha of 8 bits. */
async function decodeClipped({ header, pixels }: PngParts): Promise<Uint8Array> {
  const greyAlpha = header.slice();
  greyAlpha.set([8, 4], 8);
  const rgba = await decodePng({ header: greyAlpha, palette: undefined, transparency: undefined, pixels });
  for (let i = 0; i < rgba.length; i += 4) {
    const grey = (rgba[i] as number) > 0 ? 255 : (rgba[i + 3] as number);
    rgba[i] = grey;
    rgba[i + 1] = grey;
    rgba[i + 2] = grey;
    rgba[i + 3] = 255;
  }
  return rgba;
}

const compiled = compiledCodec("png");

/** RGBA of a picture. @throws Error for pixels that are corrupt or end early; RangeError for want of memory */
export async function decodePng(parts: PngParts): Promise<Uint8Array> {
  const bytes = pngFile(parts);
  const module = await compiled();
  let pixels: Uint8Array | undefined;
  const text = (pointer: number, length: number) =>
    new TextDecoder().decode(new Uint8Array(codec.memory.buffer, pointer, length));
  const handlers: [importName: RegExp, handler: (...args: number[]) => unknown][] = [
    [
      /^__wbg_newwithownedu8clampedarray/,
      (pointer = 0, length = 0) => {
        pixels = new Uint8Array(codec.memory.buffer, pointer, length).slice();
        return 0;
      },
    ],
    [
      /^__wbindgen_throw$/,
      (pointer = 0, length = 0) => {
        throw new Error(text(pointer, length));
      },
    ],
  ];
  const unused = () => {
    throw new Error("the PNG codec called an import that decoding does not need");
  };
  const imports = WebAssembly.Module.imports(module).map(({ name }) => [
    name,
    handlers.find(([pattern]) => pattern.test(name))?.[1] ?? unused,
  ]);
  const instance = await WebAssembly.instantiate(module, { wbg: Object.fromEntries(imports) });
  const codec = instance.exports as unknown as PngExports;
  const pointer = codec.__wbindgen_malloc(bytes.length, 1);
  new Uint8Array(codec.memory.buffer, pointer, bytes.length).set(bytes);
  try {
    codec.decode(pointer, bytes.length);
  } catch (error) {
    // It says nothing of memory that it did not get.
    const size = viewOf(parts.header);
    expectRoom(codec.memory, size.getUint32(0) * size.getUint32(4) * 4);
    throw error;
  }
  if (!pixels) throw new Error("the decoder found no picture");
  return pixels;
}
