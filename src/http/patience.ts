/** How long a server or a file is waited for that gives nothing, or next to nothing. */
import { GlimtError } from "../errors.ts";
import { LONGEST_TIMER } from "../given.ts";

/** So many times its limit without a byte may it take altogether: bytes that trickle end too. */
const WHOLE = 10;
/**
 * What has come meanwhile is heard in so many turns of the event loop, so many milliseconds apart: this thread may
 * have been busy with other work, and may be so again.
 */
const GRACE_TURNS = 10;
const TURN = 10;

export interface PatienceOptions {
  /** How the error begins. */
  readonly what: string;
  /** Milliseconds without a byte. */
  readonly idle: number;
  /** The option that sets them. */
  readonly option: string;
  /** Share of the whole's time: more than 1 for what is larger than usual. */
  readonly share?: number;
}

/** Begins when it is made; to be ended. */
export class Patience {
  readonly #options: PatienceOptions;
  readonly #timeOut: (error: GlimtError) => void;
  readonly #start = performance.now();
  #heard = this.#start;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `timeOut` is called once, with TIMED_OUT, when nothing was heard for `idle` milliseconds, or all takes ten times as many (times `share`). */
  constructor(options: PatienceOptions, timeOut: (error: GlimtError) => void) {
    this.#options = options;
    this.#timeOut = timeOut;
    this.#watch();
  }

  /** Something came: the time without a byte begins anew. */
  heard(): void {
    this.#heard = performance.now();
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  /** When time is up: of one silence, and of all. */
  get #limits(): { readonly silence: number; readonly whole: number } {
    const { idle } = this.#options;
    return { silence: this.#heard + idle, whole: this.#start + this.#times * idle };
  }

  get #times(): number {
    return Math.ceil(WHOLE * (this.#options.share ?? 1));
  }

  #left(): number {
    const { silence, whole } = this.#limits;
    return Math.min(silence, whole) - performance.now();
  }

  #watch(): void {
    const left = this.#left();
    if (left > 0) {
      this.#timer = setTimeout(() => this.#watch(), Math.min(Math.ceil(left), LONGEST_TIMER));
      return;
    }
    this.#listen(GRACE_TURNS);
  }

  #listen(turns: number): void {
    if (this.#left() > 0) this.#watch();
    else if (turns === 0) this.#timeOut(this.#late());
    else this.#timer = setTimeout(() => this.#listen(turns - 1), TURN);
  }

  #late(): GlimtError {
    const { what, idle, option } = this.#options;
    const { silence, whole } = this.#limits;
    const found =
      whole < silence
        ? `is not read after ${this.#times * idle} ms, ${this.#times} times the option ${option}`
        : `gave nothing for ${idle} ms`;
    return new GlimtError("TIMED_OUT", `${what} ${found}; raise the option ${option} if it is only slow.`);
  }
}
