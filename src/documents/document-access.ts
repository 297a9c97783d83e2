/** What reading documents takes of the host; an entry file supplies it. */

import type { MediaAccess } from "../prompt/media-access.ts";
import type { DocumentWorkers } from "./document-workers.ts";
import type { OnnxRuntime } from "./layout/onnx-runtime.ts";

export interface DocumentAccess extends Pick<MediaAccess, "readFile" | "requestPublic" | "mediaWorkers"> {
  readonly documentWorkers: (workerUrl: string | URL | undefined) => DocumentWorkers;
  /** The WebAssembly of PDFium as it is installed. @throws CODEC_UNAVAILABLE saying what to install or to give */
  readonly loadPdfium: () => Promise<Uint8Array>;
  /** The package that runs ONNX models. @throws CODEC_UNAVAILABLE saying what to install or to give */
  readonly loadOnnxRuntime: () => Promise<OnnxRuntime>;
}
