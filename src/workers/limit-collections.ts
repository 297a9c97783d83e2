/** Lists and maps of a parser that runs wild. */

/**
 * Entries of one list or map. V8 ends the process, not the worker, when a single one outgrows the heap: the memory limit
 * of a worker holds for everything else.
 */
const MOST_ENTRIES = 4_000_000;

/**
 * From here on lists that are pushed to, sets and maps of this realm throw a RangeError where they would grow without
 * end. For workers: the realm is the SDK's own.
 */
export function limitCollections(): void {
  limit(Array.prototype, "push", (list) => list.length);
  limit(Set.prototype, "add", (set) => set.size);
  limit(Map.prototype, "set", (map) => map.size);
}

function limit<T extends object>(
  prototype: T,
  name: keyof T & string,
  size: (collection: T) => number,
): void {
  const grow = prototype[name] as (...items: unknown[]) => unknown;
  const limited = function (this: T, ...items: unknown[]) {
    if (size(this) >= MOST_ENTRIES)
      throw new RangeError(`a list or map of more than ${MOST_ENTRIES} entries`);
    return grow.apply(this, items);
  };
  Object.defineProperty(prototype, name, { value: limited, writable: true, configurable: true });
}
