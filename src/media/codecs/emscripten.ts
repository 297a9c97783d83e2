/** Runs one decode in a fresh instance of an Emscripten codec, so that its memory is gone when the picture is out. */

import { expectRoom } from "../memory.ts";
import type { Codec } from "./codec-files.ts";
import { compiledCodec } from "./compiled-codec.ts";

/** The part of a jSquash codec that is used here. */
export interface EmscriptenDecoder {
  decode(data: Uint8Array): { readonly data: Uint8ClampedArray } | null;
}

export type DecoderFactory = (options: object) => Promise<EmscriptenDecoder>;

/**
 * Makes a decoder of encoded bytes to RGBA, of so many pixels, from a codec's factory and its module; it is compiled once. It
 * throws a RangeError for want of memory.
 */
export function emscriptenDecoder(
  factory: DecoderFactory,
  name: Codec,
): (bytes: Uint8Array, pixels: number) => Promise<Uint8Array> {
  const compiled = compiledCodec(name);
  return async (bytes, pixels) => {
    const module = await compiled();
    const { codec, memory } = await instantiate(factory, module);
    const image = codec.decode(bytes);
    if (!image) {
      // It says as much when it did not get the memory.
      expectRoom(memory, pixels * 4);
      throw new Error("the decoder found no picture");
    }
    return new Uint8Array(image.data.buffer, image.data.byteOffset, image.data.byteLength);
  };
}

function instantiate(
  factory: DecoderFactory,
  module: WebAssembly.Module,
): Promise<{ codec: EmscriptenDecoder; memory: WebAssembly.Memory }> {
  return new Promise((resolve, reject) => {
    let memory: WebAssembly.Memory;
    const instantiateWasm = (
      imports: WebAssembly.Imports,
      done: (instance: WebAssembly.Instance) => void,
    ) => {
      WebAssembly.instantiate(module, imports)
        .then((instance) => {
          memory = Object.values(instance.exports).find(
            (part) => part instanceof WebAssembly.Memory,
          ) as WebAssembly.Memory;
          done(instance);
        })
        .catch(reject);
      return {};
    };
    // locateFile keeps the codec from building a URL for a file it will not load; warnings are not ours to print.
    const quiet = { print: () => {}, printErr: () => {} };
    factory({ noInitialRun: true, locateFile: (path: string) => path, instantiateWasm, ...quiet }).then(
      (codec) => resolve({ codec, memory }),
      reject,
    );
  });
}
