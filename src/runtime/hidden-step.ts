/** The decoder's program that gives hidden states, and where they lie. */
import type { Engine, Executable } from "../backends/backend.ts";
import { KeptTensor } from "./kept-tensor.ts";

export class HiddenStep {
  readonly executable: Executable;
  /** [tokens, hiddenSize] of the last step */
  readonly states: KeptTensor;

  constructor(engine: Engine, executable: Executable, hiddenSize: number) {
    this.executable = executable;
    this.states = new KeptTensor(engine, hiddenSize, "hidden");
  }

  release(): void {
    this.states.release();
  }
}
