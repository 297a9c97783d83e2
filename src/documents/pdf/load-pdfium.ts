/** PDFium's WebAssembly, from whoever has it, compiled once. */

import { GlimtError } from "../../errors.ts";
import { readSource, type SourceOptions } from "../../media/source.ts";

/** The file pdfium.wasm, as a path or an address of it, its bytes, or compiled. */
export type PdfiumSource = string | URL | Uint8Array | ArrayBuffer | Blob | WebAssembly.Module;

const compiled = new WeakMap<object, Promise<WebAssembly.Module>>();

/**
 * @param load what is asked for where no source is given; compiled once for each such function
 * @throws CODEC_UNAVAILABLE
 */
export function loadPdfium(
  given: PdfiumSource | undefined,
  load: () => Promise<Uint8Array>,
  options: SourceOptions,
): Promise<WebAssembly.Module> {
  if (given instanceof WebAssembly.Module) return Promise.resolve(given);
  const key = typeof given === "object" ? given : given === undefined ? load : {};
  const known = compiled.get(key);
  if (known) return known;
  const module = compile(async () => {
    if (given === undefined) return load();
    // Whose program it is was said by the caller, whatever documents may be read from.
    return (await readSource(given, { ...options, sources: { type: "any" } }, "Document")).bytes;
  });
  compiled.set(key, module);
  // Another time it may be there.
  module.catch(() => compiled.delete(key));
  return module;
}

async function compile(read: () => Promise<Uint8Array>): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile((await read()) as Uint8Array<ArrayBuffer>);
  } catch (cause) {
    if (cause instanceof GlimtError && cause.code !== "INPUT_INVALID") throw cause;
    throw new GlimtError(
      "CODEC_UNAVAILABLE",
      `PDFium can not be loaded: ${(cause as Error).message} Give the file pdfium.wasm of @embedpdf/pdfium as option pdfium.`,
      { cause },
    );
  }
}
