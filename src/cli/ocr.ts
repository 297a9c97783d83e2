/** `glimt ocr`: documents to Markdown and JSON. */

import { Command, Option } from "commander";
import { resolveDocument } from "../documents/document-options.ts";
import { GlimtError } from "../errors.ts";
import type { GenerateOptions, Model } from "../index.ts";
import { type DocumentOptions, type DocumentTask, type LayoutModel, openLayout } from "../ocr.ts";
import { Turns } from "../workers/turns.ts";
import { type EngineFlags, withEngineOptions } from "./engine-flags.ts";
import { messageByFlagNames } from "./flag-names.ts";
import { interruptible } from "./interruption.ts";
import { loadByFlags } from "./load-by-flags.ts";
import {
  decimal,
  type LoadFlags,
  type MediaFlags,
  wholeNumber,
  withLoadOptions,
  withPictureOptions,
} from "./model-options.ts";
import { documentFiles } from "./ocr/document-files.ts";
import { digest } from "./ocr/journal.ts";
import type { OutputFormat } from "./ocr/outputs.ts";
import { type ReadFile, readFile } from "./ocr/read-files.ts";
import { type ParallelFlags, withParallelOptions } from "./parallel-flags.ts";
import { progressLine } from "./progress-line.ts";
import { JSON_HELP } from "./report.ts";
import { type ServingFlags, withServingOptions } from "./serving-flags.ts";
import { type SourceFlags, sourceOptions, withSourceOptions } from "./source-flags.ts";

interface OcrFlags extends SourceFlags, MediaFlags, LoadFlags, EngineFlags, ServingFlags, ParallelFlags {
  readonly out: string;
  readonly format: OutputFormat;
  readonly pages?: string;
  readonly task?: DocumentTask;
  readonly prompt?: string;
  readonly layout?: string;
  readonly layoutThreshold?: number;
  readonly dpi?: number;
  readonly password?: string;
  readonly renderTimeout?: number;
  readonly concurrency: number;
  readonly maxTokens?: number;
  readonly repetitionPenalty?: number;
  readonly speculation?: NonNullable<GenerateOptions["speculation"]>;
  readonly json?: true;
}

export function ocrCommand(): Command {
  const command = new Command("ocr").argument(
    "<model>",
    "model of the Hub (ORG/NAME), checkpoint directory, or the URL of one",
  );
  const loading = withLoadOptions(withPictureOptions(withSourceOptions(command)));
  return withServingOptions(withParallelOptions(withEngineOptions(loading)))
    .argument("<documents...>", "PDFs, pictures (of a TIFF file all pages), or folders of them")
    .description("read documents into Markdown and JSON; run again, it goes on behind the pages that it has")
    .requiredOption("--out <dir>", "where NAME.md, NAME.json and imgs/ are written")
    .addOption(
      new Option("--format <format>", "what to write").choices(["md", "json", "both"]).default("both"),
    )
    .option("--pages <list>", "which pages to read: 1-3,7 or 10- (default: all)")
    .addOption(
      new Option("--task <task>", "what pages are read as (default: text)").choices([
        "text",
        "table",
        "formula",
      ]),
    )
    .option("--prompt <text>", "what to ask of each page instead, such as the JSON to fill in")
    .option("--layout <file.onnx>", "PP-DocLayoutV3: find the regions of a page, and read each as what it is")
    .option("--layout-threshold <p>", "leave out regions that it is less sure of (default: 0.3)", decimal)
    .option("--dpi <n>", "resolution at which PDFs are rendered (default: 200)", wholeNumber)
    .option("--password <text>", "of encrypted PDFs")
    .option(
      "--render-timeout <ms>",
      "give a page of a PDF up that takes longer to render (default: 30000)",
      wholeNumber,
    )
    .option("--concurrency <n>", "pages and regions that are read at a time", wholeNumber, 8)
    .option("--max-tokens <n>", "most tokens of an answer (default: 8192)", wholeNumber)
    .option("--repetition-penalty <x>", "above 1: avoid tokens already used (default: 1.1)", decimal)
    .option(
      "--speculation <how>",
      "guess tokens and read several a step: mtp (the checkpoint's layer), lookup, auto, off (default)",
    )
    .option("--json", JSON_HELP)
    .action(ocr);
}

