/** Documents, page by page: pages are rendered and read side by side within a window, and given in their order. */

import { GlimtError } from "../errors.ts";
import { readList, shown } from "../given.ts";
import { readSource } from "../media/source.ts";
import { Turns } from "../workers/turns.ts";
import type { DocumentAccess } from "./document-access.ts";
import {
  type DocumentOptions,
  isOpened,
  type LayoutOptions,
  type ResolvedDocument,
  resolveDocument,
  resolveLayout,
} from "./document-options.ts";
import type { DocumentPage, DocumentRegion, PageUsage } from "./document-page.ts";
import { type LayoutModel, openLayoutModel } from "./layout/layout-model.ts";
import { documentJson, documentMarkdown } from "./markdown/document-text.ts";
import { type DocumentSource, openPages, type PageSource, selectedPages } from "./page-source.ts";
import { readWindow } from "./page-window.ts";
import { loadPdfium } from "./pdf/load-pdfium.ts";
import { readPage } from "./read-page.ts";
import type { PageReader } from "./reading.ts";

/** A whole document. */
export interface DocumentResult {
  /** Its pages in their order. */
  readonly pages: readonly DocumentPage[];
  /** All pages as one text. */
  readonly markdown: string;
  /** A list of regions for each page: GLM-OCR's own JSON. */
  readonly json: readonly (readonly DocumentRegion[])[];
  /** Tokens that all of them took. */
  readonly usage: PageUsage;
}

/** Pages as they come; or all of them, awaited. Read it in one of the two ways. */
export class DocumentRun implements AsyncIterable<DocumentPage> {
  readonly #pages: AsyncGenerator<DocumentPage, void, void>;
  #result: Promise<DocumentResult> | undefined;

  /** @param pages not started */
  constructor(pages: AsyncGenerator<DocumentPage, void, void>) {
    this.#pages = pages;
  }

  /** The whole document, its pages in their order. Behind an iteration: those that it did not get. */
  get result(): Promise<DocumentResult> {
    this.#result ??= this.#collect();
    // It may be awaited later, or never.
    this.#result.catch(() => undefined);
    return this.#result;
  }

  /** Its pages in their order, as they are read. */
  [Symbol.asyncIterator](): AsyncGenerator<DocumentPage, void, void> {
    return this.#pages;
  }

  async #collect(): Promise<DocumentResult> {
    const pages: DocumentPage[] = [];
    for await (const page of this.#pages) pages.push(page);
    return documentResult(pages);
  }
}

/** Pages put together. @param pages in their order; they may come from several runs */
export function documentResult(pages: readonly DocumentPage[]): DocumentResult {
  const sum = (count: keyof PageUsage) => pages.reduce((all, { usage }) => all + usage[count], 0);
  return {
    pages,
    markdown: documentMarkdown(pages),
    json: documentJson(pages),
    usage: { promptTokens: sum("promptTokens"), completionTokens: sum("completionTokens") },
  };
}

/** `readDocument` of glimt/ocr. */
export type ReadDocument = (
  reader: PageReader,
  source: DocumentSource | readonly DocumentSource[],
  options?: DocumentOptions,
) => DocumentRun;

/** Starts when it is read. */
export function readDocumentOn(
  access: DocumentAccess,
  reader: PageReader,
  source: DocumentSource | readonly DocumentSource[],
  options: DocumentOptions | undefined,
): DocumentRun {
  return new DocumentRun(readAll(access, reader, source, options));
}

async function* readAll(
  access: DocumentAccess,
  reader: PageReader,
  source: DocumentSource | readonly DocumentSource[],
  options: DocumentOptions | undefined,
): AsyncGenerator<DocumentPage, void, void> {
  const document = await openDocument(access, source, options);
  try {
    yield* document.read(reader, document.selected);
  } finally {
    await document.close();
  }
}

/** A document whose pages are known and not read. */
export interface OpenedDocument {
  readonly numPages: number;
  /** What the option `pages` names. */
  readonly selected: readonly number[];
  /** What was read of it, to be told apart from others; empty for decoded pixels. */
  readonly bytes: readonly Uint8Array[];
  /**
   * @param numbers from 1
   * @param inOrder whether pages wait for those before them (default), or are given as soon as they are read
   */
  read(
    reader: PageReader,
    numbers: readonly number[],
    inOrder?: boolean,
  ): AsyncGenerator<DocumentPage, void, void>;
  close(): Promise<void>;
}

