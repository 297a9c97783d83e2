/** One step: slices of members, run together on one decoder. Whoever gives up is forgotten at once; the others go on. */
import type { GlimtError } from "../errors.ts";
import type { Decoder, SequenceSlice, SliceResult } from "../runtime/decoder.ts";
import type { Member } from "./member.ts";

export interface LackingMemory {
  readonly member: Member;
  readonly error: GlimtError;
}

export class Step {
  /** Of those that have no answer yet, and still ask. */
  readonly #slices: Map<Member, SequenceSlice>;
  readonly #stop = new AbortController();
  readonly #onThrown: (member: Member, error: unknown) => void;

  /** @param onThrown told of members whose callers threw when they heard how far it is: they have given up */
  constructor(
    slices: Iterable<readonly [Member, SequenceSlice]>,
    onThrown: (member: Member, error: unknown) => void,
  ) {
    this.#slices = new Map(slices);
    this.#onThrown = onThrown;
  }

  get members(): readonly Member[] {
    return [...this.#slices.keys()];
  }

  /** Nobody waits for its answer any more. When nobody waits for any, the run is stopped. */
  leave(member: Member): void {
    this.#slices.delete(member);
    if (this.#slices.size === 0) this.#stop.abort();
  }

  /** Answers whom it can. @returns those for whom there was no memory: they run when it is called again */
  async run(): Promise<LackingMemory[]> {
    const members = [...this.#slices];
    const [first] = members;
    if (!first) return [];
    const options = { signal: this.#stop.signal, onProgress: this.#progress(members) };
    const decoder = first[0].programs as Decoder;
    const results = await decoder.forward(
      members.map(([, slice]) => slice),
      options,
    );
    const lacking: LackingMemory[] = [];
    for (const [index, [member]] of members.entries()) {
      if (!this.#slices.has(member)) continue;
      const result = results[index] as SliceResult;
      if (result.error) {
        lacking.push({ member, error: result.error });
        continue;
      }
      this.#slices.delete(member);
      member.succeed(result);
    }
    return lacking;
  }

  /** Those that wait are run without guesses from now on. @returns whether any had some */
  dropGuesses(): boolean {
    let had = false;
    for (const [member, slice] of this.#slices) {
      if (!member.request.dropGuesses()) continue;
      had = true;
      this.#slices.set(member, member.request.nextSlice(slice.inputIds.length));
    }
    return had;
  }

  #progress(members: readonly (readonly [Member, SequenceSlice])[]) {
    const reports = members.map(([member, slice]) => [member, member.reportOf(slice)] as const);
    return (share: number) => {
      for (const [member, report] of reports) {
        if (!this.#slices.has(member)) continue;
        try {
          report?.(share);
        } catch (error) {
          this.#onThrown(member, error);
        }
      }
    };
  }
}
