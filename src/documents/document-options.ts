/** What a caller may say about reading a document, checked. */

import { GlimtError } from "../errors.ts";
import { checkTimeLimit, readOptions, shown } from "../given.ts";
import type { MediaMode } from "../media/decode-image.ts";
import type { FileSource } from "../media/source.ts";
import { type Sources, sourceRule } from "../media/sources/source-rule.ts";
import { checkMaxTokens, checkSpeculation, type GenerateOptions } from "../serving/generation-options.ts";
import { checkRepetitionPenalty } from "../serving/sampling-options.ts";
import type { LayoutModel } from "./layout/layout-model.ts";
import type { OnnxRuntime } from "./layout/onnx-runtime.ts";
import type { PdfiumSource } from "./pdf/load-pdfium.ts";
import { type DocumentTask, READING_DEFAULTS, TASK_PROMPTS } from "./reading.ts";

/** A model that finds the regions of pages, and what runs it. */
export interface LayoutOptions {
  /** PP-DocLayoutV3 as an ONNX file. */
  readonly model: FileSource;
  /** Boxes that it is less sure of are left out, 0 to 1; default 0.3. */
  readonly threshold?: number | undefined;
  /** Milliseconds that it may take for a page; default 60,000. */
  readonly timeout?: number | undefined;
  /**
   * What runs it: the module `onnxruntime-node` or `onnxruntime-web`. Default in Node: `onnxruntime-node`, if it is
   * installed.
   */
  readonly runtime?: OnnxRuntime | undefined;
}

/** What is read of a document, and how. */
export interface DocumentOptions {
  /** What pages, or the picture, are read as; default "text". With a layout model each region has a task of its own. */
  readonly task?: DocumentTask | undefined;
  /** What to ask of each page in place of a task: for extraction the JSON to fill in. Not with a layout model. */
  readonly prompt?: string | undefined;
  /**
   * Finds the regions of a page, which are then read one by one; default: pages are read whole. One that `openLayout` has
   * opened serves any number of documents.
   */
  readonly layout?: LayoutOptions | LayoutModel | undefined;
  /** Which pages to read: "1-3,7", "10-"; default: all. */
  readonly pages?: string | undefined;
  /** Refuse documents of which more pages would be read; default 10,000: a small file may say that it has a million. */
  readonly maxPages?: number | undefined;
  /** Dots an inch at which PDFs are rendered, 36 to 1200; default 200. */
  readonly dpi?: number | undefined;
  /** Of encrypted PDFs. */
  readonly password?: string | undefined;
  /** The file pdfium.wasm, or what is compiled of it; default in Node: that of `@embedpdf/pdfium`, if it is installed. */
  readonly pdfium?: PdfiumSource | undefined;
  /** Milliseconds in which a page of a PDF must be rendered; default 30,000. */
  readonly renderTimeout?: number | undefined;
  /** Pages that are under way at a time, and answers that are asked for at a time; default 8. */
  readonly concurrency?: number | undefined;
  /** Most tokens of an answer; default 8192. */
  readonly maxTokens?: number | undefined;
  /** Default 1.1, as GLM-OCR was published with. */
  readonly repetitionPenalty?: number | undefined;
  /** As `generate` takes it; default "off". */
  readonly speculation?: GenerateOptions["speculation"];
  /** What the names of cut out pictures begin with; default "". */
  readonly imagePrefix?: string | undefined;
  /** Where documents may be read from; default "any". For those of people you do not know: PUBLIC_SOURCES or "inline". */
  readonly sources?: Sources | undefined;
  /** Refuse sources of more bytes; default 512 MiB. */
  readonly maxSourceBytes?: number | undefined;
  /** Milliseconds without a byte after which a source is given up; default 60,000. */
  readonly sourceTimeout?: number | undefined;
  /** Refuse pictures that decode to more pixels; default 100 million. */
  readonly maxDecodedPixels?: number | undefined;
  /** Milliseconds in which a picture must be decoded; default 30,000. */
  readonly decodeTimeout?: number | undefined;
  /** "default" applies EXIF orientation and lays transparency on white; "huggingface" does neither. */
  readonly media?: MediaMode | undefined;
  /** Where the package's worker.js lies, for pages whose build does not put it where the SDK looks. */
  readonly workerUrl?: string | URL | undefined;
  /** Ends it with ABORTED. */
  readonly signal?: AbortSignal | undefined;
  /** Told after each page. */
  readonly onProgress?: ((progress: DocumentProgress) => void) | undefined;
}

/** How far a document is. */
export interface DocumentProgress {
  /** Pages that were read. */
  readonly pagesDone: number;
  /** Pages that are to be read. */
  readonly pagesTotal: number;
}

