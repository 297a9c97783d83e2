/** Processors of this machine, for work that keeps them busy. */
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

const SIBLINGS = "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list";

/** Those that the process may use, without second threads of a core: they share its arithmetic. */
export function availableCores(): number {
  return Math.max(1, Math.floor(availableParallelism() / threadsPerCore()));
}

/** As Linux tells it ("0,4" or "0-1"); 1 where nobody does. */
function threadsPerCore(): number {
  try {
    const [first = 0, second] = readFileSync(SIBLINGS, "utf8").split(/[-,]/).map(Number);
    return second !== undefined && second > first ? 2 : 1;
  } catch {
    return 1;
  }
}
