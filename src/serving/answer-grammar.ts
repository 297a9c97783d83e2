/** Which tokens an answer may go on with where it is to be of a grammar: behind its thinking, up to its end. */
import { GlimtError } from "../errors.ts";
import type { CompiledGrammar } from "../grammar/compiled-grammars.ts";
import type { State } from "../grammar/matcher.ts";
import { maskWords } from "../models/decoder.ts";
import type { ThinkingTokens } from "./thinking.ts";

export interface AnswerGrammarParts {
  readonly grammar: CompiledGrammar;
  readonly thinking: ThinkingTokens;
  /** Tokens that end the answer. */
  readonly endIds: readonly number[];
  /** Words of a mask are of so many tokens. */
  readonly vocabSize: number;
  readonly prompt: readonly number[];
}

/** Where an answer is. */
interface Place {
  readonly isThinking: boolean;
  /** Nothing was answered yet, and thinking may begin. */
  readonly mayThink: boolean;
  /** Null behind the token that ended it. */
  readonly state: State | null;
}

export class AnswerGrammar {
  readonly #grammar: CompiledGrammar;
  readonly #thinking: ThinkingTokens;
  readonly #endIds: ReadonlySet<number>;
  readonly #vocabSize: number;
  #place: Place;
  #thinkingMask: Int32Array | null = null;

  constructor({ grammar, thinking, endIds, vocabSize, prompt }: AnswerGrammarParts) {
    this.#grammar = grammar;
    this.#thinking = thinking;
    this.#endIds = new Set(endIds);
    this.#vocabSize = vocabSize;
    const isThinking = thinking.isOpenBehind(prompt);
    this.#place = {
      isThinking,
      mayThink: !isThinking && !thinking.isClosedBehind(prompt),
      state: grammar.matcher.start,
    };
  }

  /**
   * Of the next token and of those behind each draft, if the drafts before are what is chosen: bit t % 32 of word t / 32
   * is set where token t may come. Null, which allows all, behind a draft that may not. Asking changes nothing.
   *
   * @throws OPTION_INVALID for a grammar with so many ways to read an answer that it takes too long
   */
  masks(drafts: readonly number[]): (Int32Array | null)[] {
    return this.#places(drafts).map((place) => place && this.#mask(place));
  }

  /**
   * Makes what `masks` gives for these drafts, and lets other tasks run meanwhile.
   *
   * @returns how many of them it is made for: what takes too long behind a guess is no error, for without it nobody would ask.
   * @throws what `masks` does without drafts
   */
  async prepare(drafts: readonly number[]): Promise<number> {
    for (const [guesses, place] of this.#places(drafts).entries()) {
      if (!place?.state || place.isThinking) continue;
      try {
        await this.#grammar.masks.prepare(place.state);
      } catch (error) {
        if (guesses === 0 || !(error instanceof GlimtError)) throw error;
        return guesses - 1;
      }
    }
    return drafts.length;
  }

  /** Here and behind each draft; null behind one that may not come. */
  #places(drafts: readonly number[]): (Place | null)[] {
    const places: (Place | null)[] = [this.#place];
    for (const draft of drafts) {
      const place: Place | null = places.at(-1) ?? null;
      places.push(place && this.#guessed(place, draft));
    }
    return places;
  }

  /** Those up to the first that may not come, or that it takes too long to follow: none behind it can be right. */
  allowedOf(drafts: readonly number[]): readonly number[] {
    let place: Place | null = this.#place;
    const wrong = drafts.findIndex((draft) => {
      place = place && this.#guessed(place, draft);
      return !place?.state;
    });
    return wrong < 0 ? drafts : drafts.slice(0, wrong);
  }

  /** The answer goes on with it. */
  accept(token: number): void {
    const place = this.#after(this.#place, token);
    if (!place) throw new Error(`token ${token} was chosen, which the grammar does not allow`);
    const { matcher } = this.#grammar;
    this.#place = { ...place, state: place.state && matcher.renewed(place.state) };
  }

  #mask({ isThinking, mayThink, state }: Place): Int32Array | null {
    if (!state) return null;
    if (isThinking) {
      this.#thinkingMask ??= this.#allButEnds();
      return this.#thinkingMask;
    }
    const mask = this.#grammar.masks.of(state);
    const { open } = this.#thinking;
    if (!mayThink || open === null) return mask;
    const more = mask.slice();
    more[open >> 5] = (more[open >> 5] as number) | (1 << (open & 31));
    return more;
  }

  /** Null behind a guess that may not come, or that it takes too long to follow. */
  #guessed(place: Place, draft: number): Place | null {
    try {
      return this.#after(place, draft);
    } catch (error) {
      if (error instanceof GlimtError) return null;
      throw error;
    }
  }

  #after({ isThinking, mayThink, state }: Place, token: number): Place | null {
    if (!state) return { isThinking, mayThink, state };
    if (isThinking) return { isThinking: this.#thinking.isOpenAfter(token, true), mayThink: false, state };
    if (mayThink && token === this.#thinking.open) return { isThinking: true, mayThink: false, state };
    if (this.#endIds.has(token))
      return state.isComplete ? { isThinking, mayThink: false, state: null } : null;
    const bytes = this.#grammar.bytesOf(token);
    if (!bytes) return null;
    this.#grammar.matcher.beginWork();
    const next = this.#grammar.matcher.afterBytes(state, bytes);
    return next && { isThinking, mayThink: false, state: next };
  }

  /** Thinking ends with </think> alone, or the answer would be none. */
  #allButEnds(): Int32Array {
    const mask = new Int32Array(maskWords(this.#vocabSize)).fill(-1);
    const { close } = this.#thinking;
    for (let token = 0; token < this.#vocabSize; token++) {
      const ends = this.#endIds.has(token) || !this.#thinking.isOpenAfter(token, true);
      if (ends && token !== close) mask[token >> 5] = (mask[token >> 5] as number) & ~(1 << (token & 31));
    }
    return mask;
  }
}
