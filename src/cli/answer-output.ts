/** What `glimt run` shows of answers while they come: their text alone, so that it can go into a file. */
import type { GenerationEvent, GenerationResult } from "../index.ts";

const DIM = "\u001b[2m";
const PLAIN = "\u001b[22m";

export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** The first answer as it comes, on a terminal with its thinking dimmed; the others behind it, each below a line. */
export class AnswerOutput {
  readonly #output: Output;
  #isDim = false;
  #hasBegun = false;

  constructor(output: Output) {
    this.#output = output;
  }

  show({ choice, type, text }: GenerationEvent): void {
    if (choice > 0 || text === "") return;
    this.#dim(type === "reasoning");
    this.#hasBegun = true;
    this.#output.write(text);
  }

  end({ choices }: GenerationResult): void {
    this.#dim(false);
    this.#output.write("\n");
    for (const [index, { text }] of choices.entries()) {
      if (index > 0) this.#output.write(`\n--- answer ${index + 1} of ${choices.length} ---\n${text}\n`);
    }
  }

  /** The end of an answer that is not whole, and of which there may be nothing. */
  stop(): void {
    this.#dim(false);
    if (this.#hasBegun) this.#output.write("\n");
  }

  #dim(isDim: boolean): void {
    if (isDim !== this.#isDim && this.#output.isTTY) this.#output.write(isDim ? DIM : PLAIN);
    this.#isDim = isDim;
  }
}