/** How many pages are under way, and how many answers are asked for: of one document, or of several read side by side. */
export interface SharedTurns {
  readonly pages: Turns;
  readonly answers: Turns;
}

/**
 * @param source one document, or several whose pages follow one another
 * @param shared default: turns of its own
 * @throws OPTION_INVALID, INPUT_INVALID, IMAGE_INVALID, CODEC_UNAVAILABLE, SOURCE_REFUSED, SOURCE_TOO_LARGE, OUT_OF_MEMORY,
 * TIMED_OUT, ABORTED
 */
export async function openDocument(
  access: DocumentAccess,
  source: DocumentSource | readonly DocumentSource[],
  given: DocumentOptions | undefined,
  shared?: SharedTurns,
): Promise<OpenedDocument> {
  const options = resolveDocument(given);
  const { signal, concurrency } = options;
  const turns = shared ?? { pages: new Turns(concurrency), answers: new Turns(concurrency) };
  const sources = Array.isArray(source) ? readList(source as readonly DocumentSource[], "source") : [source];
  if (sources.length === 0) {
    throw new GlimtError("INPUT_INVALID", `source is ${shown(source)}, expected a document, or several.`);
  }
  const parts: PageSource[] = [];
  for (const one of sources)
    parts.push(await openPages(one as DocumentSource, pageOptions(access, options), signal));
  const places = parts.flatMap((part) =>
    Array.from({ length: part.numPages }, (_, index) => ({ part, number: index + 1 })),
  );
  const selected = selectedPages(options.pages, places.length);
  if (selected.length > options.maxPages) {
    throw new GlimtError(
      "INPUT_INVALID",
      `The document has ${selected.length} pages to read, but maxPages is ${options.maxPages}; ask for fewer (pages), or raise the option.`,
    );
  }
  const { layout: found } = options;
  const layout = isOpened(found) ? found : found && (await openLayoutOn(access, found, signal));
  return {
    numPages: places.length,
    selected,
    bytes: parts.flatMap(({ bytes }) => (bytes ? [bytes] : [])),
    read: (reader, numbers, inOrder = true) => {
      const { task, prompt, settings, imagePrefix } = options;
      const reading = { reader, layout, task, prompt, settings, imagePrefix, turns: turns.answers };
      const read = async (number: number, stop: AbortSignal) => {
        const place = places[number - 1] as (typeof places)[number];
        await turns.pages.take(stop);
        try {
          return await readPage(await place.part.page(place.number, stop), number, reading, stop);
        } finally {
          turns.pages.free();
        }
      };
      return withProgress(
        readWindow(numbers, read, { size: concurrency, inOrder, signal }),
        numbers.length,
        options,
      );
    },
    close: async () => (isOpened(found) ? undefined : layout?.dispose()),
  };
}

function pageOptions(access: DocumentAccess, options: ResolvedDocument) {
  const { readFile, requestPublic, mediaWorkers, documentWorkers } = access;
  const { dpi, password, renderTimeout, workerUrl } = options;
  const media = { ...options.media, readFile, requestPublic, workers: mediaWorkers?.(workerUrl) };
  const pdfium = () => loadPdfium(options.pdfium, access.loadPdfium, { readFile, requestPublic });
  return { media, workers: documentWorkers(workerUrl), pdfium, password, dpi, renderTimeout };
}

/** @throws OPTION_INVALID, INPUT_INVALID, CODEC_UNAVAILABLE */
export async function openLayoutOn(
  access: DocumentAccess,
  given: LayoutOptions,
  signal?: AbortSignal,
): Promise<LayoutModel> {
  const { model, threshold, timeout, runtime } = resolveLayout(given);
  const { readFile, requestPublic } = access;
  const { bytes } = await readSource(model, { readFile, requestPublic, signal }, "Layout model");
  return openLayoutModel(bytes, runtime ?? (await access.loadOnnxRuntime()), { threshold, timeout });
}

async function* withProgress(
  pages: AsyncGenerator<DocumentPage, void, void>,
  pagesTotal: number,
  { onProgress }: ResolvedDocument,
): AsyncGenerator<DocumentPage, void, void> {
  let pagesDone = 0;
  for await (const page of pages) {
    onProgress?.({ pagesDone: ++pagesDone, pagesTotal });
    yield page;
  }
}
