/** One page: its regions found, cut out, read side by side, and put together again. */

import type { GlimtError } from "../errors.ts";
import { encodePng } from "../media/encode-png.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { Turns } from "../workers/turns.ts";
import type { DocumentPage, DocumentRegion, PageImage } from "./document-page.ts";
import type { Region } from "./layout/boxes.ts";
import type { RegionLabel } from "./layout/classes.ts";
import type { LayoutModel } from "./layout/layout-model.ts";
import { pageMarkdown } from "./markdown/document-text.ts";
import { mergedRegions } from "./markdown/merge-regions.ts";
import { formatPage, formatRegion } from "./markdown/region-text.ts";
import type { PagePicture } from "./page-source.ts";
import {
  type Answer,
  askReader,
  type DocumentTask,
  type PageReader,
  type ReadingSettings,
  TASK_PROMPTS,
} from "./reading.ts";

export interface PageReading {
  readonly reader: PageReader;
  readonly layout: LayoutModel | undefined;
  readonly task: DocumentTask;
  /** In place of the task's. */
  readonly prompt: string | undefined;
  readonly settings: ReadingSettings;
  /** How many answers are asked for at a time, of all pages together. */
  readonly turns: Turns;
  /** What files of pictures begin with, so that those of several documents can lie together. */
  readonly imagePrefix: string;
}

interface ReadRegion {
  readonly region: DocumentRegion;
  readonly image?: PageImage;
  readonly answer?: Answer;
  readonly warnings: readonly string[];
}

/** @throws what reading the model does */
export async function readPage(
  { image, warnings }: PagePicture,
  number: number,
  reading: PageReading,
  signal: AbortSignal,
): Promise<DocumentPage> {
  const found = reading.layout && (await reading.layout.regions(image, signal));
  const read = found
    ? await readRegions(image, number, found, reading, signal)
    : [await readWhole(image, reading, signal)];
  const kept = read.filter(({ region }) => region.label === "image" || region.content !== "");
  const images = kept.flatMap((one) => (one.image ? [one.image] : []));
  const regions = mergedRegions(kept.map(({ region }) => region));
  const answers = read.flatMap(({ answer }) => (answer ? [answer.usage] : []));
  return {
    number,
    width: image.width,
    height: image.height,
    regions,
    markdown: pageMarkdown(regions, number),
    images,
    warnings: [...warnings, ...read.flatMap((one) => one.warnings)],
    error: null,
    usage: {
      promptTokens: answers.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
      completionTokens: answers.reduce((sum, { completionTokens }) => sum + completionTokens, 0),
    },
  };
}

/** What stands for a page that could not be read. */
export function failedPage(number: number, { code, message }: GlimtError): DocumentPage {
  const region: DocumentRegion = {
    index: 0,
    label: "error",
    native_label: "error",
    content: `${message} [${code}]`,
    bbox_2d: null,
  };
  return {
    number,
    width: 0,
    height: 0,
    regions: [region],
    markdown: pageMarkdown([region], number),
    images: [],
    warnings: [],
    error: { code, message },
    usage: { promptTokens: 0, completionTokens: 0 },
  };
}

async function readWhole(image: RgbImage, reading: PageReading, signal: AbortSignal): Promise<ReadRegion> {
  const { task, prompt = TASK_PROMPTS[task] } = reading;
  const answer = await ask(image, prompt, reading, signal);
  // What was asked for otherwise is left as it was answered.
  const isTask = reading.prompt === undefined;
  const { content, isCut } = isTask
    ? formatPage(textOf(answer), task)
    : { content: answer.text.trim(), isCut: false };
  const region = { index: 0, label: task, native_label: "text", content, bbox_2d: null };
  return { region, answer, warnings: answerWarnings(answer, isCut, "The page", reading.settings) };
}

async function readRegions(
  page: RgbImage,
  number: number,
  found: readonly Region[],
  reading: PageReading,
  signal: AbortSignal,
): Promise<ReadRegion[]> {
  return Promise.all(found.map((region, index) => readRegion(page, number, region, index, reading, signal)));
}

async function readRegion(
  page: RgbImage,
  number: number,
  { name, use, corners }: Region,
  index: number,
  reading: PageReading,
  signal: AbortSignal,
): Promise<ReadRegion> {
  const label: RegionLabel = use === "skip" ? "image" : use;
  const named = { index, label, native_label: name };
  const place = { bbox_2d: thousandths(corners, page) };
  const cut = cutOut(page, corners);
  if (use === "skip") {
    const path = `imgs/${reading.imagePrefix}page${number - 1}_idx${index}.png`;
    const image = { path, png: await encodePng(cut) };
    return { region: { ...named, content: "", ...place, image_path: path }, image, warnings: [] };
  }
  const answer = await ask(cut, TASK_PROMPTS[use], reading, signal);
  const { content, isCut } = formatRegion(textOf(answer), label, name);
  const warnings = answerWarnings(answer, isCut, `The ${name} ${index}`, reading.settings);
  return { region: { ...named, content, ...place }, answer, warnings };
}

async function ask(
  image: RgbImage,
  prompt: string,
  reading: PageReading,
  signal: AbortSignal,
): Promise<Answer> {
  const { reader, settings, turns } = reading;
  await turns.take(signal);
  try {
    return await askReader(reader, image, prompt, settings, signal);
  } finally {
    turns.free();
  }
}

function textOf({ text, finishReason }: Answer) {
  return { text, isUnfinished: finishReason !== "stop" };
}

function answerWarnings(
  { finishReason }: Answer,
  isCut: boolean,
  what: string,
  { maxTokens }: ReadingSettings,
): string[] {
  if (finishReason === "length") {
    return [`${what} was read up to ${maxTokens} tokens, or to the model's context: the rest is missing.`];
  }
  if (finishReason === "repetition" || isCut) {
    return [`${what} was read in a circle: what was repeated is left out, and what follows may be missing.`];
  }
  return [];
}

function thousandths(
  [left, top, right, bottom]: Region["corners"],
  { width, height }: RgbImage,
): [number, number, number, number] {
  const of = (value: number, side: number) => Math.trunc((value / side) * 1000);
  return [of(left, width), of(top, height), of(right, width), of(bottom, height)];
}

function cutOut({ data, width }: RgbImage, [left, top, right, bottom]: Region["corners"]): RgbImage {
  const size = { width: right - left, height: bottom - top };
  const pixels = new Uint8Array(size.width * size.height * 3);
  for (let y = 0; y < size.height; y++) {
    const from = ((top + y) * width + left) * 3;
    pixels.set(data.subarray(from, from + size.width * 3), y * size.width * 3);
  }
  return { data: pixels, ...size };
}
