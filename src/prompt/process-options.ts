/** Messages with pictures, and what a caller may say about processing them. */
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import type { ImageSource } from "../media/source.ts";
import type { Sources } from "../media/sources/source-rule.ts";
import type { VideoMetadata, VideoMetadataJson, VideoSource } from "../media/video-source.ts";
import type { VideoLayout } from "../processor/placeholders.ts";
import type { ChatMessage, ContentPart } from "../text/messages.ts";
import type { ImageEmbeddings, VideoEmbeddings } from "./media-embeddings.ts";
import type { GenerateProgress } from "./progress.ts";

/** A picture, or its features. */
export type PromptImage = ImageSource | ImageEmbeddings;
/** A video, or its features with their timestamps. */
export type PromptVideo = VideoSource | VideoEmbeddings;
/** What may be said of a video beside it, in either spelling. */
export type PromptVideoMetadata = VideoMetadata | VideoMetadataJson;
/** A message of a conversation, in the shape of Hugging Face's chat templates and of OpenAI's API. */
export type Message = ChatMessage<PromptImage, PromptVideo, PromptVideoMetadata>;
/** A part of a message: text, a picture or a video. */
export type MessagePart = ContentPart<PromptImage, PromptVideo, PromptVideoMetadata>;

/** How messages become a prompt. */
export interface ProcessOptions {
  /**
   * JSON schemas of functions, as the template takes them: a list, or JSON text of one, of which nothing is lost (a
   * JavaScript object knows no 3.0, and puts keys that are numbers first). Refused where the template has no place for them.
   */
  readonly tools?: readonly object[] | string | undefined;
  /** Whether the template lets the model think first; default: the template's own. */
  readonly enableThinking?: boolean | undefined;
  /** Go on with the last message, such as an answer that is begun, in place of answering it. */
  readonly continueFinalMessage?: boolean | undefined;
  /** Further variables for the template, `documents` among them; those that other options set are refused. */
  readonly templateVariables?: Readonly<Record<string, unknown>> | undefined;
  /**
   * "parse" (default, as Hugging Face): text in messages and tools that spells a control token, such as `<|system|>`,
   * `<think>` or the marker of a picture, is that token. "text": it is plain characters, as messages that strangers wrote
   * should be read; an assistant's earlier thinking then belongs in `reasoning_content`.
   */
  readonly specialTokensInText?: "parse" | "text" | undefined;
  /** Frames a second to sample of videos whose part does not say; only where the processor leaves a choice (4.1V). */
  readonly videoFps?: number | undefined;
  /**
   * true: choose frames as the checkpoint's processor does, which needs the video's rate. false: use all frames as
   * they are given. Default: choose where the rate is known and the frames were not sampled before.
   */
  readonly sampleFrames?: boolean | undefined;
  /** At most so many frames of each video, evenly spaced. */
  readonly maxFrames?: number | undefined;
  /**
   * "frames" (default, as Hugging Face): each temporal patch of a video is a picture of its own, its timestamp behind
   * it. "block": a video is one t x h x w block without timestamps.
   */
  readonly videoLayout?: VideoLayout | undefined;
  /** Where pictures and videos may be read from, in place of what the model was loaded with. */
  readonly sources?: Sources | undefined;
  /** Ends it with ABORTED. */
  readonly signal?: AbortSignal | undefined;
  /** Called while pictures and videos are read, with stage "media". */
  readonly onProgress?: ((progress: GenerateProgress) => void) | undefined;
}

export const PROCESS_OPTION_NAMES: readonly (keyof ProcessOptions)[] = [
  "tools",
  "enableThinking",
  "continueFinalMessage",
  "templateVariables",
  "specialTokensInText",
  "videoFps",
  "sampleFrames",
  "maxFrames",
  "videoLayout",
  "sources",
  "signal",
  "onProgress",
];

/** Of the options for which the type says it all. */
export const PROCESS_OPTION_KINDS = {
  enableThinking: "boolean",
  continueFinalMessage: "boolean",
  templateVariables: "object",
} as const;

/** @throws OPTION_INVALID naming the option */
export function checkProcessOptions({ specialTokensInText: mode }: ProcessOptions): void {
  if (mode === undefined || mode === "parse" || mode === "text") return;
  throw new GlimtError(
    "OPTION_INVALID",
    `specialTokensInText is ${shown(mode)}, expected "parse" or "text".`,
  );
}
