/** glimt/ocr for Node: documents to Markdown with a loaded model. */

import type { DocumentAccess } from "./documents/document-access.ts";
import type { DocumentOptions, LayoutOptions } from "./documents/document-options.ts";
import { inlineTasks } from "./documents/document-workers.ts";
import type { LayoutModel } from "./documents/layout/layout-model.ts";
import { loadInstalledOnnxRuntime, loadInstalledPdfium } from "./documents/load-peers.node.ts";
import type { DocumentSource } from "./documents/page-source.ts";
import { type DocumentRun, openLayoutOn, readDocumentOn } from "./documents/read-document.ts";
import type { PageReader } from "./documents/reading.ts";
import { nodeFiles, workerFile } from "./node-files.ts";
import { sharedWorkers } from "./workers/shared-workers.ts";

export * from "./documents/public.ts";

/** What reading documents takes of Node. @internal */
export const documentAccess: DocumentAccess = {
  ...nodeFiles,
  documentWorkers: sharedWorkers(workerFile, inlineTasks),
  loadPdfium: loadInstalledPdfium,
  loadOnnxRuntime: loadInstalledOnnxRuntime,
};

/**
 * Reads a document page by page: a PDF, a picture (of a TIFF file all pages), or several of them, whose pages follow one
 * another. Iterate its pages, or await its `result`. It starts when it is read; leaving the loop ends it.
 *
 * @param model a loaded model, such as GLM-OCR
 * @throws OPTION_INVALID, INPUT_INVALID, IMAGE_INVALID, CODEC_UNAVAILABLE, SOURCE_REFUSED, SOURCE_TOO_LARGE, OUT_OF_MEMORY,
 * TIMED_OUT for a document that can not be opened; ABORTED, DISPOSED, DEVICE_FAILED, GROUP_FAILED. A page that can not be
 * read says so in `error`, and the others are read.
 */
export function readDocument(
  model: PageReader,
  source: DocumentSource | readonly DocumentSource[],
  options?: DocumentOptions,
): DocumentRun {
  return readDocumentOn(documentAccess, model, source, options);
}

/** Opens a layout model for any number of documents. @throws OPTION_INVALID, INPUT_INVALID, CODEC_UNAVAILABLE */
export function openLayout(options: LayoutOptions): Promise<LayoutModel> {
  return openLayoutOn(documentAccess, options);
}
