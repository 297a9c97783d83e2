/** One try of a request: it ends when the caller's signal fires, or when nothing has come for too long. */
import { GlimtError, throwIfAborted } from "../errors.ts";

/** What has come meanwhile is seen before time is called: this thread may have been busy with other work. */
const GRACE = 100;
/** So many times its limit without a byte may a try take altogether: bytes that trickle end too. */
const WHOLE = 10;
/** Timers can not wait longer. */
export const LONGEST_TIMER = 2 ** 31 - 1;

export class Attempt {
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #idle: number;
  readonly #what: string;
  readonly #ended: Promise<never>;
  #fail!: (error: unknown) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What is asked, as far as redirects have led. */
  url: URL;
  readonly #whole: ReturnType<typeof setTimeout>;

  /** `idle` milliseconds without a byte of `what` end it. */
  constructor(what: string, url: URL, idle: number, caller: AbortSignal | undefined) {
    this.url = url;
    this.#what = what;
    this.#idle = idle;
    this.#caller = caller;
    this.#ended = new Promise((_, reject) => {
      this.#fail = reject;
    });
    // Awaited only while something is waited for.
    this.#ended.catch(() => undefined);
    caller?.addEventListener("abort", this.#abort);
    this.#whole = setTimeout(
      () =>
        this.#timeOut(`is not read after ${WHOLE * idle} ms, ${WHOLE} times the option checkpointTimeout`),
      Math.min(WHOLE * idle, LONGEST_TIMER),
    );
    this.heard();
  }

  /** For fetch. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Something came: time starts anew. */
  heard(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = setTimeout(() => this.#timeOut(`gave nothing for ${this.#idle} ms`), GRACE);
    }, this.#idle);
  }

  /** The promise's value, unless the try ends first: a fetch or a body that heeds no signal is left behind. */
  until<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#ended]);
  }

  /** To be called when all is read, or nothing more is wanted: the connection is given up. */
  close(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#whole);
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

  #timeOut(found: string): void {
    const message = `${this.#what} ${found}; raise the option checkpointTimeout if the server is only slow.`;
    this.#end(new GlimtError("TIMED_OUT", message));
  }

  #end(error: unknown): void {
    this.#fail(error);
    this.close();
  }
}
