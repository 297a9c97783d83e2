/** A program of a group: the executable of each rank, and what its buffers are bound to. */
import { GlimtError } from "../../errors.ts";
import type { VerifiedProgram } from "../../program/verify-program.ts";
import type { HostArray } from "../../tensor/dtype.ts";
import type { Binding, DeviceWeight, Executable, Residents, RunBindings } from "../backend.ts";
import type { GroupMemory, Parts } from "./group-memory.ts";
import { rankPrograms } from "./rank-programs.ts";

export class GroupExecutable implements Executable {
  readonly program: VerifiedProgram;
  /** Of each rank. */
  readonly programs: readonly VerifiedProgram[];
  readonly memory: GroupMemory;
  /** By rank; null where it has nothing to do, or is in another process. */
  readonly parts: Parts<Executable>;
  readonly #weights: readonly DeviceWeight[];
  resident: Residents = {};

  /** @param weights what it holds for as long as it runs */
  constructor(
    program: VerifiedProgram,
    memory: GroupMemory,
    weights: readonly DeviceWeight[],
    parts: Parts<Executable>,
  ) {
    this.program = program;
    this.programs = rankPrograms(program, parts.length);
    this.memory = memory;
    this.#weights = weights;
    this.parts = parts;
  }

  /** Before any rank begins. @throws DISPOSED for a weight or a bound tensor that was freed */
  checkHeld(bindings: Readonly<Record<string, Binding>>): void {
    for (const weight of this.#weights) this.memory.weight(weight);
    for (const [name, bound] of Object.entries(this.resident)) {
      if (!bindings[name]) this.memory.tensor("tensor" in bound ? bound.tensor : bound);
    }
  }

  /**
   * Bindings of a run of all ranks, by rank.
   * @returns with the outputs in host arrays that a rank of this process fills
   */
  shared(bindings: RunBindings): { ofRanks: Parts<RunBindings>; filled: ReadonlySet<string> } {
    const filled = new Set<string>();
    const ofRanks = this.parts.map((part, rank) => {
      if (!part) return null;
      const buffers = this.bindingsOf(rank, bindings.buffers);
      for (const name of hostOutputs(part.program, buffers)) {
        // All ranks that have it have the same: one of them fills the caller's.
        if (filled.has(name)) buffers[name] = (buffers[name] as HostArray).slice();
        filled.add(name);
      }
      return { ...bindings, buffers };
    });
    return { ofRanks, filled };
  }

  /** Of the bindings those of a rank's program, with the rank's parts. @throws INPUT_INVALID where it has none */
  bindingsOf(rank: number, bindings: Readonly<Record<string, Binding>>): Record<string, Binding> {
    const own: Record<string, Binding> = {};
    for (const { kind, name } of this.programs[rank]?.buffers ?? []) {
      const bound = kind === "weight" || kind === "temporary" ? undefined : bindings[name];
      if (bound) own[name] = this.#partOf(rank, name, bound);
    }
    return own;
  }

  #partOf(rank: number, name: string, binding: Binding): Binding {
    if (ArrayBuffer.isView(binding)) return binding;
    const tensor = this.memory.tensor("tensor" in binding ? binding.tensor : binding);
    const part = tensor.parts[rank];
    if (!part) {
      throw new GlimtError(
        "INPUT_INVALID",
        `"${name}" is bound to a tensor that rank ${rank} has no part of.`,
      );
    }
    return "tensor" in binding ? { ...binding, tensor: part } : part;
  }
}

/** Outputs that are bound to host arrays. */
function hostOutputs({ buffers }: VerifiedProgram, bindings: Readonly<Record<string, Binding>>): string[] {
  return buffers.flatMap(({ kind, name }) => {
    const bound = bindings[name];
    return kind === "output" && bound && ArrayBuffer.isView(bound) ? [name] : [];
  });
}