async function ocr(
  location: string,
  given: readonly string[],
  flags: OcrFlags,
  command: Command,
): Promise<void> {
  const { out, format, concurrency } = flags;
  // What is wrong with them is told before anything is looked at.
  resolveDocument(documentOptions(flags, undefined));
  const files = await documentFiles(given, out);
  const progress = progressLine(flags.json !== true);
  const signal = interruptible();
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const say = (line: string) => {
    progress.clear();
    if (!flags.json) console.error(line);
  };
  const layout = await layoutModel(flags);
  const { maxTokens, repetitionPenalty, speculation } = flags;
  const model = new LaterModel(() =>
    loadByFlags(location, flags, both, {
      asked: { maxTokens, repetitionPenalty, speculation },
      showsProgress: flags.json !== true,
    }),
  );
  const options = {
    out,
    format,
    document: { ...documentOptions(flags, layout), signal: both },
    turns: { pages: new Turns(concurrency), answers: new Turns(concurrency) },
    asked: digest([JSON.stringify(asked(location, flags))]),
    reader: () => model.get(),
    say,
    onPage: ({ source }: { source: string }, done: number, total: number) => {
      progress.show(`reading ${source}, page ${done} of ${total},`, done / total);
    },
  };
  const read: ReadFile[] = new Array(files.length);
  // As many documents at a time as pages: each may have one.
  const queue = files.entries();
  const work = async () => {
    for (const [index, file] of queue) {
      const found = byFlags(await readFile(file, options), command);
      read[index] = found;
      for (const line of linesOf(found)) say(line);
    }
  };
  try {
    const workers = Array.from({ length: Math.min(concurrency, files.length) }, work);
    await Promise.all(workers).catch(async (error) => {
      stop.abort();
      await Promise.allSettled(workers);
      throw error;
    });
  } finally {
    progress.clear();
    await model.dispose();
    await layout?.dispose();
  }
  if (flags.json) process.stdout.write(`${JSON.stringify({ documents: read })}\n`);
  else for (const { files: written } of read) for (const path of written) console.log(path);
  if (read.some(({ failed }) => failed.length > 0)) process.exitCode = 1;
}

/** Failures that say which option to change say the flag. */
function byFlags(read: ReadFile, command: Command): ReadFile {
  const failed = read.failed.map((failure) => ({
    ...failure,
    message: messageByFlagNames(failure, command),
  }));
  return { ...read, failed };
}

/** What was read of a document, for who looks on: only what is wrong with it. */
function linesOf({ source, failed, warnings, resumed, pages }: ReadFile): string[] {
  return [
    ...(resumed > 0 ? [`${source}: ${resumed} of ${pages} pages were read before.`] : []),
    ...warnings.map(({ page, message }) => `${source}, page ${page}: ${message}`),
    ...failed.map(
      ({ page, message, code }) => `${source}${page === null ? "" : `, page ${page}`}: ${message} [${code}]`,
    ),
  ];
}

/** A model that is loaded once, when it is asked for: not for documents that are read or can not be. */
class LaterModel {
  readonly #load: () => Promise<Model>;
  #model: Promise<Model> | undefined;

  constructor(load: () => Promise<Model>) {
    this.#load = load;
  }

  get(): Promise<Model> {
    this.#model ??= this.#load();
    return this.#model;
  }

  async dispose(): Promise<void> {
    const model = await this.#model?.catch(() => undefined);
    await model?.dispose();
  }
}

async function layoutModel({ layout, layoutThreshold }: OcrFlags): Promise<LayoutModel | undefined> {
  if (layout !== undefined) return openLayout({ model: layout, threshold: layoutThreshold });
  if (layoutThreshold === undefined) return undefined;
  throw new GlimtError("OPTION_INVALID", "--layout-threshold is of a layout model: add --layout.");
}

function documentOptions(flags: OcrFlags, layout: LayoutModel | undefined): DocumentOptions {
  const { pages, task, prompt, dpi, password, renderTimeout, concurrency } = flags;
  const { maxTokens, repetitionPenalty, speculation, media, maxDecodedPixels } = flags;
  const reading = { task, prompt, pages, dpi, password, renderTimeout, concurrency };
  const answering = { maxTokens, repetitionPenalty, speculation };
  const { sources, maxSourceBytes, sourceTimeout, decodeTimeout } = sourceOptions(flags);
  return {
    ...reading,
    ...answering,
    layout,
    sources,
    maxSourceBytes,
    sourceTimeout,
    decodeTimeout,
    media,
    maxDecodedPixels,
  };
}

/** All that the text of a page depends on, but for the document and the files that the names name. */
function asked(location: string, flags: OcrFlags): unknown {
  const { task, prompt, layout, layoutThreshold, dpi, maxTokens, repetitionPenalty, media, rounding } = flags;
  const { dtype, visionDtype, kvCacheDtype, maxImagePixels, mmproj } = flags;
  const reading = { task, prompt, layout, layoutThreshold, dpi, maxTokens, repetitionPenalty };
  return [location, reading, { media, rounding, dtype, visionDtype, kvCacheDtype, maxImagePixels, mmproj }];
}
