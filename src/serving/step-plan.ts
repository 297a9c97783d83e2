/**
 * Which requests the next step takes, how many tokens of each, and whose pictures are encoded before it. There are no
 * phases: each step moves what is in the cache towards what is known. Deterministic; all that it changes is memory, by
 * way of an interface.
 *
 * Nobody starves. Under one priority whoever has waited longest for a turn comes first. Over priorities, whoever has waited
 * for a token through `PATIENCE` steps comes before all. Nobody is given memory in front of one that waits for it.
 */
import { inOrder, type StepCandidate, urgentOf, victimOf } from "./step-order.ts";
import { type StepShare, shareTokens } from "./step-tokens.ts";

export interface StepLimits {
  /** Most tokens of a step, of all requests together; at least 1. */
  readonly maxTokens: number;
  /** Most tokens of one request in a step; at least 1. */
  readonly maxPromptTokens: number;
  /** Most requests of a step; at least 1. */
  readonly maxSequences: number;
}

/** Why memory was not to be had. */
export interface Refusal {
  readonly error: unknown;
  /** Not even if all others gave theirs back. */
  readonly isForGood: boolean;
}

export interface PlanMemory<T> {
  /** Takes what a request needs to be read up to its next token: all of it, or nothing. */
  admit(candidate: T): Refusal | null;
  /** Takes what so many more tokens of an admitted request need. */
  grow(candidate: T, tokens: number): Refusal | null;
  /** The same for the only one that holds anything: at the cost of what it would need to be preempted later. */
  squeeze(candidate: T, tokens: number): Refusal | null;
  /**
   * Takes what guesses behind an admitted request's tokens need, as far as that costs nobody anything.
   *
   * @param tokens that it has to read, and guesses. @returns for how many there is room
   */
  spare(candidate: T, tokens: number): number;
  /** Gives back what an admitted request can compute again. */
  preempt(candidate: T): void;
}

export interface Requests<T> {
  /** Those whose next token is asked for. */
  readonly asking: readonly T[];
  /** Those that were admitted, whether anybody asks for their next token or not. */
  readonly holders: readonly T[];
  /** Whether a run found no memory beside them: nobody else is admitted while one of them goes on. */
  readonly isShort?: boolean;
}

export interface StepPlan<T> {
  readonly shares: readonly StepShare<T>[];
  /** Whose pictures are encoded for a while. */
  readonly encoding: T | null;
  /** Those that can not go on. */
  readonly refused: readonly { readonly candidate: T; readonly error: unknown }[];
}

/** @param step its number, ascending */
export function planStep<T extends StepCandidate>(
  requests: Requests<T>,
  memory: PlanMemory<T>,
  limits: StepLimits,
  step: number,
): StepPlan<T> {
  return new Planning(requests, memory, step).plan(limits);
}

class Planning<T extends StepCandidate> {
  readonly #asking: readonly T[];
  readonly #memory: PlanMemory<T>;
  readonly #step: number;
  readonly #urgent: T | null;
  readonly #holders: Set<T>;
  readonly #taken = new Set<T>();
  readonly #toEncode = new Set<T>();
  readonly #refused: { candidate: T; error: unknown }[] = [];
  /** Somebody waits for memory: nobody behind is admitted. */
  #isShort = false;

  constructor({ asking, holders, isShort = false }: Requests<T>, memory: PlanMemory<T>, step: number) {
    this.#asking = asking;
    this.#memory = memory;
    this.#step = step;
    this.#urgent = urgentOf(asking, step);
    this.#holders = new Set(holders);
    this.#isShort = isShort && asking.some((candidate) => this.#holders.has(candidate));
  }

  plan({ maxTokens, maxPromptTokens, maxSequences }: StepLimits): StepPlan<T> {
    const most = Math.min(maxTokens, maxSequences);
    for (const candidate of inOrder(this.#asking, this.#urgent)) {
      if (this.#taken.size === most) break;
      if (!this.#holders.has(candidate) && !this.#admit(candidate)) continue;
      if (candidate.featuresToEncode > 0) this.#toEncode.add(candidate);
      else if (this.#runsHere(candidate) && this.#grow(candidate)) this.#taken.add(candidate);
    }
    const shares = shareTokens([...this.#taken], maxTokens, maxPromptTokens);
    return {
      shares: shares.map((share) => this.#withRoom(share)),
      encoding: this.#nextToEncode(),
      refused: this.#refused,
    };
  }

  #runsHere({ programs }: T): boolean {
    const [first] = this.#taken;
    return first === undefined || first.programs === programs;
  }

  #admit(candidate: T): boolean {
    if (this.#isShort) return false;
    for (;;) {
      const refusal = this.#memory.admit(candidate);
      if (!refusal) {
        this.#holders.add(candidate);
        return true;
      }
      if (refusal.isForGood) return this.#refuse(candidate, refusal);
      // Those that go on will give back what they hold; those whose callers do not read give way when nobody goes on.
      if (this.#asking.some((other) => this.#holders.has(other))) {
        this.#isShort = true;
        return false;
      }
      const idle = victimOf(this.#holders, null);
      if (!idle) return this.#refuse(candidate, refusal);
      this.#preempt(idle);
      this.#isShort = false;
    }
  }

  /** For one more token. */
  #grow(candidate: T): boolean {
    for (;;) {
      const isAlone = this.#holders.size === 1;
      const refusal = isAlone ? this.#memory.squeeze(candidate, 1) : this.#memory.grow(candidate, 1);
      if (!refusal) return true;
      const victim = isAlone ? null : victimOf(this.#holders, this.#urgent);
      if (!victim) return this.#refuse(candidate, refusal);
      this.#preempt(victim);
      if (victim === candidate) return false;
    }
  }

  #preempt(candidate: T): void {
    this.#memory.preempt(candidate);
    this.#holders.delete(candidate);
    this.#taken.delete(candidate);
    this.#toEncode.delete(candidate);
    this.#isShort = true;
  }

  #refuse(candidate: T, { error }: Refusal): false {
    this.#refused.push({ candidate, error });
    // What it holds is not back yet: nobody is to be refused for that.
    if (this.#holders.delete(candidate)) this.#isShort = true;
    return false;
  }

  /** Guesses are read as far as there is room: nobody gives way to them, and nothing that is kept. */
  #withRoom({ candidate, tokens }: StepShare<T>): StepShare<T> {
    // The first has its place.
    return { candidate, tokens: Math.max(1, this.#memory.spare(candidate, tokens)) };
  }

  /** In turns the first in order, and the one with the fewest left: a picture need not wait for a long video. */
  #nextToEncode(): T | null {
    const inTheirOrder = [...this.#toEncode];
    const shortest = inTheirOrder.toSorted((a, b) => a.featuresToEncode - b.featuresToEncode);
    return (this.#step % 2 === 0 ? inTheirOrder : shortest)[0] ?? null;
  }
}