export const DOCUMENT_OPTION_NAMES: readonly (keyof DocumentOptions)[] = [
  "task",
  "prompt",
  "layout",
  "pages",
  "maxPages",
  "dpi",
  "password",
  "pdfium",
  "renderTimeout",
  "concurrency",
  "maxTokens",
  "repetitionPenalty",
  "speculation",
  "imagePrefix",
  "sources",
  "maxSourceBytes",
  "sourceTimeout",
  "maxDecodedPixels",
  "decodeTimeout",
  "media",
  "workerUrl",
  "signal",
  "onProgress",
];

const KINDS = {
  prompt: "string",
  pages: "string",
  password: "string",
  imagePrefix: "string",
  layout: "object",
} as const;
const DEFAULTS = {
  dpi: 200,
  renderTimeout: 30_000,
  concurrency: 8,
  maxPages: 10_000,
  threshold: 0.3,
  layoutTimeout: 60_000,
};

export type ResolvedDocument = ReturnType<typeof resolveDocument>;

/** @throws OPTION_INVALID naming the option */
export function resolveDocument(given: DocumentOptions | undefined) {
  const options = readOptions(given, "readDocument", DOCUMENT_OPTION_NAMES, KINDS);
  const { task = "text", prompt, dpi = DEFAULTS.dpi, concurrency = DEFAULTS.concurrency } = options;
  const { renderTimeout = DEFAULTS.renderTimeout, imagePrefix = "" } = options;
  const { maxTokens = READING_DEFAULTS.maxTokens } = options;
  const { repetitionPenalty = READING_DEFAULTS.repetitionPenalty, speculation } = options;
  if (!Object.hasOwn(TASK_PROMPTS, task)) {
    const names = Object.keys(TASK_PROMPTS).map((name) => `"${name}"`);
    throw invalid(`task is ${shown(task)}, expected ${names.join(", ")}.`);
  }
  if (prompt?.trim() === "") throw invalid("prompt is empty, expected a text, or nothing.");
  if (prompt !== undefined && (options.layout || options.task)) {
    throw invalid("prompt says what to ask of whole pages: leave out task and layout.");
  }
  if (options.layout && options.task) throw invalid("with layout each region has its task: leave out task.");
  within("dpi", dpi, 36, 1200);
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw invalid(`concurrency is ${shown(concurrency)}, expected a whole number from 1.`);
  }
  const { maxPages = DEFAULTS.maxPages } = options;
  if (!(maxPages >= 1)) throw invalid(`maxPages is ${shown(maxPages)}, expected a number from 1.`);
  checkMaxTokens(maxTokens);
  checkRepetitionPenalty(repetitionPenalty);
  checkSpeculation(speculation ?? "off");
  if (!/^[^/\\:*?"<>|]*$/.test(imagePrefix)) {
    throw invalid(`imagePrefix is ${shown(imagePrefix)}, expected a part of a file's name.`);
  }
  checkTimeLimit("renderTimeout", renderTimeout);
  const { maxSourceBytes, sourceTimeout, maxDecodedPixels, decodeTimeout, media: mode, workerUrl } = options;
  checkTimeLimit("decodeTimeout", decodeTimeout);
  checkTimeLimit("sourceTimeout", sourceTimeout);
  return {
    task,
    prompt,
    layout: isOpened(options.layout) ? options.layout : options.layout && resolveLayout(options.layout),
    pages: options.pages,
    maxPages,
    dpi,
    password: options.password,
    pdfium: options.pdfium,
    renderTimeout,
    concurrency,
    settings: { maxTokens, repetitionPenalty, speculation },
    imagePrefix,
    media: {
      sources: sourceRule(options.sources ?? "any"),
      maxSourceBytes,
      sourceTimeout,
      maxDecodedPixels,
      decodeTimeout,
      mode,
    },
    workerUrl,
    signal: options.signal,
    onProgress: options.onProgress,
  };
}

export function isOpened(layout: object | undefined): layout is LayoutModel {
  return typeof (layout as Partial<LayoutModel> | undefined)?.regions === "function";
}

/** @throws OPTION_INVALID */
export function resolveLayout(given: LayoutOptions) {
  const options = readOptions(given, "layout", ["model", "threshold", "timeout", "runtime"]);
  const { model, threshold = DEFAULTS.threshold, timeout = DEFAULTS.layoutTimeout, runtime } = options;
  if (model === undefined) throw invalid("layout has no model: give PP-DocLayoutV3 as an ONNX file.");
  within("layout.threshold", threshold, 0, 1);
  checkTimeLimit("layout.timeout", timeout);
  return { model, threshold, timeout, runtime };
}

function within(name: string, value: unknown, low: number, high: number): void {
  if (typeof value === "number" && value >= low && value <= high) return;
  throw invalid(`${name} is ${shown(value)}, expected a number of ${low}..${high}.`);
}

function invalid(message: string): GlimtError {
  return new GlimtError("OPTION_INVALID", message);
}
