/** Lines that are typed, pasted or piped, one after the other as they are asked for. */
import { createInterface, type Interface } from "node:readline";
import { Writable } from "node:stream";

export interface LinesOptions {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  /** Ctrl-C on a terminal, where it is no signal. */
  readonly onInterrupt: () => void;
}

export class Lines {
  readonly isTerminal: boolean;
  readonly #reader: Interface;
  /** Texts that nobody asked for yet, and who waits for one. */
  readonly #texts: string[] = [];
  #wanted: ((text: string | null) => void) | null = null;
  #isClosed = false;
  /** Lines of one text: those of a paste come at once. */
  #pasted: string[] = [];
  #isPasting = false;
  #isShown = false;

  constructor({ input, output, onInterrupt }: LinesOptions) {
    this.isTerminal = input.isTTY === true && output.isTTY === true;
    this.#reader = createInterface({
      input,
      ...(this.isTerminal && { output: this.#shownOn(output), terminal: true }),
    });
    this.#reader.on("line", (line) => (this.isTerminal ? this.#paste(line) : this.#give(line)));
    this.#reader.on("SIGINT", onInterrupt);
    this.#reader.on("close", () => {
      this.#isClosed = true;
      if (this.isTerminal && this.#isShown) output.write("\n");
      this.#givePasted();
      this.#wanted?.(null);
    });
  }

  /** What is being typed. */
  get typed(): string {
    return this.#reader.line;
  }

  /** The next text, without the end of its line; null behind the last. */
  async next(prompt: string): Promise<string | null> {
    const known = this.#texts.shift();
    if (known !== undefined) return known;
    if (this.#isClosed) return null;
    this.#isShown = true;
    this.#prompt(prompt);
    return new Promise((resolve) => {
      this.#wanted = (text) => {
        this.#wanted = null;
        this.#isShown = false;
        resolve(text);
      };
    });
  }

  /** Forgets what is being typed. */
  drop(): void {
    this.#pasted = [];
    this.#reader.write(null, { ctrl: true, name: "e" });
    this.#reader.write(null, { ctrl: true, name: "u" });
  }

  /** Shows the prompt anew, behind what was written meanwhile. */
  again(): void {
    if (this.#isShown && this.isTerminal) this.#reader.prompt(true);
  }

  close(): void {
    this.#reader.close();
  }

  #prompt(prompt: string): void {
    if (!this.isTerminal) return;
    this.#reader.setPrompt(prompt);
    this.#reader.prompt(true);
  }

  #give(text: string): void {
    if (this.#wanted) this.#wanted(text);
    else this.#texts.push(text);
  }

  #paste(line: string): void {
    this.#pasted.push(line);
    if (this.#isPasting) return;
    this.#isPasting = true;
    setImmediate(() => this.#endPaste());
  }

  /** A paste that did not end with its line goes on with what is typed behind it. */
  #endPaste(): void {
    this.#isPasting = false;
    if (this.#reader.line === "") this.#givePasted();
    else this.#prompt("... ");
  }

  #givePasted(): void {
    if (this.#pasted.length === 0) return;
    const text = this.#pasted.join("\n");
    this.#pasted = [];
    this.#give(text);
  }

  /** What is typed while an answer comes is shown with the next prompt. */
  #shownOn(output: NodeJS.WriteStream): Writable {
    const shown = new Writable({
      write: (chunk, _encoding, done) => {
        if (this.#isShown) output.write(chunk);
        done();
      },
    });
    return Object.defineProperty(shown, "columns", { get: () => output.columns });
  }
}
