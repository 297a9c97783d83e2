/** A prompt for people: its text with control tokens marked, and its tokens with their ids; runs of media are folded. */

import { escaped, grouped } from "./markup.ts";

export interface PromptToken {
  readonly id: number;
  /** What it adds to the text, in UTF-8; may be a part of a character. */
  readonly bytes: Uint8Array;
  /** A control token, such as <|user|>. */
  readonly isSpecial: boolean;
  /** Whether it stands for a feature of a picture or video. */
  readonly isMedia: boolean;
}

/** Items of a list: browsers lay out many more slowly. */
const MOST_LISTED = 4000;

/** Tokens of a prompt as one reads them. */
type Piece =
  | { readonly kind: "text"; readonly tokens: readonly PromptToken[] }
  | { readonly kind: "special"; readonly token: PromptToken }
  | { readonly kind: "media"; readonly token: PromptToken; readonly count: number };

/** A `<pre>` with the text as the model reads it. */
export function promptHtml(tokens: readonly PromptToken[]): string {
  const text = pieces(tokens).map((piece) => {
    // By itself: marks that turn the direction of text would turn what follows, too.
    if (piece.kind === "text") return `<bdi>${escaped(textOf(piece.tokens))}</bdi>`;
    const name = escaped(textOf([piece.token]));
    if (piece.kind === "special") return `<span class="glimt-special">${name}</span>`;
    return `<span class="glimt-folded">${folded(name, piece.count)}</span>`;
  });
  return `<pre class="glimt-prompt" tabindex="0">${text.join("")}</pre>`;
}

/** A list with the text and id of each token; of very many the rest is counted. */
export function tokensHtml(tokens: readonly PromptToken[]): string {
  const items = pieces(tokens).flatMap((piece) => {
    if (piece.kind === "text") return piece.tokens.map((token) => item("", tokenHtml(token), token.id));
    const name = escaped(textOf([piece.token]));
    return piece.kind === "special"
      ? [item("glimt-special", name, piece.token.id)]
      : [item("glimt-folded", folded(name, piece.count), piece.token.id)];
  });
  const left = items.length - MOST_LISTED;
  const more = left > 0 ? [`<li>and ${grouped(left)} more</li>`] : [];
  return `<ol class="glimt-tokens">${[...items.slice(0, MOST_LISTED), ...more].join("")}</ol>`;
}

function item(name: string, text: string, id: number): string {
  return `<li${name === "" ? "" : ` class="${name}"`}><span>${text}</span><small>${id}</small></li>`;
}

function folded(name: string, count: number): string {
  return `${name} × ${grouped(count)}`;
}

function pieces(tokens: readonly PromptToken[]): Piece[] {
  const found: Piece[] = [];
  let start = 0;
  while (start < tokens.length) {
    const first = tokens[start] as PromptToken;
    const kind = kindOf(first);
    let end = start + 1;
    if (kind !== "special") {
      while (end < tokens.length && kindOf(tokens[end] as PromptToken) === kind) end += 1;
    }
    if (kind === "text") found.push({ kind, tokens: tokens.slice(start, end) });
    else if (kind === "special") found.push({ kind, token: first });
    else found.push({ kind, token: first, count: end - start });
    start = end;
  }
  return found;
}

function kindOf({ isMedia, isSpecial }: PromptToken): Piece["kind"] {
  return isMedia ? "media" : isSpecial ? "special" : "text";
}

function textOf(tokens: readonly PromptToken[]): string {
  const bytes = new Uint8Array(tokens.reduce((sum, { bytes }) => sum + bytes.length, 0));
  let at = 0;
  for (const token of tokens) {
    bytes.set(token.bytes, at);
    at += token.bytes.length;
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/** With spaces and line ends that are seen; the bytes of what is no text by itself. */
export function tokenHtml({ bytes }: Pick<PromptToken, "bytes">): string {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return escaped(text.replace(/ /g, "·").replace(/\n/g, "⏎").replace(/\t/g, "⇥"));
  } catch {
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  }
}
