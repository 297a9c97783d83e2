/** Which rank of a group encodes which pictures, where each has the whole tower: as vLLM deals them. */

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
