/** glimt/ocr for browsers, workers and edge runtimes: what runs PDFs and layout models is given by the page. */

import type { DocumentAccess } from "./documents/document-access.ts";
import type { DocumentOptions, LayoutOptions } from "./documents/document-options.ts";
import { inlineTasks } from "./documents/document-workers.ts";
import type { LayoutModel } from "./documents/layout/layout-model.ts";
import type { DocumentSource } from "./documents/page-source.ts";
import { type DocumentRun, openLayoutOn, readDocumentOn } from "./documents/read-document.ts";
import type { PageReader } from "./documents/reading.ts";
import { mediaWorkers, workerFile } from "./edge-files.ts";
import { GlimtError } from "./errors.ts";
import { sharedWorkers } from "./workers/shared-workers.ts";

export * from "./documents/public.ts";

const access: DocumentAccess = {
  mediaWorkers,
  documentWorkers: sharedWorkers(workerFile, inlineTasks),
  loadPdfium: async () => {
    throw new GlimtError(
      "CODEC_UNAVAILABLE",
      "Reading PDFs needs PDFium: npm i @embedpdf/pdfium, and give the address of its file pdfium.wasm as option pdfium.",
    );
  },
  loadOnnxRuntime: async () => {
    throw new GlimtError(
      "CODEC_UNAVAILABLE",
      "Layout models need an ONNX runtime: npm i onnxruntime-web, and give the module as layout.runtime.",
    );
  },
};

/** Reads a document page by page, as the Node entry does. */
export function readDocument(
  model: PageReader,
  source: DocumentSource | readonly DocumentSource[],
  options?: DocumentOptions,
): DocumentRun {
  return readDocumentOn(access, model, source, options);
}

/** Opens a layout model for any number of documents. @throws OPTION_INVALID, INPUT_INVALID, CODEC_UNAVAILABLE */
export function openLayout(options: LayoutOptions): Promise<LayoutModel> {
  return openLayoutOn(access, options);
}
