/** Which rank of a group encodes which pictures, where each has the whole tower: as vLLM deals them. */
import type { VerifiedProgram } from "../program/verify-program.ts";
import { wholeRanks } from "../program/weights.ts";

/** Of a tower and the decoder behind it. */
export interface EncoderRanks {
  /** Those that have all of the tower each; none where they share it, or there is one device. */
  readonly ranks: readonly number[];
  /** Whether each writes features beside the slab, from which they are brought to all ranks that read them. */
  readonly isDealt: boolean;
}

export function encoderRanks(
  tower: VerifiedProgram | undefined,
  { ranks: decoders = [] }: Pick<VerifiedProgram, "ranks">,
): EncoderRanks {
  const ranks = wholeRanks(tower?.ranks ?? []);
  const isApart = ranks.some((rank) => decoders[rank]?.instructions.length === 0);
  return { ranks, isDealt: ranks.length > 1 || isApart };
}

/**
 * Deals items over ranks: the largest first, each to the rank that has the least so far, of equal ones to the first.
 *
 * @param sizes of the items, in patches
 * @returns by rank, its items' indices in the order they were dealt
 */
export function dealByLoad(sizes: readonly number[], ranks: number): number[][] {
  const shares = Array.from({ length: ranks }, (): number[] => []);
  const loads = new Array<number>(ranks).fill(0);
  const largestFirst = [...sizes.keys()].sort((a, b) => (sizes[b] as number) - (sizes[a] as number));
  for (const item of largestFirst) {
    const rank = loads.indexOf(Math.min(...loads));
    shares[rank]?.push(item);
    loads[rank] = (loads[rank] as number) + (sizes[item] as number);
  }
  return shares;
}
