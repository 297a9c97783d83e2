/**
 * Conversations in the shape of Hugging Face and OpenAI. What a picture or video source is, is not this room's
 * business: the types are generic in it.
 */
import { GlimtError } from "../errors.ts";

export interface TextPart {
  readonly type: "text";
  readonly text: string;
}

export interface ImagePart<Image> {
  readonly type: "image";
  readonly image: Image;
}

/** OpenAI's spelling of an image. */
export interface ImageUrlPart<Image> {
  readonly type: "image_url";
  readonly image_url: Image | { readonly url: Image };
}

/** What a part may say about its video; it wins over the options of the call. */
export interface VideoChoices<Metadata> {
  /** What is known of the source video beside what it says itself. */
  readonly metadata?: Metadata | undefined;
  /** Frames a second to sample. */
  readonly fps?: number | undefined;
  /** false: use all frames as they are given. */
  readonly sampleFrames?: boolean | undefined;
  /** At most so many frames, evenly spaced. */
  readonly maxFrames?: number | undefined;
}

export interface VideoPart<Video, Metadata = object> extends VideoChoices<Metadata> {
  readonly type: "video";
  readonly video: Video;
}

/** vLLM's spelling of a video. */
export interface VideoUrlPart<Video, Metadata = object> extends VideoChoices<Metadata> {
  readonly type: "video_url";
  readonly video_url: Video | { readonly url: Video };
}

export type Part<Image, Video, Metadata = object> =
  | TextPart
  | ImagePart<Image>
  | ImageUrlPart<Image>
  | VideoPart<Video, Metadata>
  | VideoUrlPart<Video, Metadata>;

/** Pictures and videos as model cards on Hugging Face write them: the source under `url`. */
export type LinkedPart<Image, Video, Metadata = object> =
  | { readonly type: "image"; readonly url: Image }
  | ({ readonly type: "video"; readonly url: Video } & VideoChoices<Metadata>);

export interface ToolCall {
  readonly id?: string;
  readonly type?: "function";
  readonly function: {
    readonly name: string;
    /** An object, a Map in its order, or JSON text of an object, as OpenAI's API gives it, of which nothing is lost. */
    readonly arguments: string | Readonly<Record<string, unknown>> | ReadonlyMap<string, unknown>;
  };
}

export interface ChatMessage<Image, Video, Metadata = object> {
  readonly role: "system" | "user" | "assistant" | "tool" | (string & {});
  /** Null is for an assistant that only calls tools. */
  readonly content?:
    | string
    | readonly (Part<Image, Video, Metadata> | LinkedPart<Image, Video, Metadata>)[]
    | null;
  /** Earlier thinking, for templates that show it. */
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly ToolCall[];
  readonly tool_call_id?: string;
  readonly name?: string;
}

/** A message as templates see it: plain JSON. */
export type TemplateMessage = Readonly<Record<string, unknown>>;

export interface RequestedImage<Image> {
  readonly source: Image;
  /** Where it stands, e.g. `messages[1].content[0].image`. */
  readonly path: string;
}

export interface RequestedVideo<Video, Metadata = object> {
  readonly source: Video;
  readonly path: string;
  readonly choices: VideoChoices<Metadata>;
}

export interface NormalisedChat<Image, Video, Metadata = object> {
  readonly messages: readonly TemplateMessage[];
  /** In the order in which their placeholders appear. */
  readonly images: readonly RequestedImage<Image>[];
  readonly videos: readonly RequestedVideo<Video, Metadata>[];
}

/**
 * Checks a conversation and parts its media from its text. Content keeps its form (string or parts), since
 * templates ask for it. Of a source only a string is shown: templates test for the key, not for what it holds.
 * @throws INPUT_INVALID naming the place, e.g. `messages[1].content[0].type`.
 */
export function normaliseMessages<Image, Video, Metadata = object>(
  messages: readonly ChatMessage<Image, Video, Metadata>[],
): NormalisedChat<Image, Video, Metadata> {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw invalid("messages", "a list of at least one message", messages);
  }
  const chat = new ChatReader<Image, Video, Metadata>();
  return {
    messages: messages.map((message: ChatMessage<Image, Video, Metadata>, index) =>
      chat.message(message, `messages[${index}]`),
    ),
    images: chat.images,
    videos: chat.videos,
  };
}

class ChatReader<Image, Video, Metadata> {
  readonly images: RequestedImage<Image>[] = [];
  readonly videos: RequestedVideo<Video, Metadata>[] = [];

