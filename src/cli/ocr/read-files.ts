/** Documents read into files, several side by side, each behind the pages that it has already. */
import { basename, join } from "node:path";
import { type OpenedDocument, openDocument, type SharedTurns } from "../../documents/read-document.ts";
import type { PageReader } from "../../documents/reading.ts";
import { GlimtError } from "../../errors.ts";
import { type DocumentOptions, type DocumentPage, documentAccess, documentResult } from "../../ocr.ts";
import type { DocumentFile } from "./document-files.ts";
import { digest, Journal } from "./journal.ts";
import { type OutputFormat, writeDocument, writeImages } from "./outputs.ts";

export interface ReadFilesOptions {
  readonly out: string;
  readonly format: OutputFormat;
  readonly document: DocumentOptions;
  readonly turns: SharedTurns;
  /** All that answers depend on beside the document. */
  readonly asked: string;
  /** The model, loaded when the first page needs it. */
  readonly reader: () => Promise<PageReader>;
  readonly onPage: (file: DocumentFile, done: number, total: number) => void;
  /** What a person may want to know. */
  readonly say: (line: string) => void;
}

export interface FailedPage {
  /** Null for the whole document. */
  readonly page: number | null;
  readonly code: string;
  readonly message: string;
}

export interface ReadFile {
  readonly source: string;
  readonly files: readonly string[];
  readonly pages: number;
  /** Of them, from an earlier run. */
  readonly resumed: number;
  readonly failed: readonly FailedPage[];
  readonly warnings: readonly { readonly page: number; readonly message: string }[];
}

/** Where journals lie in the output folder. */
const JOURNALS = ".glimt-ocr";
/** At opening a document: no document's fault. */
const FATAL = ["ABORTED", "OPTION_INVALID", "CODEC_UNAVAILABLE"];

/** A document that can not be opened is one that failed; others are read all the same. */
export async function readFile(file: DocumentFile, options: ReadFilesOptions): Promise<ReadFile> {
  const base = join(options.out, file.name);
  const asked = { ...options.document, imagePrefix: `${basename(base)}_` };
  const document = await openDocument(documentAccess, file.source, asked, options.turns).catch((error) => {
    if (error instanceof GlimtError && !FATAL.includes(error.code)) return error;
    throw error;
  });
  if (document instanceof GlimtError) {
    const failed = [{ page: null, code: document.code, message: document.message }];
    return { source: file.source, files: [], pages: 0, resumed: 0, failed, warnings: [] };
  }
  try {
    return await readInto(base, file, document, options);
  } finally {
    await document.close();
  }
}

async function readInto(
  base: string,
  file: DocumentFile,
  document: OpenedDocument,
  options: ReadFilesOptions,
): Promise<ReadFile> {
  const { out, format, asked, say, onPage } = options;
  const head = { source: digest(document.bytes), asked };
  const journal = await Journal.open(join(out, JOURNALS, `${file.name}.jsonl`), head);
  try {
    const known = document.selected.flatMap((number) => journal.pages.get(number) ?? []);
    const missing = document.selected.filter((number) => !journal.pages.has(number));
    const read: DocumentPage[] = [];
    if (missing.length > 0) {
      const reader = await options.reader();
      if (journal.isRenewed) say(`${file.source}: it changed, or is asked for otherwise; it is read anew.`);
      await journal.begin();
      for await (const page of document.read(reader, missing, false)) {
        await writeImages(base, page.images);
        await journal.add(page);
        read.push({ ...page, images: [] });
        onPage(file, known.length + read.length, document.selected.length);
      }
    }
    const pages = [...known, ...read].sort((a, b) => a.number - b.number);
    return {
      source: file.source,
      files: await writeDocument(base, documentResult(pages), format),
      pages: pages.length,
      resumed: known.length,
      failed: pages.flatMap(({ number, error }) => (error ? [{ page: number, ...error }] : [])),
      warnings: pages.flatMap(({ number, warnings }) =>
        warnings.map((message) => ({ page: number, message })),
      ),
    };
  } finally {
    await journal.close();
  }
}
