/** Which runs of a program came before with the same sizes and tensors: those are worth a captured graph. */
import type { SymbolValues } from "../../tensor/dims.ts";
import type { CudaTensor } from "./tensor.ts";

/** Runs remembered; a program has few sizes that come back, and many that do not. */
const LIMIT = 64;

export class Repeats {
  readonly #keys = new Set<string>();

  /** Whether the same run came before. Host arrays do not matter: they pass through memory of the engine's own. */
  sees(symbols: SymbolValues, tensors: readonly CudaTensor[]): boolean {
    const key = `${JSON.stringify(symbols)} ${tensors.map(({ id }) => id).join(" ")}`;
    const isRepeated = this.#keys.delete(key);
    // The latest last: those at the front are forgotten first.
    this.#keys.add(key);
    if (this.#keys.size > LIMIT) this.#keys.delete(this.#keys.values().next().value as string);
    return isRepeated;
  }
}
