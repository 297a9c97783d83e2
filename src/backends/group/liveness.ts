/** Whether anything goes on in a group while runs are under way. */

/** Times that one looks within a deadline. A thread that was held up looks later, and not more often. */
const LOOKS = 4;

export class Liveness {
  readonly #deadlineMs: number;
  readonly #onStandstill: () => void;
  #runs = 0;
  #looks = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(deadlineMs: number, onStandstill: () => void) {
    this.#deadlineMs = deadlineMs;
    this.#onStandstill = onStandstill;
  }

  /** A run begins. */
  begin(): void {
    this.#runs++;
    this.#looks = 0;
    this.#timer ??= setInterval(() => this.#look(), this.#deadlineMs / LOOKS);
  }

  /** A rank has done something. */
  seen(): void {
    this.#looks = 0;
  }

  /** A run has ended. */
  end(): void {
    this.#runs--;
    if (this.#runs === 0) this.stop();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    if (this.#looks++ < LOOKS) return;
    this.stop();
    this.#onStandstill();
  }
}
