/** A codec's module, compiled once a thread. */

import { namedWasm } from "../../wasm-code.ts";
import { unpackWasm } from "../packed-wasm.ts";
import { type Codec, codecFile } from "./codec-files.ts";

/** What could not be had or compiled is tried again with the next picture. */
export function compiledCodec(name: Codec): () => Promise<WebAssembly.Module> {
  let compiled: Promise<WebAssembly.Module> | undefined;
  const compile = async () => {
    try {
      return await namedWasm(name, async () => unpackWasm(await codecFile(name)));
    } catch (error) {
      compiled = undefined;
      throw error;
    }
  };
  return () => {
    compiled ??= compile();
    return compiled;
  };
}