  message(message: ChatMessage<Image, Video, Metadata>, path: string): TemplateMessage {
    if (!isObject(message)) throw invalid(path, "a message object", message);
    const { role, content, tool_calls: toolCalls } = message;
    if (typeof role !== "string" || role === "") throw invalid(`${path}.role`, "a role", role);
    const onlyCalls = (content === null || content === undefined) && toolCalls;
    if (typeof content === "string" || onlyCalls) return { ...message, content: content ?? null };
    if (!Array.isArray(content)) throw invalid(`${path}.content`, "a string or a list of parts", content);
    return {
      ...message,
      content: content.map((part, index) => this.#part(part, `${path}.content[${index}]`)),
    };
  }

  #part(
    part: Part<Image, Video, Metadata> | LinkedPart<Image, Video, Metadata>,
    path: string,
  ): Record<string, unknown> {
    if (!isObject(part)) throw invalid(path, "a part object", part);
    switch (part.type) {
      case "text":
        if (typeof part.text !== "string") throw invalid(`${path}.text`, "a string", part.text);
        return { type: "text", text: part.text };
      case "image":
        return "url" in part
          ? this.#image(part.url, `${path}.url`)
          : this.#image(part.image, `${path}.image`);
      case "image_url":
        return this.#image(held(part.image_url), `${path}.image_url`);
      case "video":
        return "url" in part
          ? this.#video(part.url, part, path, "url")
          : this.#video(part.video, part, path, "video");
      case "video_url":
        return this.#video(held(part.video_url), part, path, "video_url");
      default:
        throw invalid(
          `${path}.type`,
          '"text", "image", "image_url", "video" or "video_url"',
          (part as Part<0, 0>).type,
        );
    }
  }

  #image(source: Image, path: string): Record<string, unknown> {
    this.images.push({ source: present(source, path, "an image"), path });
    return { type: "image", image: shown(source) };
  }

  #video(
    source: Video,
    { metadata, fps, sampleFrames, maxFrames }: VideoChoices<Metadata>,
    part: string,
    key: string,
  ): Record<string, unknown> {
    const path = `${part}.${key}`;
    const choices = { metadata, fps, sampleFrames, maxFrames };
    checkVideoChoices(choices, (name) => `${part}.${name}`);
    this.videos.push({ source: present(source, path, "a video"), path, choices });
    return { type: "video", video: shown(source) };
  }
}

/** @throws INPUT_INVALID naming the field by `nameOf`. */
export function checkVideoChoices(
  { metadata, fps, sampleFrames, maxFrames }: VideoChoices<unknown>,
  nameOf: (field: keyof VideoChoices<unknown>) => string,
): void {
  if (metadata !== undefined && !isObject(metadata)) throw invalid(nameOf("metadata"), "an object", metadata);
  if (fps !== undefined && !(typeof fps === "number" && fps > 0 && Number.isFinite(fps))) {
    throw invalid(nameOf("fps"), "frames a second, above 0", fps);
  }
  if (sampleFrames !== undefined && typeof sampleFrames !== "boolean") {
    throw invalid(nameOf("sampleFrames"), "true or false", sampleFrames);
  }
  if (maxFrames !== undefined && !(Number.isInteger(maxFrames) && maxFrames >= 1)) {
    throw invalid(nameOf("maxFrames"), "a whole number from 1", maxFrames);
  }
  if (sampleFrames === false && fps !== undefined) {
    throw invalid(nameOf("fps"), "nothing, as sampleFrames is false", fps);
  }
}

/** What OpenAI's `{ url }` holds, or the value itself. */
function held<Source>(value: Source | { readonly url: Source }): Source {
  return isUrlHolder(value) ? (value.url as Source) : (value as Source);
}

/** `{ url }` is a plain object; a URL or a Blob is a source itself. */
function isUrlHolder(value: unknown): value is { url: unknown } {
  return isObject(value) && Object.getPrototypeOf(value) === Object.prototype && "url" in value;
}

function shown(source: unknown): string {
  return typeof source === "string" ? source : "";
}

function present<T>(value: T, path: string, expected: string): T {
  if (value === undefined || value === null || value === "") throw invalid(path, expected, value);
  return value;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(path: string, expected: string, found: unknown): GlimtError {
  return new GlimtError("INPUT_INVALID", `${path}: expected ${expected}, found ${describe(found)}.`);
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (typeof value === "string") return JSON.stringify(value.slice(0, 40));
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return Array.isArray(value) ? `a list of ${value.length}` : typeof value;
}
