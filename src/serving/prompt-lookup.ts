/**
 * Drafts by looking back: the longest end of what was said that was said before, in the prompt or in the answer, and what
 * followed it then. Pages repeat themselves: tables, lists, the question's own words.
 *
 * The index is a suffix automaton (Blumer et al. 1985): a state is a set of strings that end at the same places, its link
 * the longest shorter string that ends at more of them. So the link of the state of the whole text is the longest end of it
 * that was there before. A token costs O(1) amortised, and so does the question.
 *
 * Several answers to one prompt go on from one index of it: each keeps what it changes there and adds to it.
 */
import { turnWhenDue } from "../event-loop.ts";
import { GrownList } from "./grown-list.ts";

/** A match of one token says nothing. */
const SHORTEST_MATCH = 2;
/** Tokens that are indexed between two looks at the clock: about a millisecond. */
const TOKENS_A_PIECE = 1024;

type Transitions = ReadonlyMap<number, number>;

export class PromptLookup {
  readonly #tokens: GrownList;
  /** Of each state: how long its longest string is, its link, and where its strings end first. */
  readonly #length: GrownList;
  readonly #link: GrownList;
  readonly #firstEnd: GrownList;
  /** State that a token leads to: the first such token of a state beside the others, for most states have one. */
  readonly #token: GrownList;
  readonly #next: GrownList;
  readonly #others = new Map<number, Map<number, number>>();
  readonly #othersBefore: ReadonlyMap<number, Transitions>;
  #last: number;

  /** @param before what it goes on from: nothing is pushed there any more */
  constructor(before?: PromptLookup) {
    this.#tokens = new GrownList(before ? before.#tokens : undefined);
    this.#length = new GrownList(before ? before.#length : undefined);
    this.#link = new GrownList(before ? before.#link : undefined);
    this.#firstEnd = new GrownList(before ? before.#firstEnd : undefined);
    this.#token = new GrownList(before ? before.#token : undefined);
    this.#next = new GrownList(before ? before.#next : undefined);
    this.#othersBefore = before ? before.#others : new Map();
    this.#last = before ? before.#last : this.#addState(0, -1);
  }

  /** Of a whole prompt; long ones let other tasks run in between. @throws ABORTED */
  static async of(tokens: ArrayLike<number>, signal?: AbortSignal): Promise<PromptLookup> {
    const lookup = new PromptLookup();
    for (let at = 0; at < tokens.length; at++) {
      if (at % TOKENS_A_PIECE === 0) await turnWhenDue(signal);
      lookup.push(tokens[at] as number);
    }
    return lookup;
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
      state = this.#link.at(state);
    }
    this.#link.set(whole, state < 0 ? 0 : this.#exactly(state, token, target));
    this.#last = whole;
  }

  /** At most `most` tokens, and no more than what was said before is alike: a longer match is trusted further. */
  drafts(most: number): readonly number[] {
    const match = this.#link.at(this.#last);
    if (match <= 0) return [];
    const length = this.#length.at(match);
    if (length < SHORTEST_MATCH) return [];
    const start = this.#firstEnd.at(match) + 1;
    const drafts: number[] = [];
    // What goes round goes on: a match that reaches the end is followed by the drafts themselves.
    for (let at = start; drafts.length < Math.min(most, length); at++) {
      const said = this.#tokens.length;
      drafts.push(at < said ? this.#tokens.at(at) : (drafts[at - said] as number));
    }
    return drafts;
  }

  /** The state of the longest string of `state` with `token` behind it, which leads to `target`: itself, or split off it. */
  #exactly(state: number, token: number, target: number): number {
    const length = this.#length.at(state) + 1;
    if (this.#length.at(target) === length) return target;
    const split = this.#addState(length, this.#firstEnd.at(target));
    this.#link.set(split, this.#link.at(target));
    this.#token.set(split, this.#token.at(target));
    this.#next.set(split, this.#next.at(target));
    const others = [...(this.#othersBefore.get(target) ?? []), ...(this.#others.get(target) ?? [])];
    if (others.length > 0) this.#others.set(split, new Map(others));
    this.#link.set(target, split);
    for (let at = state; at >= 0 && this.#follow(at, token) === target; at = this.#link.at(at)) {
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
    if (this.#token.at(state) === token) return this.#next.at(state);
    const target = this.#others.get(state)?.get(token);
    return target ?? this.#othersBefore.get(state)?.get(token) ?? -1;
  }

  #lead(state: number, token: number, target: number): void {
    const known = this.#token.at(state);
    if (known === -1 || known === token) {
      this.#token.set(state, token);
      this.#next.set(state, target);
      return;
    }
    const others = this.#others.get(state) ?? new Map<number, number>();
    this.#others.set(state, others.set(token, target));
  }
}
