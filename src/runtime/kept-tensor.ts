/** A tensor that a runner keeps from step to step, and takes anew when more rows are needed. */
import type { DeviceTensor, Engine } from "../backends/backend.ts";

export class KeptTensor {
  readonly #engine: Engine;
  readonly #cols: number;
  readonly #name: string;
  #tensor: DeviceTensor | null = null;

  /** Of the activation type. @param name of the buffer that it is bound to */
  constructor(engine: Engine, cols: number, name: string) {
    this.#engine = engine;
    this.#cols = cols;
    this.#name = name;
  }

  /** With at least so many rows. @throws OUT_OF_MEMORY */
  ofRows(rows: number): DeviceTensor {
    if (this.#tensor && this.#tensor.rows >= rows) return this.#tensor;
    this.release();
    const { activationDType } = this.#engine.backend;
    this.#tensor = this.#engine.allocate(activationDType, Math.max(1, rows), this.#cols, this.#name);
    return this.#tensor;
  }

  release(): void {
    if (this.#tensor) this.#engine.free(this.#tensor);
    this.#tensor = null;
  }
}
