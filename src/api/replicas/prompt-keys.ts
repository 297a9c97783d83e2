/**
 * What tells which replica has computed a prompt's beginning before: a chain of keys, each of all that stands before. They
 * choose a replica and nothing else, so that two prompts of one key cost time alone: of long data some is read.
 */
import type { ProcessOptions } from "../../prompt/process-options.ts";
import type { GenerateOptions } from "../../serving/generation-options.ts";
import type { Prompt } from "../model.ts";

export interface PromptKeys {
  /** Of the prompt's beginnings, from short to long. */
  readonly prefixes: readonly string[];
  /** Of its pictures and videos, whose features are kept by themselves. */
  readonly media: readonly string[];
  /** About how many tokens it has. */
  readonly tokens: number;
}

export const NO_KEYS: PromptKeys = { prefixes: [], media: [], tokens: 0 };

/** Characters of a text that are one link of the chain, and ids of a prompt that is tokens already. */
const TEXT_LINK = 512;
const IDS_LINK = 64;
/** About what they are in tokens. */
const TOKEN_CHARACTERS = 4;
const MEDIA_TOKENS = 1024;
/** Values of long data that are read. */
const SAMPLES = 2048;

const SOURCES = ["image", "image_url", "video", "video_url", "url", "path", "base64"];

type DecidingOptions = Pick<GenerateOptions, "adapters" | "cacheSalt"> &
  Pick<ProcessOptions, "tools" | "enableThinking" | "templateVariables">;

/** What can not be read has no keys; whoever answers says what is wrong with it. */
export function promptKeys(prompt: Prompt, options: DecidingOptions = {}): PromptKeys {
  const chain = new Chain();
  try {
    const { adapters, cacheSalt, tools, enableThinking, templateVariables } = options;
    chain.begin(JSON.stringify([adapters, cacheSalt, tools, enableThinking, templateVariables]));
    if ("inputIds" in prompt) chain.ids(Array.from(prompt.inputIds as ArrayLike<number>));
    else if (!("promptEmbeddings" in prompt)) for (const message of prompt) chain.message(message);
    return chain;
  } catch {
    return NO_KEYS;
  }
}

class Chain implements PromptKeys {
  readonly prefixes: string[] = [];
  readonly media: string[] = [];
  tokens = 0;
  #before = "";

  /** What belongs to every beginning; by itself it is none. */
  begin(text: string): void {
    this.#before = hashText(text);
  }

  ids(ids: readonly number[]): void {
    for (let at = 0; at < ids.length; at += IDS_LINK) this.#link(ids.slice(at, at + IDS_LINK).join(" "));
    this.tokens += ids.length;
  }

  message(message: object): void {
    const { role, content, ...others } = message as Readonly<Record<string, unknown>>;
    this.#before = hashText(`${this.#before} ${role} ${JSON.stringify(others)}`);
    if (typeof content === "string") this.#text(content);
    else if (Array.isArray(content)) for (const part of content) this.#part(part);
    // The end of a turn: what is asked next begins with it.
    this.#link("end");
  }

  #part(part: Readonly<Record<string, unknown>>): void {
    if (typeof part.text === "string") {
      this.#text(part.text);
      return;
    }
    const source = SOURCES.map((name) => part[name]).find((value) => value !== undefined && value !== null);
    const key = part.uuid === undefined ? sourceKey(source) : `uuid ${part.uuid}`;
    this.media.push(key);
    this.tokens += MEDIA_TOKENS;
    this.#link(key);
  }

  #text(text: string): void {
    for (let at = 0; at < text.length; at += TEXT_LINK) this.#link(text.slice(at, at + TEXT_LINK));
    this.tokens += Math.ceil(text.length / TOKEN_CHARACTERS);
  }

  #link(what: string): void {
    this.#before = hashText(`${this.#before} ${what}`);
    this.prefixes.push(this.#before);
  }
}

function sourceKey(source: unknown): string {
  if (typeof source === "string") return hashText(source);
  if (source instanceof URL) return hashText(source.href);
  if (typeof source !== "object" || source === null) return String(source);
  const held = source as Readonly<Record<string, unknown>>;
  // Addresses as OpenAI writes them, features, and pixels.
  for (const name of ["url", "embeddings", "data"]) if (held[name]) return sourceKey(held[name]);
  if (ArrayBuffer.isView(source)) {
    return hashValues(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
  }
  if (source instanceof ArrayBuffer) return hashValues(new Uint8Array(source));
  return `object ${identityOf(source)}`;
}

const identities = new WeakMap<object, number>();
let objects = 0;

/** Of what is not read here, such as a Blob. */
function identityOf(object: object): number {
  const known = identities.get(object);
  if (known !== undefined) return known;
  objects += 1;
  identities.set(object, objects);
  return objects;
}

function hashText(text: string): string {
  return hash(text.length, (at) => text.charCodeAt(at));
}

function hashValues(values: Uint8Array): string {
  return hash(values.length, (at) => values[at] as number);
}

/** FNV-1a of 32 bits, twice from other starts; beyond some values evenly spaced ones are taken. */
function hash(length: number, valueAt: (at: number) => number): string {
  let [low, high] = [0x811c9dc5, 0x01234567];
  const step = Math.max(1, length / SAMPLES);
  for (let place = 0; place < length; place += step) {
    const value = valueAt(Math.floor(place));
    low = Math.imul(low ^ value, 0x01000193);
    high = Math.imul(high ^ value, 0x01000193);
  }
  return `${(low >>> 0).toString(36)}${(high >>> 0).toString(36)}-${length}`;
}
