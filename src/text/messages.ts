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

export interface VideoPart<Video> {
  readonly type: "video";
  readonly video: Video;
}

export type Part<Image, Video> = TextPart | ImagePart<Image> | ImageUrlPart<Image> | VideoPart<Video>;

export interface ToolCall {
  readonly id?: string;
  readonly type?: "function";
  readonly function: {
    readonly name: string;
    readonly arguments: string | Readonly<Record<string, unknown>>;
  };
}

export interface ChatMessage<Image, Video> {
  readonly role: "system" | "user" | "assistant" | "tool" | (string & {});
  /** Null is for an assistant that only calls tools. */
  readonly content?: string | readonly Part<Image, Video>[] | null;
  /** Earlier thinking, for templates that show it. */
  readonly reasoning_content?: string;
  readonly tool_calls?: readonly ToolCall[];
  readonly tool_call_id?: string;
  readonly name?: string;
}

/** A message as templates see it: plain JSON. */
export type TemplateMessage = Readonly<Record<string, unknown>>;

export interface NormalisedChat<Image, Video> {
  readonly messages: readonly TemplateMessage[];
  /** Sources in the order in which their placeholders appear. */
  readonly images: readonly Image[];
  readonly videos: readonly Video[];
}

/**
 * Checks a conversation and parts its media from its text. Content keeps its form (string or parts), since
 * templates ask for it. Of a source only a string is shown: templates test for the key, not for what it holds.
 * @throws INPUT_INVALID naming the place, e.g. `messages[1].content[0].type`.
 */
export function normaliseMessages<Image, Video>(
  messages: readonly ChatMessage<Image, Video>[],
): NormalisedChat<Image, Video> {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw invalid("messages", "a list of at least one message", messages);
  }
  const chat = new ChatReader<Image, Video>();
  return {
    messages: messages.map((message: ChatMessage<Image, Video>, index) =>
      chat.message(message, `messages[${index}]`),
    ),
    images: chat.images,
    videos: chat.videos,
  };
}

class ChatReader<Image, Video> {
  readonly images: Image[] = [];
  readonly videos: Video[] = [];

  message(message: ChatMessage<Image, Video>, path: string): TemplateMessage {
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

  #part(part: Part<Image, Video>, path: string): Record<string, unknown> {
    if (!isObject(part)) throw invalid(path, "a part object", part);
    switch (part.type) {
      case "text":
        if (typeof part.text !== "string") throw invalid(`${path}.text`, "a string", part.text);
        return { type: "text", text: part.text };
      case "image":
        return this.#image(part.image, `${path}.image`);
      case "image_url": {
        const { image_url: holder } = part;
        return this.#image(
          isUrlHolder(holder) ? (holder.url as Image) : (holder as Image),
          `${path}.image_url`,
        );
      }
      case "video":
        this.videos.push(present(part.video, `${path}.video`, "a video"));
        return { type: "video", video: shown(part.video) };
      default:
        throw invalid(`${path}.type`, '"text", "image", "image_url" or "video"', (part as Part<0, 0>).type);
    }
  }

  #image(source: Image, path: string): Record<string, unknown> {
    this.images.push(present(source, path, "an image"));
    return { type: "image", image: shown(source) };
  }
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
  return Array.isArray(value) ? `a list of ${value.length}` : typeof value;
}
