/** A document as pages that are read one by one: of a PDF, of a TIFF file, or the one that a picture is. */

import { GlimtError } from "../errors.ts";
import { ascii } from "../media/bytes.ts";
import { decodeImage, type MediaOptions } from "../media/decode-image.ts";
import { fileKind } from "../media/file-kind.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import { type EncodedFile, type ImageSource, isRawImage, readSource } from "../media/source.ts";
import { tiffPage, tiffPageOffsets } from "../media/tiff/pages.ts";
import { callOptions, type DocumentWorkers } from "./document-workers.ts";
import type { RenderedPage } from "./pdf/pdf-file.ts";

/** A PDF, or a picture; of a TIFF file all pages are read. */
export type DocumentSource = ImageSource;

export interface PageSource {
  readonly numPages: number;
  /** The bytes that were read, to tell documents apart by; none of decoded pixels. */
  readonly bytes: Uint8Array | undefined;
  /** @param number from 1 */
  page(number: number, signal: AbortSignal | undefined): Promise<PagePicture>;
}

export interface PagePicture {
  readonly image: RgbImage;
  /** What the reader should know of how it was made. */
  readonly warnings: readonly string[];
}

export interface PageSourceOptions {
  readonly media: MediaOptions;
  readonly workers: DocumentWorkers;
  readonly pdfium: () => Promise<WebAssembly.Module>;
  readonly password: string | undefined;
  readonly dpi: number;
  readonly renderTimeout: number;
}

/** Pixels of a page; more say nothing to any model of the family. */
const MOST_PAGE_PIXELS = 40_000_000;
/** Where a PDF may begin, as PDFium has it. */
const HEADER_BYTES = 1024;

/** @throws what reading, rendering and decoding throw */
export async function openPages(
  source: DocumentSource,
  options: PageSourceOptions,
  signal: AbortSignal | undefined,
): Promise<PageSource> {
  if (isRawImage(source)) return picture(source, undefined, options);
  const file = await readSource(source, { ...options.media, signal }, "Document");
  const { bytes } = file;
  if (ascii(bytes, 0, HEADER_BYTES).includes("%PDF-")) return openPdf(file, options, signal);
  if (fileKind(bytes) !== "tiff") return picture(bytes, bytes, options);
  const offsets = tiffPageOffsets(bytes);
  if (offsets.length < 2) return picture(bytes, bytes, options);
  return {
    numPages: offsets.length,
    bytes,
    page: (number, signal) => decoded(tiffPage(bytes, offsets[number - 1] as number), options, signal),
  };
}

function picture(source: ImageSource, bytes: Uint8Array | undefined, options: PageSourceOptions): PageSource {
  return { numPages: 1, bytes, page: (_, signal) => decoded(source, options, signal) };
}

/** Bytes that were read are allowed already. */
async function decoded(
  source: ImageSource,
  { media }: PageSourceOptions,
  signal: AbortSignal | undefined,
): Promise<PagePicture> {
  const image = await decodeImage(source, { ...media, sources: { type: "any" }, signal });
  return { image, warnings: [] };
}

async function openPdf(
  { bytes, name }: EncodedFile,
  { workers, pdfium, password, dpi, renderTimeout }: PageSourceOptions,
  signal: AbortSignal | undefined,
): Promise<PageSource> {
  const input = { pdfium: await pdfium(), bytes, password, name };
  const numPages = await workers.run("countPdfPages", input, callOptions(name, renderTimeout, signal));
  return {
    numPages,
    bytes,
    async page(page, signal) {
      const asked = { ...input, page, dpi, maxPixels: MOST_PAGE_PIXELS };
      const rendered = await workers.run("renderPdfPage", asked, callOptions(name, renderTimeout, signal));
      return { image: rendered.image, warnings: sizeWarning(rendered, dpi) };
    },
  };
}

function sizeWarning({ dpi, widthPoints, heightPoints }: RenderedPage, asked: number): string[] {
  if (dpi === asked) return [];
  const inches = (points: number) => (points / 72).toFixed(1);
  return [
    `The page is ${inches(widthPoints)} x ${inches(heightPoints)} inches large, and was rendered at ${dpi.toFixed(0)} dpi in place of ${asked}.`,
  ];
}

/**
 * Which pages "1-3,7,10-" names, in their order.
 *
 * @throws OPTION_INVALID for what names none, INPUT_INVALID for pages that there are not
 */
export function selectedPages(range: string | undefined, numPages: number): number[] {
  if (range === undefined) return Array.from({ length: numPages }, (_, index) => index + 1);
  const selected = new Set<number>();
  for (const part of range.split(",")) {
    const [, first, dash, last] = /^\s*(\d+)\s*(?:(-)\s*(\d+)?)?\s*$/.exec(part) ?? [];
    const from = Number(first);
    const to = dash === undefined ? from : last === undefined ? numPages : Number(last);
    if (first === undefined || from < 1 || (to < from && last !== undefined)) {
      throw new GlimtError(
        "OPTION_INVALID",
        `pages is ${JSON.stringify(range)}, expected such as 1-3,7 or 10-.`,
      );
    }
    if (from > numPages || to > numPages) {
      throw new GlimtError(
        "INPUT_INVALID",
        `pages is ${JSON.stringify(range)}, but the document has ${numPages} ${numPages === 1 ? "page" : "pages"}.`,
      );
    }
    for (let page = from; page <= to; page++) selected.add(page);
  }
  return [...selected].sort((a, b) => a - b);
}
