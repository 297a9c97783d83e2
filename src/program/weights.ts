/** How a program uses its weights, and how they lie. */
import type { OpDefinition } from "../graph/op-definition.ts";
import { isCollective, OPS } from "../graph/ops.ts";
import type { StorageFormat, WeightLayout } from "../tensor/storage.ts";
import type { Program, ProgramTensor } from "./program.ts";
import type { VerifiedProgram } from "./verify-program.ts";

/** matrix: a linear map. rows: read row by row. data: vectors and whatever else. */
export type WeightUse = "matrix" | "rows" | "data";

/** The layout for a weight of this format that is used in these ways. */
export type ChooseLayout = (format: StorageFormat, uses: ReadonlySet<WeightUse>) => WeightLayout;

/** Of each buffer that an instruction reads, by index: a tied embedding is used as a matrix and by rows. */
export function weightUses({
  tensors,
  instructions,
}: Pick<Program, "tensors" | "instructions">): ReadonlyMap<number, ReadonlySet<WeightUse>> {
  const uses = new Map<number, Set<WeightUse>>();
  for (const { op, inputs } of instructions) {
    const specs = Object.values((OPS[op] as OpDefinition).inputs);
    for (const [position, { kind }] of specs.entries()) {
      const { buffer } = tensors[inputs[position] as number] as ProgramTensor;
      const known = uses.get(buffer) ?? new Set();
      uses.set(buffer, known.add(kind === "matrix" || kind === "rows" ? kind : "data"));
    }
  }
  return uses;
}

/** What is loaded for a program: itself, or the program of each rank of a device group. */
export function loadedPrograms(program: VerifiedProgram): readonly VerifiedProgram[] {
  return program.ranks ?? [program];
}

/** Of the programs of ranks, those that need no other rank: each has all of it. */
export function wholeRanks(programs: readonly Program[]): number[] {
  return programs.flatMap(({ instructions }, rank) =>
    instructions.length > 0 && !instructions.some(({ op }) => isCollective(op)) ? [rank] : [],
  );
}

/** The layout to upload each weight of the programs in, by name. */
export function weightLayouts(...programs: readonly VerifiedProgram[]): ReadonlyMap<string, WeightLayout> {
  return new Map(
    programs
      .flatMap(loadedPrograms)
      .flatMap(({ buffers }) =>
        buffers.filter(({ kind }) => kind === "weight").map(({ name, layout }) => [name, layout] as const),
      ),
  );
}
