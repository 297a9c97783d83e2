/** Which tokens may come next: bits by id, made from a state by reading the tree of tokens. */
import type { Matcher, State } from "./matcher.ts";
import type { TokenTrie } from "./token-trie.ts";

/** Masks that are kept for states, the last used ones. One takes an eighth of a byte a token. */
const MOST_KEPT = 256;

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
  readonly #path: (State | null)[];

  constructor(matcher: Matcher, tokens: MaskTokens) {
    this.#matcher = matcher;
    this.#tokens = tokens;
    this.#path = new Array(tokens.trie.deepest + 1).fill(null);
  }

  /** ceil(vocabSize / 32) words; bit i % 32 of word i / 32 is token i's. To be read only. @throws OPTION_INVALID */
  of(state: State): Int32Array {
    const known = this.#kept.get(state);
    if (known) {
      this.#kept.delete(state);
      this.#kept.set(state, known);
      return known;
    }
    const mask = this.#read(state);
    this.#kept.set(state, mask);
    if (this.#kept.size > MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value as State);
    return mask;
  }

  #read(state: State): Int32Array {
    const { trie, vocabSize, endIds, marks } = this.#tokens;
    const { bytes, depths, behind, ids, idsFrom } = trie;
    const matcher = this.#matcher;
    const { classOf } = matcher;
    const path = this.#path;
    const mask = new Int32Array(Math.ceil(vocabSize / 32));
    const allow = (id: number) => {
      mask[id >> 5] = (mask[id >> 5] as number) | (1 << (id & 31));
    };
    matcher.beginWork();
    path[0] = state;
    for (let node = 0; node < bytes.length; ) {
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
    path.fill(null);
    return mask;
  }
}
