/** Milliseconds. */
export interface GenerationTimings {
  /** Encoding pictures and videos. */
  readonly vision: number;
  /** Reading the prompt. */
  readonly prefill: number;
  /** Tokens behind the first. */
  readonly decode: number;
  /** From the request to its end. */
  readonly total: number;
}

/** Time of each stage: from the end of the one before to its own, all times that it was run. */
export class StageClock {
  readonly #start = performance.now();
  #last = this.#start;
  readonly #stages = { vision: 0, prefill: 0, decode: 0 };

  end(stage: "vision" | "prefill" | "decode"): void {
    const now = performance.now();
    this.#stages[stage] += now - this.#last;
    this.#last = now;
  }

  timings(): GenerationTimings {
    return { ...this.#stages, total: this.#last - this.#start };
  }
}
