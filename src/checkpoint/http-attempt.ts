/** One try of a request: it ends when the caller's signal fires, or when nothing has come for too long. */
import { throwIfAborted } from "../errors.ts";
import { Patience } from "../http/patience.ts";

/** Of one answer, in the time that Patience gives a whole. */
const USUAL_BYTES = 4 << 20;

export class Attempt {
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #patience: Patience;
  readonly #ended: Promise<never>;
  #fail!: (error: unknown) => void;
  /** What is asked, as far as redirects have led. */
  url: URL;

  /** `idle` milliseconds without a byte of `what` end it; `bytes` are asked for. */
  constructor(what: string, url: URL, idle: number, bytes: number, caller: AbortSignal | undefined) {
    this.url = url;
    this.#caller = caller;
    this.#ended = new Promise((_, reject) => {
      this.#fail = reject;
    });
    // Awaited only while something is waited for.
    this.#ended.catch(() => undefined);
    caller?.addEventListener("abort", this.#abort);
    const limit = { what, idle, option: "checkpointTimeout", share: Math.max(1, bytes / USUAL_BYTES) };
    this.#patience = new Patience(limit, (error) => this.#end(error));
  }

  /** For fetch. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Something came: time starts anew. */
  heard(): void {
    this.#patience.heard();
  }

  /** The promise's value, unless the try ends first: a fetch or a body that heeds no signal is left behind. */
  until<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#ended]);
  }

  /** To be called when all is read, or nothing more is wanted: the connection is given up. */
  close(): void {
    this.#patience.end();
    this.#caller?.removeEventListener("abort", this.#abort);
    this.#controller.abort();
  }

  readonly #abort = (): void => {
    try {
      throwIfAborted(this.#caller);
    } catch (error) {
      this.#end(error);
    }
  };

  #end(error: unknown): void {
    this.#fail(error);
    this.close();
  }
}
