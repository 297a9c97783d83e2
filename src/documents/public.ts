/** What both entries of glimt/ocr export beside their own readDocument. */

export type { RgbImage } from "../media/rgb-image.ts";
export type { DocumentOptions, DocumentProgress, LayoutOptions } from "./document-options.ts";
export type { DocumentPage, DocumentRegion, PageImage, PageUsage } from "./document-page.ts";
export type { Region } from "./layout/boxes.ts";
export type { RegionLabel } from "./layout/classes.ts";
export type { LayoutModel } from "./layout/layout-model.ts";
export type { OnnxRuntime, OnnxSession, OnnxTensor } from "./layout/onnx-runtime.ts";
export type { DocumentSource } from "./page-source.ts";
export type { PdfiumSource } from "./pdf/load-pdfium.ts";
export { type DocumentResult, DocumentRun, documentResult, type ReadDocument } from "./read-document.ts";
export type { DocumentTask, PageReader, ReadAnswer } from "./reading.ts";
