/** Packages that reading documents needs and that whoever wants it installs. */

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { GlimtError } from "../errors.ts";
import type { OnnxRuntime } from "./layout/onnx-runtime.ts";

const PDFIUM = "@embedpdf/pdfium";
/** A variable, so that bundlers do not look for it. */
const ONNX: string = "onnxruntime-node";

export async function loadInstalledPdfium(): Promise<Uint8Array> {
  const path = resolved(`${PDFIUM}/pdfium.wasm`);
  if (path !== undefined) return readFile(path);
  throw new GlimtError(
    "CODEC_UNAVAILABLE",
    `Reading PDFs needs PDFium: npm i ${PDFIUM}, or give its file pdfium.wasm as option pdfium.`,
  );
}

export async function loadInstalledOnnxRuntime(): Promise<OnnxRuntime> {
  const path = resolved(ONNX);
  try {
    const module = await import(path === undefined ? ONNX : pathToFileURL(path).href);
    return module.InferenceSession ? module : module.default;
  } catch (cause) {
    const reason = path === undefined ? "" : ` (it is installed, but: ${(cause as Error).message})`;
    throw new GlimtError(
      "CODEC_UNAVAILABLE",
      `Layout models need an ONNX runtime: npm i ${ONNX}, or give a module as layout.runtime${reason}.`,
      { cause },
    );
  }
}

/** Beside this package, or in the project that runs: a command that is installed elsewhere finds the project's. */
function resolved(name: string): string | undefined {
  for (const from of [import.meta.url, pathToFileURL(join(process.cwd(), "package.json")).href]) {
    try {
      return createRequire(from).resolve(name);
    } catch {
      // Not here.
    }
  }
  return undefined;
}
