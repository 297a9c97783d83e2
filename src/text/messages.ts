/**
 * Conversations in the shape of Hugging Face and OpenAI. What a picture or video source is, is not this room's
 * business: the types are generic in it.
 */
import { GlimtError } from "../errors.ts";
import { readList, readOnce, readPlain, shown } from "../given.ts";

/** A text. */
export interface TextPart {
  /** Tells it from pictures and videos. */
  readonly type: "text";
  /** The text. */
  readonly text: string;
}

/** What a part may say about its picture or video. */
export interface MediaName {
  /**
   * Says in place of its bytes which picture or video it is, to what is kept for later: two with the same one, of the same
   * size, are taken for the same. Whoever gives it vouches for that. At most 256 letters.
   */
  readonly uuid?: string | undefined;
}

/** A picture. */
export interface ImagePart<Image> extends MediaName {
  /** Tells it from text and videos. */
  readonly type: "image";
  /** The picture. */
  readonly image: Image;
}

/** OpenAI's spelling of an image. Its `detail` is taken and says nothing: `maxImagePixels` trades detail for time. */
export interface ImageUrlPart<Image> extends MediaName {
  /** Tells it from other parts. */
  readonly type: "image_url";
  /** The picture, mostly by its address. */
  readonly image_url:
    | Image
    | {
        /** The picture. */
        readonly url: Image;
        /** Without effect. */
        readonly detail?: "auto" | "low" | "high" | undefined;
      };
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

/** A video. */
export interface VideoPart<Video, Metadata = object> extends VideoChoices<Metadata>, MediaName {
  /** Tells it from text and pictures. */
  readonly type: "video";
  /** The video. */
  readonly video: Video;
}

/** vLLM's spelling of a video. */
export interface VideoUrlPart<Video, Metadata = object> extends VideoChoices<Metadata>, MediaName {
  /** Tells it from other parts. */
  readonly type: "video_url";
  /** The video, mostly by its address. */
  readonly video_url:
    | Video
    | {
        /** The video. */
        readonly url: Video;
      };
}

/** A part of a message, of whichever pictures and videos. */
export type ContentPart<Image, Video, Metadata = object> =
  | TextPart
  | ImagePart<Image>
  | ImageUrlPart<Image>
  | VideoPart<Video, Metadata>
  | VideoUrlPart<Video, Metadata>;

/** Pictures and videos as model cards on Hugging Face write them: the source under `url`. */
export type LinkedPart<Image, Video, Metadata = object> = LinkedImage<Image> | LinkedVideo<Video, Metadata>;

/** A picture by one of these keys. */
export type LinkedImage<Image> = MediaName & {
  /** Tells it from text and videos. */
  readonly type: "image";
} & (
    | {
        /** Its address. */
        readonly url: Image;
      }
    | {
        /** Its path. */
        readonly path: Image;
      }
    | {
        /** Its file in base64. */
        readonly base64: string;
      }
  );

/** A video by one of these keys. */
export type LinkedVideo<Video, Metadata = object> = MediaName &
  VideoChoices<Metadata> & {
    /** Tells it from text and pictures. */
    readonly type: "video";
  } & (
    | {
        /** Its address. */
        readonly url: Video;
      }
    | {
        /** Its path. */
        readonly path: Video;
      }
  );

/** One that was sent before under this `uuid`: what it was encoded to is kept, so its data may be left out. */
export interface KnownPart {
  /** What it was. */
  readonly type: "image" | "video";
  /** What it was sent under. */
  readonly uuid: string;
}

/** A call of a tool that an assistant made, as OpenAI's API has it. */
export interface ToolCall {
  /** What the tool's answer names it by. */
  readonly id?: string;
  /** There is no other. */
  readonly type?: "function";
  /** What is called, and with what. */
  readonly function: {
    /** Of the tool. */
    readonly name: string;
    /** An object, a Map in its order, or JSON text of an object, as OpenAI's API gives it, of which nothing is lost. */
    readonly arguments: string | Readonly<Record<string, unknown>> | ReadonlyMap<string, unknown>;
  };
}

/** A message, of whichever pictures and videos. */
export interface ChatMessage<Image, Video, Metadata = object> {
  /** Who says it. Templates may know further ones; one that the checkpoint's does not know is refused. */
  readonly role: "system" | "user" | "assistant" | "tool" | (string & {});
  /** Null is for an assistant that only calls tools. */
  readonly content?:
    | string
    | readonly (ContentPart<Image, Video, Metadata> | LinkedPart<Image, Video, Metadata> | KnownPart)[]
    | null;
  /** Earlier thinking, for templates that show it. */
  readonly reasoning_content?: string;
  /** Tools that the assistant called. */
  readonly tool_calls?: readonly ToolCall[];
  /** Of a tool's answer: the call that it is of. */
  readonly tool_call_id?: string;
  /** Of a tool's answer: the tool. */
  readonly name?: string;
}

/** A message as templates see it: plain JSON. */
export type TemplateMessage = Readonly<Record<string, unknown>>;

export interface RequestedImage<Image> extends MediaName {
  /** Undefined where it has a `uuid` alone. */
  readonly source: Image | undefined;
  /** Where it stands, e.g. `messages[1].content[0].image`. */
  readonly path: string;
}

export interface RequestedVideo<Video, Metadata = object> extends MediaName {
  /** Undefined where it has a `uuid` alone. */
  readonly source: Video | undefined;
  readonly path: string;
  readonly choices: VideoChoices<Metadata>;
}

export interface NormalisedChat<Image, Video, Metadata = object> {
  readonly messages: readonly TemplateMessage[];
  /** In the order in which their placeholders appear. */
  readonly images: readonly RequestedImage<Image>[];
  readonly videos: readonly RequestedVideo<Video, Metadata>[];
}

/** Keys of a message that mean the same to all templates; others are taken where the template reads them. */
const MESSAGE_KEYS = ["role", "content", "name", "reasoning_content", "tool_calls", "tool_call_id"];

/** Where a part may hold its source: Hugging Face's spellings, and those of OpenAI and vLLM. */
const SOURCE_KEYS = {
  image: ["image", "url", "path", "base64"],
  image_url: ["image_url"],
  video: ["video", "url", "path"],
  video_url: ["video_url"],
} as const;
const PART_TYPES = ["text", ...Object.keys(SOURCE_KEYS)];
const CHOICE_KEYS = ["metadata", "fps", "sampleFrames", "maxFrames"] as const;

/**
 * Checks a conversation and parts its media from its text. Everything is read once and copied. Content keeps its form
 * (string or parts), since templates ask for it; the answer of a tool is bare text where it is text alone. Of a source
 * only a string is shown: templates test for the key, not for what it holds. A key that is null is not set.
 *
 * @param template its source: keys that it reads may stand in messages and parts
 * @throws INPUT_INVALID naming the place, e.g. `messages[1].content[0].type`.
 */
export function normaliseMessages<Image, Video, Metadata = object>(
  messages: readonly ChatMessage<Image, Video, Metadata>[],
  template = "",
): NormalisedChat<Image, Video, Metadata> {
  const isList = readOnce("messages", () => Array.isArray(messages));
  const list: readonly unknown[] = isList ? readList(messages, "messages") : [];
  if (list.length === 0) throw invalid("messages", "a list of at least one message", messages);
  const chat = new ChatReader<Image, Video, Metadata>(template);
  return {
    messages: list.map((message, index) => chat.message(message, `messages[${index}]`)),
    images: chat.images,
    videos: chat.videos,
  };
}

/** The fields of a message or part that are set, each read once. */
type Fields = Readonly<Record<string, unknown>>;

class ChatReader<Image, Video, Metadata> {
  readonly images: RequestedImage<Image>[] = [];
  readonly videos: RequestedVideo<Video, Metadata>[] = [];
  /** What the template reads by name, as in `message.name` or `item["name"]`. */
  readonly #templateKeys: ReadonlySet<string>;

