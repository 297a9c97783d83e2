/** Where an engine's time goes while requests share it: by what its runs compute. */
import type { Engine } from "../../src/backends/backend.ts";

export interface Parts {
  /** Runs of the vision tower, in milliseconds. */
  readonly vision: number;
  /** Steps in which a prompt is read; tokens of other answers may be among them. */
  readonly prompts: number;
  /** Steps of a token each. */
  readonly answers: number;
}

/** Times all runs of the engine from now on. @returns what reads the clock, and sets it to zero */
export function clockParts(engine: Engine): () => Parts {
  let parts = { vision: 0, prompts: 0, answers: 0 };
  const run = engine.run.bind(engine);
  engine.run = async (...args) => {
    const { patches, tokens = 0, sequences = 0 } = args[1].symbols as Readonly<Record<string, number>>;
    const part = patches !== undefined ? "vision" : tokens > sequences ? "prompts" : "answers";
    const start = performance.now();
    try {
      return await run(...args);
    } finally {
      parts[part] += performance.now() - start;
    }
  };
  return () => {
    const found = parts;
    parts = { vision: 0, prompts: 0, answers: 0 };
    return found;
  };
}
