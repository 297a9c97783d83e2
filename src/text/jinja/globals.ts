/** The functions that every template has: Jinja's, and those that transformers adds. */
import { dictOf } from "./collection-methods.ts";
import { Dict, Namespace } from "./dict.ts";
import { type FunctionTable, functions, integer, text } from "./functions.ts";
import { Cycler, Joiner } from "./objects.ts";
import type { Value } from "./py-object.ts";
import { str } from "./repr.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { Range } from "./sequences.ts";
import { strftime } from "./strftime.ts";

/** As in Jinja's sandbox. */
const MAX_RANGE = 100_000;

export const GLOBALS: FunctionTable = functions(
  ["range start/ stop?/ step?/", (_rt, start: Value, stop?: Value, step?: Value) => range(start, stop, step)],
  ["dict source?/ **kwargs", (rt, source: Value | undefined, items: Value) => dict(rt, source, items)],
  [
    "namespace source?/ **kwargs",
    (rt, source: Value | undefined, items: Value) => {
      const namespace = new Namespace();
      for (const [key, value] of dict(rt, source, items).entries.values())
        namespace.attributes.set(key, value);
      return namespace;
    },
  ],
  ["cycler *items", (_rt, items: Value) => new Cycler(items as readonly Value[])],
  ["joiner sep?", (_rt, separator: Value = ", ") => new Joiner(separator)],
  [
    "lipsum *args **kwargs",
    () => {
      throw new TemplateFailure("lipsum() makes random text, which no prompt should have");
    },
  ],
  [
    "raise_exception message",
    (rt, message: Value) => {
      throw new TemplateFailure(str(message, rt));
    },
  ],
  [
    "strftime_now format",
    (rt, format: Value) => rt.text(strftime(new Date(), text(format, "strftime_now() format"))),
  ],
);

function range(first: Value, second: Value | undefined, third: Value = 1n): Range {
  const [start, stop] = second === undefined ? [0, integer(first)] : [integer(first), integer(second)];
  const step = integer(third);
  if (step === 0) throw new TemplateFailure("range() arg 3 must not be zero");
  const made = new Range(start, stop, step);
  if (made.length > MAX_RANGE) {
    throw new TemplateFailure(
      `Range too big. The sandbox blocks ranges larger than MAX_RANGE (${MAX_RANGE}).`,
    );
  }
  return made;
}

function dict(rt: Runtime, source: Value | undefined, items: Value): Dict {
  const made = source === undefined ? new Dict() : dictOf(source, rt);
  for (const [key, value] of (items as Dict).entries.values()) made.set(key, value);
  return made;
}
