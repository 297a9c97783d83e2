/** Events of a run in the worker, as they come, for who reads them here. */
import type { GenerationEvent, GenerationResult } from "../serving/run-result.ts";
import { MOST_EVENTS_AHEAD } from "./protocol.ts";

type End = { readonly result: GenerationResult } | { readonly error: unknown };

/** Events of which the worker is told at once; some less than it may be ahead. */
const READ_TOGETHER = MOST_EVENTS_AHEAD / 4;

export interface RunLink {
  /** So many were read: the worker may send as many more. */
  read(count: number): void;
  leave(): void;
}

export class RunInbox {
  readonly #link: RunLink;
  readonly #events: GenerationEvent[] = [];
  /** Of which the worker was not told. */
  #read = 0;
  #end: End | undefined;
  #wake = () => {};
  /** When nobody reads on. */
  onLeft = () => {};

  constructor(link: RunLink) {
    this.#link = link;
  }

  put(event: GenerationEvent): void {
    this.#events.push(event);
    this.#wake();
  }

  end(end: End): void {
    this.#end ??= end;
    this.#wake();
  }

  /** The next event, or the result. @throws what ended the run otherwise */
  async next(): Promise<IteratorResult<GenerationEvent, GenerationResult>> {
    while (this.#events.length === 0 && !this.#end) await this.#news();
    const value = this.#events.shift();
    if (value) {
      this.#read += 1;
      if (this.#read === READ_TOGETHER) {
        this.#link.read(this.#read);
        this.#read = 0;
      }
      return { done: false, value };
    }
    const end = this.#end as End;
    if ("error" in end) throw end.error;
    return { done: true, value: end.result };
  }

  /** Nobody reads on. */
  abort(): void {
    this.#events.length = 0;
    this.onLeft();
    if (!this.#end) this.#link.leave();
  }

  /** The same; what the run held is free when this resolves. */
  async close(): Promise<void> {
    this.abort();
    while (!this.#end) await this.#news();
  }

  /** One waits at a time: a generator that reads can not be left before it has read. */
  #news(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
