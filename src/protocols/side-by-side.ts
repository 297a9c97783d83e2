/** Several streams read as one, in the order in which what they give comes. */

type Arrived<T, R> =
  | { readonly index: number; readonly next: IteratorResult<T, R> }
  | { readonly error: unknown };

/**
 * Each is asked for one item ahead. @param open the streams; all are opened at once, and returned with this one
 * @returns what they returned, by their places
 * @throws what one of them throws, which ends all
 */
export async function* sideBySide<T, R>(
  open: readonly (() => Promise<AsyncGenerator<T, R, void>>)[],
): AsyncGenerator<{ readonly index: number; readonly item: T }, R[], void> {
  const opened: AsyncGenerator<T, R, void>[] = [];
  const results: R[] = [];
  const arrived: Arrived<T, R>[] = [];
  let wake = () => {};
  let hasEnded = false;
  const arrive = (event: Arrived<T, R>) => {
    arrived.push(event);
    wake();
  };
  const ask = (stream: AsyncGenerator<T, R, void>, index: number) =>
    stream.next().then(
      (next) => arrive({ index, next }),
      (error) => arrive({ error }),
    );
  const starting = open.map(async (start, index) => {
    try {
      const stream = await start();
      opened[index] = stream;
      if (hasEnded) await stream.return(undefined as never);
      else ask(stream, index);
    } catch (error) {
      arrive({ error });
    }
  });
  try {
    for (let left = open.length; left > 0; ) {
      while (arrived.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      const event = arrived.shift() as Arrived<T, R>;
      if ("error" in event) throw event.error;
      const { index, next } = event;
      if (next.done) {
        results[index] = next.value;
        left--;
        continue;
      }
      yield { index, item: next.value };
      const stream = opened[index] as AsyncGenerator<T, R, void>;
      ask(stream, index);
    }
    return results;
  } finally {
    hasEnded = true;
    await Promise.allSettled(opened.map((stream) => stream.return(undefined as never)));
    // Those that wait for their turn end by the signal of their request.
    Promise.allSettled(starting);
  }
}