  constructor(template: string) {
    const reads = /(?:\.|\[\s*["']|\bget\(\s*["'])([A-Za-z_]\w*)/g;
    this.#templateKeys = new Set(Array.from(template.matchAll(reads), ([, key]) => key as string));
  }

  message(given: unknown, path: string): TemplateMessage {
    const fields = fieldsOf(given, path, "a message object");
    const { role, content: _, tool_calls: calls, ...others } = fields;
    if (typeof role !== "string" || role === "") throw invalid(`${path}.role`, "a role", role);
    for (const key of Object.keys(others)) this.#checkKey(key, MESSAGE_KEYS, path, "A message");
    // In the order given, which templates may print.
    return {
      ...fields,
      ...(readPlain(others, path) as Fields),
      content: this.#content(fields, path),
      ...(calls !== undefined && { tool_calls: toolCalls(calls, path) }),
    };
  }

  #content({ role, content, tool_calls: calls }: Fields, message: string): unknown {
    const path = `${message}.content`;
    if (typeof content === "string") return content;
    if (content === undefined && calls !== undefined) return null;
    if (role === "tool" && isObject(content)) return this.#toolAnswer([content], path);
    if (!isList(content, path)) throw invalid(path, "a string or a list of parts", content);
    const parts: readonly unknown[] = readList(content as unknown[], path);
    return role === "tool"
      ? this.#toolAnswer(parts, path)
      : parts.map((part, index) => this.#part(part, `${path}[${index}]`));
  }

  /** Texts are one text. `{ output }` is its text alone, or stays where the template reads it. */
  #toolAnswer(parts: readonly unknown[], path: string): unknown {
    const items = parts.map((part, index) => {
      const at = `${path}[${index}]`;
      if (typeof part === "string") return { type: "text", text: part };
      const fields = fieldsOf(part, at, "a part object");
      if (fields.type !== undefined || fields.output === undefined) return this.#part(fields, at);
      for (const key of Object.keys(fields))
        this.#checkKey(key, ["output", "name"], at, "An answer of a tool");
      const plain = readPlain(fields, at) as Fields;
      const isText =
        typeof plain.output === "string" && !(parts.length > 1 && this.#templateKeys.has("output"));
      return isText ? { type: "text", text: plain.output } : plain;
    });
    const isText = items.every((item) => item.type === "text");
    return isText && items.length > 0 ? items.map(({ text }) => text).join("") : items;
  }

  #part(given: unknown, path: string): Record<string, unknown> {
    const fields = fieldsOf(given, path, "a part object");
    const { type } = fields;
    if (type === "text") {
      if (typeof fields.text !== "string") throw invalid(`${path}.text`, "a string", fields.text);
      return { ...fields, ...this.#others(fields, ["text"], path) };
    }
    if (type === "image" || type === "image_url") {
      const { key, source } = this.#source<Image>(fields, SOURCE_KEYS[type], path, "an image");
      this.images.push({ source, path: `${path}.${key}`, ...nameOf(fields, path) });
      const known = [...SOURCE_KEYS[type], "uuid"];
      return { ...this.#others(fields, known, path), type: "image", image: sourceText(source) };
    }
    if (type === "video" || type === "video_url") {
      const { key, source } = this.#source<Video>(fields, SOURCE_KEYS[type], path, "a video");
      const { metadata, fps, sampleFrames, maxFrames } = fields as VideoChoices<Metadata>;
      const choices = {
        metadata: readPlain(metadata, `${path}.metadata`) as Metadata | undefined,
        fps,
        sampleFrames,
        maxFrames,
      };
      checkVideoChoices(choices, (name) => `${path}.${name}`);
      const told = CHOICE_KEYS.find((name) => fields[name] !== undefined);
      if (source === undefined && told) {
        throw new GlimtError(
          "INPUT_INVALID",
          `${path}.${told} says how a video is read, and there is none: its uuid stands for frames that were read before.`,
        );
      }
      this.videos.push({ source, path: `${path}.${key}`, choices, ...nameOf(fields, path) });
      const known = [...SOURCE_KEYS[type], ...CHOICE_KEYS, "uuid"];
      return { ...this.#others(fields, known, path), type: "video", video: sourceText(source) };
    }
    throw invalid(`${path}.type`, oneOf(PART_TYPES), type);
  }

  /** Fields that the template reads beside those that are known. */
  #others(fields: Fields, known: readonly string[], path: string): Fields {
    const others = Object.entries(fields).filter(([key]) => key !== "type" && !known.includes(key));
    for (const [key] of others)
      this.#checkKey(key, ["type", ...known], path, `A part of type "${fields.type}"`);
    return readPlain(Object.fromEntries(others), path) as Fields;
  }

  #source<Source>(
    fields: Fields,
    keys: readonly string[],
    path: string,
    expected: string,
  ): { readonly key: string; readonly source: Source | undefined } {
    const [key = keys[0] as string, second] = keys.filter((name) => fields[name] !== undefined);
    if (second !== undefined) {
      throw new GlimtError("INPUT_INVALID", `${path} has both ${key} and ${second}; give one.`);
    }
    const value = fields[key];
    const source = isUrlHolder(value) ? this.#heldUrl(value, `${path}.${key}`, expected) : value;
    if (source === undefined && fields.uuid !== undefined) return { key, source };
    if (source === undefined || source === "") throw invalid(`${path}.${key}`, expected, source);
    return { key, source: source as Source };
  }

  #heldUrl(given: unknown, path: string, expected: string): unknown {
    const fields = fieldsOf(given, path, expected);
    for (const key of Object.keys(fields)) this.#checkKey(key, ["url", "detail"], path, "An address");
    return fields.url;
  }

  #checkKey(key: string, known: readonly string[], path: string, what: string): void {
    if (known.includes(key)) return;
    const isMedia = /^(image|video|audio)/.test(key);
    if (!isMedia && this.#templateKeys.has(key)) return;
    const advice = isMedia ? " Pictures and videos are parts of content." : "";
    throw new GlimtError(
      "INPUT_INVALID",
      `${path}.${key}: ${what} has ${known.join(", ")}, and what the chat template reads.${advice}`,
    );
  }
}

/** OpenAI's calls, or their functions alone. */
function toolCalls(given: unknown, message: string): unknown {
  const path = `${message}.tool_calls`;
  if (!isList(given, path)) throw invalid(path, "a list of calls", given);
  return readList(given as unknown[], path).map((item, index) => {
    const at = `${path}[${index}]`;
    const call = readPlain(fieldsOf(item, at, "a call"), at) as Fields;
    const held = call.function as Fields | undefined;
    const [called, place] = held === undefined ? [call, at] : [held, `${at}.function`];
    if (!isObject(called)) throw invalid(place, "an object with a name", called);
    if (typeof called.name !== "string")
      throw invalid(`${place}.name`, "the name of a function", called.name);
    return call;
  });
}

/** What is set of an object: each key once, null and undefined left out. */
function fieldsOf(given: unknown, path: string, expected: string): Fields {
  if (typeof given !== "object" || given === null || isList(given, path))
    throw invalid(path, expected, given);
  return readOnce(path, () => {
    const fields: Record<string, unknown> = {};
    for (const key of Object.keys(given)) {
      const value: unknown = (given as Fields)[key];
      if (value !== undefined && value !== null) fields[key] = value;
    }
    return fields;
  });
}

function isList(value: unknown, path: string): value is readonly unknown[] {
  return readOnce(path, () => Array.isArray(value));
}

function oneOf(names: readonly string[]): string {
  const quoted = names.map((name) => JSON.stringify(name));
  return `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
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

function nameOf({ uuid }: Fields, path: string): MediaName {
  return uuid === undefined ? {} : { uuid: checkedUuid(uuid, `${path}.uuid`) };
}

const LONGEST_UUID = 256;

/** @throws INPUT_INVALID */
export function checkedUuid(uuid: unknown, path: string): string {
  if (typeof uuid === "string" && uuid.length > 0 && uuid.length <= LONGEST_UUID) return uuid;
  throw invalid(path, `a text of 1..${LONGEST_UUID} letters`, uuid);
}

/** `{ url }` is a plain object; a URL or a Blob is a source itself. */
function isUrlHolder(value: unknown): boolean {
  return readOnce(
    "a source",
    () => isObject(value) && Object.getPrototypeOf(value) === Object.prototype && "url" in value,
  );
}

function sourceText(source: unknown): string {
  return typeof source === "string" ? source : "";
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !isList(value, "an object");
}

function invalid(path: string, expected: string, found: unknown): GlimtError {
  return new GlimtError(
    "INPUT_INVALID",
    `${path}: expected ${expected}, found ${found === undefined || found === null ? "nothing" : shown(found)}.`,
  );
}
