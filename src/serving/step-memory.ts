/** The memory that plans of steps take and give back: pages of the KV cache, features, and what runs need. */
import type { Engine } from "../backends/backend.ts";
import type { GlimtError } from "../errors.ts";
import type { FeatureSlab } from "../runtime/feature-slab.ts";
import { type KvPool, pageBytes } from "../runtime/kv-pool.ts";
import { outOfMemory } from "../runtime/out-of-memory.ts";
import { storageBytes } from "../tensor/storage.ts";
import type { Member } from "./member.ts";
import type { PlanMemory, Refusal } from "./step-plan.ts";

export interface StepMemoryParts {
  readonly engine: Engine;
  readonly pool: KvPool;
  readonly slab: FeatureSlab;
  /** Gives back what is kept for later: free memory may lie in pieces between that. */
  readonly trim: () => void;
  /** All memory is gone then. */
  readonly isDisposed: () => boolean;
}

export class StepMemory implements PlanMemory<Member> {
  readonly #parts: StepMemoryParts;
  /** Of members that wait, and how often something had been given back when they were refused. */
  readonly #refusals = new WeakMap<Member, { readonly refusal: Refusal; readonly returns: number }>();
  #returns = 0;
  #preemptions = 0;

  constructor(parts: StepMemoryParts) {
    this.#parts = parts;
  }

  /** Since the model was loaded. */
  get preemptions(): number {
    return this.#preemptions;
  }

  admit(member: Member): Refusal | null {
    const known = this.#refusals.get(member);
    if (known?.returns === this.#returns) return known.refusal;
    const refusal = this.#takeUp(member);
    if (!refusal) return null;
    member.request.giveBackPages();
    this.#refusals.set(member, { refusal, returns: this.#returns });
    return refusal;
  }

  #takeUp(member: Member): Refusal | null {
    const takeUp = () => outOfMemory(() => member.takeUp());
    try {
      let error = takeUp();
      if (error) {
        // Pages that it found may lie behind those that could go.
        member.request.giveBackPages();
        this.trim();
        error = takeUp();
      }
      return error && { error, isForGood: !this.#couldFit(member) };
    } catch (error) {
      return { error, isForGood: true };
    }
  }

  grow(member: Member, tokens: number): Refusal | null {
    const error = this.#tried(() => member.request.reserve(tokens));
    return error && { error, isForGood: false };
  }

  squeeze(member: Member, tokens: number): Refusal | null {
    const refusal = this.grow(member, tokens);
    if (!refusal || !member.request.giveBackFeatures()) return refusal;
    return this.grow(member, tokens);
  }

  spare(member: Member, tokens: number): number {
    return member.request.reserveForGuesses(tokens);
  }

  preempt(member: Member): void {
    member.request.giveBackPages();
    this.#preemptions++;
    this.#returns++;
  }

  /**
   * The only one that holds pages starts over in a pool without holes, which others left.
   *
   * @returns whether there is anything to win
   */
  startOver(member: Member): boolean {
    if (!member.canBePreempted || !this.#parts.pool.hasHoles) return false;
    this.preempt(member);
    this.trim();
    return true;
  }

  /** A member that ended. */
  release(member: Member): void {
    this.#returns++;
    if (!this.#parts.isDisposed()) member.release();
  }

  trim(): void {
    this.#parts.trim();
  }

  #tried(task: () => void): GlimtError | null {
    if (!outOfMemory(task)) return null;
    this.trim();
    return outOfMemory(task);
  }

  /** Whether pages and features are fewer than all that there is; true where that can not be told. */
  #couldFit({ request: { promptSizes } }: Member): boolean {
    const { engine, pool, slab } = this.#parts;
    if (engine.freeBytes === undefined) return true;
    const pages = Math.ceil(promptSizes.tokens / pool.layout.pageSize);
    const needed = pages * pageBytes(pool.layout) + storageBytes(slab.dtype, promptSizes.features, slab.cols);
    return needed <= engine.freeBytes + pool.numPages * pageBytes(pool.layout) + slab.tensor.bytes;
  }
}
