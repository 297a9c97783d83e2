/** What each rank of a group runs for a program. */
import { GlimtError } from "../../errors.ts";
import type { VerifiedProgram } from "../../program/verify-program.ts";

/**
 * By rank: the parts that it was partitioned into, or itself on every rank where it was not.
 * @throws PROGRAM_INVALID when it was partitioned for another number of ranks
 */
export function rankPrograms(program: VerifiedProgram, ranks: number): readonly VerifiedProgram[] {
  const { ranks: parts } = program;
  if (!parts) return new Array<VerifiedProgram>(ranks).fill(program);
  if (parts.length === ranks) return parts;
  throw new GlimtError(
    "PROGRAM_INVALID",
    `${program.name}: it was partitioned for ${parts.length} ranks, and the group has ${ranks}.`,
  );
}
