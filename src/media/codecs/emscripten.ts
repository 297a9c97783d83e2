/** Runs one decode in a fresh instance of an Emscripten codec, so that its memory is gone when the picture is out. */

import { compileWasm } from "../../wasm-code.ts";

/** The part of a jSquash codec that is used here. */
export interface EmscriptenDecoder {
  decode(data: Uint8Array, ...options: unknown[]): { readonly data: Uint8ClampedArray } | null;
}

export type DecoderFactory = (options: object) => Promise<EmscriptenDecoder>;

/** Makes a decoder of encoded bytes to RGBA from a codec's factory, module and options; it is compiled once. */
export function emscriptenDecoder(
  factory: DecoderFactory,
  wasm: Uint8Array<ArrayBuffer>,
  ...options: unknown[]
): (bytes: Uint8Array) => Promise<Uint8Array> {
  let compiled: Promise<WebAssembly.Module> | undefined;
  return async (bytes) => {
    compiled ??= compileWasm(wasm);
    const module = await compiled;
    const codec = await instantiate(factory, module);
    const image = codec.decode(bytes, ...options);
    if (!image) throw new Error("the decoder found no picture");
    return new Uint8Array(image.data.buffer, image.data.byteOffset, image.data.byteLength);
  };
}

function instantiate(factory: DecoderFactory, module: WebAssembly.Module): Promise<EmscriptenDecoder> {
  return new Promise((resolve, reject) => {
    const instantiateWasm = (
      imports: WebAssembly.Imports,
      done: (instance: WebAssembly.Instance) => void,
    ) => {
      WebAssembly.instantiate(module, imports).then(done, reject);
      return {};
    };
    // locateFile keeps the codec from building a URL for a file it will not load; warnings are not ours to print.
    const quiet = { print: () => {}, printErr: () => {} };
    factory({ noInitialRun: true, locateFile: (path: string) => path, instantiateWasm, ...quiet }).then(
      resolve,
      reject,
    );
  });
}
