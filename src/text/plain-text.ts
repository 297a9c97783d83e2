/**
 * Text that strangers wrote, kept plain: characters of it never become control tokens or placeholders. Before a template
 * renders it, a mark (one character that occurs nowhere else) is put where a token could begin or go on in it; no token is
 * found across a mark, and it is taken out again. What templates do to text, such as to trim it, leaves marks alone.
 */
import { GlimtError } from "../errors.ts";
import type { TemplateMessage } from "./messages.ts";

/** Private use of Unicode: no text means anything by them. */
const FIRST_MARK = 0xe000;
const LAST_MARK = 0xf8ff;

export interface PlainTexts {
  readonly messages: readonly TemplateMessage[];
  readonly tools: readonly object[] | undefined;
  readonly mark: string;
}

/** What a template is given of a chat, with marks. Roles stay as they are. */
export function plainTexts(
  messages: readonly TemplateMessage[],
  tools: readonly object[] | undefined,
  { tokens, template }: { readonly tokens: readonly string[]; readonly template: string },
): PlainTexts {
  requireParts(tokens);
  const mark = unusedMark([...stringsIn([messages, tools]), template, ...tokens]);
  const marker = new Marker(tokens, mark);
  const readsReasoning = template.includes("reasoning_content");
  return {
    messages: messages.map((message, index) => {
      const { role, ...rest } = readsReasoning ? withReasoning(message) : message;
      if (!/^[\p{L}\p{N}_-]+$/u.test(String(role))) {
        throw new GlimtError(
          "INPUT_INVALID",
          `messages[${index}].role is ${JSON.stringify(role)}: with specialTokensInText "text" a role is a word.`,
        );
      }
      return { role, ...(marker.all(rest) as object) };
    }),
    tools: marker.all(tools) as readonly object[] | undefined,
    mark,
  };
}

/** A mark as JSON spells it in ASCII. */
function escaped(mark: string): string {
  return `\\u${mark.charCodeAt(0).toString(16)}`;
}

/** What a template made of marked texts, in which some may have been spelt out. */
export function asMarked(rendered: string, mark: string): string {
  return rendered.replaceAll(escaped(mark), mark);
}

export function withoutMarks(text: string, mark: string | undefined): string {
  return mark === undefined ? text : text.replaceAll(mark, "");
}

/**
 * Templates look for `</think>` to tell an assistant's thinking from its answer. With marks they would not find it, so
 * thinking goes where they look for it first, cut as they cut it.
 */
function withReasoning(message: TemplateMessage): TemplateMessage {
  const { role, content, reasoning_content: given } = message;
  if (role !== "assistant" || given !== undefined || typeof content !== "string") return message;
  const pieces = content.split("</think>");
  if (pieces.length === 1) return message;
  const thinking = (pieces[0] as string).replace(/\n+$/, "").split("<think>").at(-1) as string;
  return {
    ...message,
    content: (pieces.at(-1) as string).replace(/^\n+/, ""),
    reasoning_content: thinking.replace(/^\n+/, ""),
  };
}

/** A character alone has no inside to be parted in. */
function requireParts(tokens: readonly string[]): void {
  const single = tokens.find((token) => [...token].length === 1);
  if (single === undefined) return;
  throw new GlimtError(
    "OPTION_INVALID",
    `specialTokensInText: the tokenizer has an added token of one character, ${JSON.stringify(single)}, which text can not be kept from.`,
  );
}

class Marker {
  readonly #tokens: readonly string[];
  readonly #mark: string;
  readonly #beginnings: RegExp;

  constructor(tokens: readonly string[], mark: string) {
    this.#tokens = tokens;
    this.#mark = mark;
    const first = new Set(tokens.map((token) => String.fromCodePoint(token.codePointAt(0) as number)));
    const escaped = [...first].map((character) => character.replace(/[\\\]^-]/, "\\$&"));
    this.#beginnings = new RegExp(`[${escaped.join("")}]`, "gu");
  }

  #text(text: string): string {
    return this.#goesOn(text.trim()) ? this.#mark + this.#parted(text) : this.#parted(text);
  }

  /** With a mark behind every character that begins a token, so that none begins in the text. */
  #parted(text: string): string {
    return text.replace(this.#beginnings, (character) => character + this.#mark);
  }

  /** Strings of plain JSON, keys included, the kinds of parts and calls apart. */
  all(value: unknown): unknown {
    if (typeof value === "string") return this.#text(value);
    if (Array.isArray(value)) return value.map((item) => this.all(item));
    if (value instanceof Map) return new Map(this.#entries(value));
    // Exact numbers of JSON are objects of a class.
    return isPlainObject(value) ? Object.fromEntries(this.#entries(Object.entries(value))) : value;
  }

  #entries(entries: Iterable<[unknown, unknown]>): [string, unknown][] {
    return Array.from(entries, ([key, item]) => [
      // Names that templates look for stay as they are.
      this.#parted(String(key)),
      key === "type" ? item : this.all(item),
    ]);
  }

  /** Whether a token that begins before the text could go on in it. */
  #goesOn(text: string): boolean {
    return this.#tokens.some((token) => {
      for (let at = 1; at < token.length; at++) {
        const rest = token.slice(at);
        if (text.startsWith(rest) || (text !== "" && rest.startsWith(text))) return true;
      }
      return false;
    });
  }
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function* stringsIn(value: unknown): Generator<string> {
  if (typeof value === "string") yield value;
  if (typeof value !== "object" || value === null) return;
  if (value instanceof Map) for (const entry of value) yield* stringsIn(entry);
  else if (Array.isArray(value)) for (const item of value) yield* stringsIn(item);
  else for (const entry of Object.entries(value)) yield* stringsIn(entry);
}

function unusedMark(texts: readonly string[]): string {
  const used = new Set<string>();
  for (const text of texts)
    for (const [found] of text.matchAll(/[\ue000-\uf8ff]|\\u[ef][0-9a-f]{3}/g)) used.add(found);
  for (let code = FIRST_MARK; code <= LAST_MARK; code++) {
    const mark = String.fromCharCode(code);
    if (!used.has(mark) && !used.has(escaped(mark))) return mark;
  }
  throw new GlimtError(
    "INPUT_INVALID",
    'specialTokensInText: the messages use every private character of Unicode; "text" needs one.',
  );
}
