/** How GLM-OCR is asked: a picture, one line of text, and the settings it was published with. */

import type { RgbImage } from "../media/rgb-image.ts";
import type { Message } from "../prompt/process-options.ts";
import type { GenerateOptions } from "../serving/generation-options.ts";
import type { GenerationResult } from "../serving/run-result.ts";

/** What is to be read of a picture. */
export type DocumentTask = "text" | "table" | "formula";

export const TASK_PROMPTS: Readonly<Record<DocumentTask, string>> = {
  text: "Text Recognition:",
  table: "Table Recognition:",
  formula: "Formula Recognition:",
};

/** Of GLM-OCR's own SDK. At temperature 0 the two cut-offs change nothing. */
export const READING_DEFAULTS = {
  maxTokens: 8192,
  temperature: 0,
  topP: 1e-5,
  topK: 1,
  repetitionPenalty: 1.1,
} as const;

/** What reads: a loaded model, or whatever answers as one. */
export interface PageReader {
  /** A whole answer to messages with one picture, as `Model.complete` gives it. */
  complete(messages: readonly Message[], options: GenerateOptions): Promise<ReadAnswer>;
}

/** What is read of an answer. */
export type ReadAnswer = Pick<GenerationResult, "content" | "finishReason" | "usage">;

export interface ReadingSettings {
  readonly maxTokens: number;
  readonly repetitionPenalty: number;
  readonly speculation: GenerateOptions["speculation"];
}

export interface Answer {
  readonly text: string;
  readonly finishReason: GenerationResult["finishReason"];
  readonly usage: GenerationResult["usage"];
}

export async function askReader(
  reader: PageReader,
  image: RgbImage,
  prompt: string,
  settings: ReadingSettings,
  signal: AbortSignal,
): Promise<Answer> {
  const content = [
    { type: "image", image: { ...image, channels: 3 } },
    { type: "text", text: prompt },
  ] as const;
  const {
    content: text,
    finishReason,
    usage,
  } = await reader.complete([{ role: "user", content }], {
    ...READING_DEFAULTS,
    ...settings,
    repetitionDetection: true,
    signal,
  });
  return { text, finishReason, usage };
}
