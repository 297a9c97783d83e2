/**
 * Drafts by looking back: the longest end of what was said that was said before, in the prompt or in the answer, and what
 * followed it then. Pages repeat themselves: tables, lists, the question's own words.
 *
 * The index is a suffix automaton (Blumer et al. 1985): a state is a set of strings that end at the same places, its link
 * the longest shorter string that ends at more of them. So the link of the state of the whole text is the longest end of it
 * that was there before. A token costs O(1) amortised, and so does the question.
 */

/** A match of one token says nothing. */
const SHORTEST_MATCH = 2;

export class PromptLookup {
  readonly #tokens: number[] = [];
  /** Of each state: how long its longest string is, its link, and where its strings end first. */
  readonly #length: number[] = [0];
  readonly #link: number[] = [-1];
  readonly #firstEnd: number[] = [-1];
  /** State that a token leads to: the first such token of a state beside the others, for most states have one. */
  readonly #token: number[] = [-1];
  readonly #next: number[] = [-1];
  readonly #others = new Map<number, Map<number, number>>();
  #last = 0;

  constructor(tokens: Iterable<number>) {
    for (const token of tokens) this.push(token);
  }

  push(token: number): void {
    this.#tokens.push(token);
    const whole = this.#addState(this.#tokens.length, this.#tokens.length - 1);
    let state = this.#last;
    let target = -1;
    while (state >= 0) {
      target = this.#follow(state, token);
      if (target >= 0) break;
      this.#lead(state, token, whole);
      state = this.#link[state] as number;
    }
    this.#link[whole] = state < 0 ? 0 : this.#exactly(state, token, target);
    this.#last = whole;
  }

  /** At most `most` tokens, and no more than what was said before is alike: a longer match is trusted further. */
  drafts(most: number): readonly number[] {
    const match = this.#link[this.#last] as number;
    if (match <= 0) return [];
    const length = this.#length[match] as number;
    if (length < SHORTEST_MATCH) return [];
    const start = (this.#firstEnd[match] as number) + 1;
    const drafts = this.#tokens.slice(start, start + Math.min(most, length));
    // What goes round goes on: a match that reaches the end is followed by the drafts themselves.
    while (drafts.length < Math.min(most, length)) {
      drafts.push(drafts[start + drafts.length - this.#tokens.length] as number);
    }
    return drafts;
  }

  /** The state of the longest string of `state` with `token` behind it, which leads to `target`: itself, or split off it. */
  #exactly(state: number, token: number, target: number): number {
    const length = (this.#length[state] as number) + 1;
    if (this.#length[target] === length) return target;
    const split = this.#addState(length, this.#firstEnd[target] as number);
    this.#link[split] = this.#link[target] as number;
    this.#token[split] = this.#token[target] as number;
    this.#next[split] = this.#next[target] as number;
    const others = this.#others.get(target);
    if (others) this.#others.set(split, new Map(others));
    this.#link[target] = split;
    for (let at = state; at >= 0 && this.#follow(at, token) === target; at = this.#link[at] as number) {
      this.#lead(at, token, split);
    }
    return split;
  }

  #addState(length: number, firstEnd: number): number {
    this.#firstEnd.push(firstEnd);
    this.#link.push(-1);
    this.#token.push(-1);
    this.#next.push(-1);
    return this.#length.push(length) - 1;
  }

  #follow(state: number, token: number): number {
    if (this.#token[state] === token) return this.#next[state] as number;
    return this.#others.get(state)?.get(token) ?? -1;
  }

  #lead(state: number, token: number, target: number): void {
    const known = this.#token[state];
    if (known === -1 || known === token) {
      this.#token[state] = token;
      this.#next[state] = target;
      return;
    }
    const others = this.#others.get(state) ?? new Map<number, number>();
    this.#others.set(state, others.set(token, target));
  }
}
