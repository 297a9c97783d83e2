/** Tokens that are found in text as a whole before anything else: special tokens, and others that were added. */
import { namedTokenValues } from "../special-tokens.ts";

export interface AddedToken {
  readonly content: string;
  readonly id: number;
  /** Marked as special where it is listed. */
  readonly special: boolean;
  /** White space before or behind it becomes part of it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** It is no token inside a word. */
  readonly singleWord: boolean;
  /** It is looked for in normalised text. */
  readonly normalized: boolean;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * As transformers has them after loading: those of tokenizer.json, in place of them those that tokenizer_config.json
 * lists otherwise, and tokens it names that are in neither. A token that the vocabulary has keeps its id there.
 */
export function addedTokens(
  tokenizer: Json,
  config: Json,
  vocabulary: ReadonlyMap<string, number>,
): AddedToken[] {
  const tokens = new Map<string, AddedToken>();
  let next = vocabulary.size;
  const add = (entry: unknown, isSpecial: boolean) => {
    const json = (typeof entry === "string" ? { content: entry } : entry) as Json | null;
    const content = json?.content;
    if (typeof content !== "string" || content === "") return;
    // An id that a file gives is not looked at there either.
    const id = tokens.get(content)?.id ?? vocabulary.get(content) ?? next;
    next = Math.max(next, id + 1);
    tokens.set(content, {
      content,
      id,
      special: json?.special === true || isSpecial,
      lstrip: json?.lstrip === true,
      rstrip: json?.rstrip === true,
      singleWord: json?.single_word === true,
      normalized: json?.normalized === true,
    });
  };
  if (Array.isArray(tokenizer.added_tokens)) for (const entry of tokenizer.added_tokens) add(entry, false);
  const listed = (config.added_tokens_decoder ?? {}) as Json;
  for (const index of Object.keys(listed).sort((a, b) => Number(a) - Number(b))) add(listed[index], false);
  for (const entry of namedTokenValues(config)) {
    const content = typeof entry === "string" ? entry : (entry as { content?: unknown } | null)?.content;
    if (!tokens.has(String(content))) add(entry, true);
  }
  return [...tokens.values()];
}

/** Text between tokens, or the id of one. */
export type Segment = string | number;

interface Node {
  readonly children: Map<number, Node>;
  token: AddedToken | null;
}

const WORD = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]";
const ENDS_WITH_WORD = new RegExp(`${WORD}$`, "u");
const STARTS_WITH_WORD = new RegExp(`^${WORD}`, "u");
const SPACE = /\p{White_Space}/u;

/** Finds tokens in text: the leftmost, of those that begin together the longest. */
export class TokenFinder {
  readonly #root: Node = { children: new Map(), token: null };
  readonly #isEmpty: boolean;

  constructor(tokens: readonly (readonly [content: string, token: AddedToken])[]) {
    this.#isEmpty = tokens.length === 0;
    for (const [content, token] of tokens) {
      let node = this.#root;
      for (let at = 0; at < content.length; at++) {
        const unit = content.charCodeAt(at);
        let child = node.children.get(unit);
        if (!child) {
          child = { children: new Map(), token: null };
          node.children.set(unit, child);
        }
        node = child;
      }
      node.token = token;
    }
  }

  *split(text: string): Generator<Segment> {
    let rest = 0;
    for (let at = 0; at < text.length && !this.#isEmpty; ) {
      const found = this.#at(text, at);
      if (!found) {
        at++;
        continue;
      }
      const { token, end: behind } = found;
      let [start, end] = [at, behind];
      at = behind;
      if (token.singleWord && isInsideWord(text, start, end)) continue;
      if (token.lstrip) while (start > rest && SPACE.test(text.charAt(start - 1))) start--;
      if (token.rstrip) while (end < text.length && SPACE.test(text.charAt(end))) end++;
      if (start > rest) yield text.slice(rest, start);
      yield token.id;
      rest = end;
    }
    if (rest < text.length) yield text.slice(rest);
  }

  #at(text: string, start: number): { readonly token: AddedToken; readonly end: number } | null {
    let found: { token: AddedToken; end: number } | null = null;
    let node: Node | undefined = this.#root;
    for (let at = start; at < text.length; at++) {
      node = node.children.get(text.charCodeAt(at));
      if (!node) break;
      if (node.token) found = { token: node.token, end: at + 1 };
    }
    return found;
  }
}

function isInsideWord(text: string, start: number, end: number): boolean {
  return (
    ENDS_WITH_WORD.test(text.slice(Math.max(0, start - 2), start)) ||
    STARTS_WITH_WORD.test(text.slice(end, end + 2))
  );
}
