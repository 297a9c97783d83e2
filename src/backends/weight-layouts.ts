/** Programs are compiled for a backend: their weights must lie as its kernels read them. */
import { GlimtError } from "../errors.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import { weightUses } from "../program/weights.ts";
import type { WeightLayout } from "../tensor/storage.ts";
import type { Backend } from "./backend.ts";

/** @throws PROGRAM_INVALID naming a weight that the backend wants in another layout. */
export function checkWeightLayouts(backend: Backend, program: VerifiedProgram): void {
  const uses = weightUses(program);
  program.buffers.forEach(({ name, kind, dtype, layout }, index) => {
    const wanted = kind === "weight" ? backend.weightLayout(dtype, uses.get(index) ?? new Set()) : layout;
    if (layout === wanted) return;
    throw new GlimtError(
      "PROGRAM_INVALID",
      `${program.name}: weight "${name}" lies in ${layout}, and ${backend.name} reads it in ${wanted}; compile the graph for this backend.`,
    );
  });
}

/** @param known those that the engine can store the weight in. @throws INPUT_INVALID */
export function requireLayout(
  { name }: Pick<Backend, "name">,
  layout: WeightLayout,
  ...known: readonly WeightLayout[]
): void {
  if (known.includes(layout)) return;
  throw new GlimtError(
    "INPUT_INVALID",
    `${name}: such a weight is stored in ${known.join(" or ")}, not in ${layout}.`,
  );
}
