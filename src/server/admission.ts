/** Whose turn it is: so many answers at a time, the others in a line of bounded length. */
import { RequestError } from "../protocols/errors.ts";

/** What asks for places, once or for each of its parts; its signal is of all of them. */
export interface Asking {
  readonly signal: AbortSignal;
}

interface Waiting {
  readonly places: number;
  readonly priority: number;
  readonly begin: () => void;
}

export interface AdmissionOptions {
  /** Answers at a time. */
  readonly places: number;
  /** Requests that wait for their first place. */
  readonly line: number;
}

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #line: Waiting[] = [];
  /** Those that have had no place yet: who was let in is not refused for its other parts. */
  readonly #outside = new Set<Asking>();
  readonly #letIn = new WeakSet<Asking>();
  #taken = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Answers that wait. */
  get waiting(): number {
    return this.#line.length;
  }

  /** Answers under way. */
  get running(): number {
    return this.#taken;
  }

  /**
   * Waits for places. Requests of a lower priority number are before others, and among equals those that came first.
   *
   * @param answers that the request wants: as many places, at most all of them
   * @returns what gives them back; it may be called again
   * @throws RequestError "overloaded" when the line is full, the signal's reason when it fires
   */
  async enter(asking: Asking, answers: number, priority: number): Promise<() => void> {
    asking.signal.throwIfAborted();
    const places = Math.min(Math.max(answers, 1), this.#options.places);
    const isFree = this.#line.length === 0 && this.#taken + places <= this.#options.places;
    if (!isFree) await this.#wait(asking, places, priority);
    else this.#take(asking, places);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#taken -= places;
      this.#advance();
    };
  }

  #wait(asking: Asking, places: number, priority: number): Promise<void> {
    const isFirst = !this.#letIn.has(asking) && !this.#outside.has(asking);
    if (isFirst && this.#outside.size >= this.#options.line) {
      throw new RequestError(
        "overloaded",
        `${this.#outside.size} requests are waiting already; try again later.`,
        { code: "queue_full", retryAfterSeconds: this.#patience() },
      );
    }
    if (isFirst) this.#outside.add(asking);
    // One for each of its parts: Node warns of many that listen to one signal.
    const signal = AbortSignal.any([asking.signal]);
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#outside.delete(asking);
        this.#line.splice(this.#line.indexOf(waiting), 1);
        reject(signal.reason);
        this.#advance();
      };
      const waiting: Waiting = {
        places,
        priority,
        begin: () => {
          this.#take(asking, places);
          signal.removeEventListener("abort", leave);
          resolve();
        },
      };
      const before = this.#line.findIndex((other) => other.priority > priority);
      this.#line.splice(before < 0 ? this.#line.length : before, 0, waiting);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  #advance(): void {
    for (;;) {
      const [first] = this.#line;
      if (!first || this.#taken + first.places > this.#options.places) return;
      this.#line.shift();
      first.begin();
    }
  }

  #take(asking: Asking, places: number): void {
    this.#taken += places;
    this.#outside.delete(asking);
    this.#letIn.add(asking);
  }

  /** Longer the more wait for each place. */
  #patience(): number {
    return Math.min(60, 1 + Math.ceil(this.#line.length / this.#options.places));
  }
}
