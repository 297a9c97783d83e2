/** Errors that come again with every try, such as those of a Redis that has gone. */

/** What has not been said for so long is said again. */
const SILENCE_MS = 60_000;

/** @param now milliseconds. @returns what tells an error, but not the same one behind itself */
export function tellOnce(tell: (message: string) => void, now = () => performance.now()) {
  let last = { message: "", at: Number.NEGATIVE_INFINITY };
  return ({ message }: Error): void => {
    const at = now();
    if (message !== last.message || at - last.at > SILENCE_MS) tell(message);
    last = { message, at };
  };
}
