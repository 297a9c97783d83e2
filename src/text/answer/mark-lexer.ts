/**
 * Finds the marks in an answer's text. Text may become certain long after its token (a stop string holds it back) and the
 * rest of it never, so tokens say where their marks stand, and a mark counts when the text has come so far.
 */
import { IncrementalDetokenizer } from "../detokenizer.ts";
import type { Tokenizer } from "../tokenizer.ts";
import type { MarkToken } from "./markup.ts";

/** Text, or a mark. `text` of all pieces is what was pushed; `said` is what there is to read of it. */
export interface LexedPiece {
  readonly text: string;
  readonly said: string;
  readonly token: MarkToken | null;
}

interface PlacedMark {
  readonly token: MarkToken;
  /** In the text of all tokens. */
  readonly start: number;
  readonly end: number;
}

export class MarkLexer {
  readonly #marks: ReadonlyMap<number, MarkToken>;
  readonly #detokenizer: IncrementalDetokenizer;
  /** Those that the text has not come to, the first of them at `#next`. */
  readonly #placed: PlacedMark[] = [];
  #next = 0;
  /** Length of the text of all tokens. */
  #length = 0;
  /** Where the text begins that is not lexed, and that text: the beginning of a mark. */
  #at = 0;
  #held = "";

  constructor(tokenizer: Pick<Tokenizer, "bytesOf" | "isSpecial">, marks: ReadonlyMap<number, MarkToken>) {
    this.#marks = marks;
    this.#detokenizer = new IncrementalDetokenizer(tokenizer);
  }

  /** @param text what became certain with these tokens */
  push(tokens: readonly number[], text: string): LexedPiece[] {
    for (const id of tokens) this.#place(id);
    const pieces: LexedPiece[] = [];
    let rest = text;
    while (this.#next < this.#placed.length) {
      const { token, start, end } = this.#placed[this.#next] as PlacedMark;
      const before = rest.slice(0, Math.max(0, start - this.#at));
      if (before !== "") {
        pieces.push({ text: before, said: before, token: null });
        this.#at += before.length;
        rest = rest.slice(before.length);
      }
      const missing = end - this.#at - this.#held.length;
      if (this.#at < start || missing > rest.length) break;
      pieces.push({ text: rest.slice(0, missing), said: this.#held + rest.slice(0, missing), token });
      rest = rest.slice(missing);
      this.#at = end;
      this.#held = "";
      this.#next++;
    }
    if (rest === "") return pieces;
    if (this.#next === this.#placed.length) {
      this.#at += rest.length;
      return [...pieces, { text: rest, said: rest, token: null }];
    }
    this.#held += rest;
    return [...pieces, { text: rest, said: "", token: null }];
  }

  /** The text ended: a mark of which there is only the beginning is none. */
  end(): LexedPiece[] {
    const held = this.#held;
    this.#held = "";
    return held === "" ? [] : [{ text: "", said: held, token: null }];
  }

  #place(id: number): void {
    this.#length += this.#detokenizer.push(id).length;
    const token = this.#marks.get(id);
    if (token) this.#placed.push({ token, start: this.#length - token.text.length, end: this.#length });
  }
}
