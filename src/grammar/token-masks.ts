/** Which tokens may come next: bits by id, made from a state by reading the tree of tokens. */
import { turnWhenDue } from "../event-loop.ts";
import type { Matcher, State } from "./matcher.ts";
import type { TokenTrie } from "./token-trie.ts";

/** Masks that are kept for states, the last used ones. One takes an eighth of a byte a token. */
const MOST_KEPT = 256;
/** Nodes of the tree that are looked at between two looks at the clock: a millisecond, or some. */
const NODES_A_PIECE = 4096;

export interface MaskTokens {
  readonly trie: TokenTrie;
  /** Ids are below this: the width of the logits. */
  readonly vocabSize: number;
  /** Tokens that end an answer, allowed where the text is complete. */
  readonly endIds: readonly number[];
  /** Tokens that are no text, with the byte that stands for each in automata. */
  readonly marks: ReadonlyMap<number, number>;
}

export class TokenMasks {
  readonly #matcher: Matcher;
  readonly #tokens: MaskTokens;
  readonly #kept = new Map<State, Int32Array>();
  /** Masks that are under way in pieces. */
  readonly #making = new Map<State, Promise<void>>();

  constructor(matcher: Matcher, tokens: MaskTokens) {
    this.#matcher = matcher;
    this.#tokens = tokens;
  }

  /** ceil(vocabSize / 32) words; bit i % 32 of word i / 32 is token i's. To be read only. @throws OPTION_INVALID */
  of(state: State): Int32Array {
    const known = this.#kept.get(state);
    if (known) {
      this.#kept.delete(state);
      this.#kept.set(state, known);
      return known;
    }
    const reading = this.#read(state);
    for (;;) {
      const { done, value } = reading.next();
      if (done) return this.#keep(state, value);
    }
  }

  /** Makes the mask of a state for `of` to find, and lets other tasks run meanwhile. @throws OPTION_INVALID */
  async prepare(state: State): Promise<void> {
    if (this.#kept.has(state)) return;
    const making = this.#making.get(state) ?? this.#make(state);
    this.#making.set(state, making);
    await making.finally(() => this.#making.delete(state));
  }

  async #make(state: State): Promise<void> {
    const reading = this.#read(state);
    for (;;) {
      const { done, value } = reading.next();
      if (done) {
        this.#keep(state, value);
        return;
      }
      await turnWhenDue();
    }
  }

  #keep(state: State, mask: Int32Array): Int32Array {
    this.#kept.set(state, mask);
    if (this.#kept.size > MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value as State);
    return mask;
  }

  /** In pieces of some nodes each. */
  *#read(state: State): Generator<void, Int32Array, void> {
    const { trie, vocabSize, endIds, marks } = this.#tokens;
    const { bytes, depths, behind, ids, idsFrom } = trie;
    const matcher = this.#matcher;
    const { classOf } = matcher;
    const path: State[] = [state];
    const mask = new Int32Array(Math.ceil(vocabSize / 32));
    const allow = (id: number) => {
      mask[id >> 5] = (mask[id >> 5] as number) | (1 << (id & 31));
    };
    matcher.beginWork();
    for (let node = 0, left = NODES_A_PIECE; node < bytes.length; left--) {
      if (left === 0) {
        left = NODES_A_PIECE;
        const spent = matcher.work;
        yield;
        matcher.beginWork(spent);
      }
      const depth = depths[node] as number;
      const before = path[depth - 1] as State;
      const byte = bytes[node] as number;
      let at = before.next[classOf[byte] as number];
      if (at === undefined) at = matcher.afterByte(before, byte);
      if (at === null) {
        node = behind[node] as number;
        continue;
      }
      path[depth] = at;
      const last = idsFrom[node + 1] as number;
      for (let index = idsFrom[node] as number; index < last; index++) allow(ids[index] as number);
      node++;
    }
    for (const [id, byte] of marks) if (matcher.afterByte(state, byte)) allow(id);
    if (state.isComplete) for (const id of endIds) allow(id);
    return mask;
  }
}
