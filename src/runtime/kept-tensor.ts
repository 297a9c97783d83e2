/** A tensor that a runner keeps from step to step, and takes anew when more rows are needed. */
import type { DeviceTensor, Engine } from "../backends/backend.ts";

export class KeptTensor {
  readonly #engine: Engine;
  readonly #cols: number;
  #tensor: DeviceTensor | null = null;

  /** Of the activation type. */
  constructor(engine: Engine, cols: number) {
    this.#engine = engine;
    this.#cols = cols;
  }

  /** With at least so many rows. @throws OUT_OF_MEMORY */
  ofRows(rows: number): DeviceTensor {
    if (this.#tensor && this.#tensor.rows >= rows) return this.#tensor;
    this.release();
    this.#tensor = this.#engine.allocate(this.#engine.backend.activationDType, Math.max(1, rows), this.#cols);
    return this.#tensor;
  }

  release(): void {
    if (this.#tensor) this.#engine.free(this.#tensor);
    this.#tensor = null;
  }
}
