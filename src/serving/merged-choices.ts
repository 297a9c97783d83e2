/** The events of several answers in one stream, in the order in which they come. */
import type { ChoiceEvents, OpenedChoices } from "./choices.ts";
import type { GenerationChoice, GenerationEvent, GenerationResult } from "./run-result.ts";

type Next = IteratorResult<GenerationEvent, GenerationChoice>;
type Arrived = { readonly index: number; readonly next: Next } | { readonly error: unknown };

/**
 * Nothing is asked for before the reader asks, and then one event of each answer, so that they share steps.
 *
 * @param stop aborts those that are under way when one fails, or when nobody reads on
 * @throws what one of them throws: it ends all
 */
export async function* mergedChoices(
  opened: OpenedChoices,
  stop: AbortController,
): AsyncGenerator<GenerationEvent, GenerationResult, void> {
  const asked = new Asked([opened.first]);
  let haveBegun = false;
  try {
    while (!asked.areDone) {
      asked.ask();
      const { index, next } = await asked.arrived();
      if (!haveBegun) asked.add(opened.others());
      haveBegun = true;
      if (next.done) asked.end(index, next.value);
      else yield next.value;
    }
    const choices = asked.choices;
    return { ...(choices[0] as GenerationChoice), choices };
  } finally {
    stop.abort();
    await asked.leave();
    await opened.leave();
  }
}

class Asked {
  readonly #streams: ChoiceEvents[];
  readonly #idle = new Set<number>();
  readonly #arrived: Arrived[] = [];
  readonly #choices: GenerationChoice[] = [];
  #wake: () => void = () => {};
  #ended = 0;

  constructor(streams: readonly ChoiceEvents[]) {
    this.#streams = [];
    this.add(streams);
  }

  get areDone(): boolean {
    return this.#ended === this.#streams.length;
  }

  get choices(): readonly GenerationChoice[] {
    return this.#choices;
  }

  add(streams: readonly ChoiceEvents[]): void {
    for (const stream of streams) this.#idle.add(this.#streams.push(stream) - 1);
    // They hold what they need only when they have begun.
    if (streams.length > 0) this.ask();
  }

  /** One event of each that was not asked for one. */
  ask(): void {
    for (const index of this.#idle) {
      const stream = this.#streams[index] as ChoiceEvents;
      stream.next().then(
        (next) => this.#arrive({ index, next }),
        (error) => this.#arrive({ error }),
      );
    }
    this.#idle.clear();
  }

  /** The one that came first. */
  async arrived(): Promise<{ readonly index: number; readonly next: Next }> {
    while (this.#arrived.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    const first = this.#arrived.shift() as Arrived;
    if ("error" in first) throw first.error;
    this.#idle.add(first.index);
    return first;
  }

  end(index: number, choice: GenerationChoice): void {
    this.#idle.delete(index);
    this.#choices[index] = choice;
    this.#ended++;
  }

  /** When all that is under way has ended. */
  async leave(): Promise<void> {
    await Promise.allSettled(this.#streams.map((stream) => stream.return(undefined as never)));
  }

  #arrive(arrived: Arrived): void {
    this.#arrived.push(arrived);
    this.#wake();
  }
}
