/** The methods of list, tuple and dict that do not change their object. */

import { Dict, DictView } from "./dict.ts";
import { type FunctionTable, functions, integer } from "./functions.ts";
import { equal } from "./operators.ts";
import { typeName, type Value } from "./py-object.ts";
import { repr } from "./repr.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { listOf } from "./values.ts";

const SEQUENCE_METHODS: FunctionTable = functions(
  [
    "count self/ value/",
    (rt, self: Value, value: Value) =>
      BigInt(listOf(self, rt).filter((item) => equal(item, value, rt)).length),
  ],
  [
    "index self/ value/ start?/ stop?/",
    (rt, self: Value, value: Value, start?: Value, stop?: Value) => indexIn(rt, self, value, start, stop),
  ],
);

function indexIn(rt: Runtime, self: Value, value: Value, start?: Value, stop?: Value): Value {
  const items = listOf(self, rt);
  const bound = (given: Value | undefined, standard: number) => {
    const at = given === undefined ? standard : integer(given);
    return at < 0 ? Math.max(0, at + items.length) : at;
  };
  const end = Math.min(items.length, bound(stop, items.length));
  for (let index = bound(start, 0); index < end; index++) {
    if (equal(items[index] as Value, value, rt)) return BigInt(index);
  }
  throw new TemplateFailure(`${repr(value, rt)} is not in ${typeName(self)}`);
}

export const TUPLE_METHODS = SEQUENCE_METHODS;

export const LIST_METHODS: FunctionTable = new Map([
  ...SEQUENCE_METHODS,
  ...functions(["copy self/", (rt, self: Value) => listOf(self, rt)]),
]);

export const DICT_METHODS: FunctionTable = functions(
  ["keys self/", (_rt, self: Value) => new DictView(self as Dict, "keys")],
  ["values self/", (_rt, self: Value) => new DictView(self as Dict, "values")],
  ["items self/", (_rt, self: Value) => new DictView(self as Dict, "items")],
  [
    "get self/ key/ default?/",
    (_rt, self: Value, key: Value, standard: Value = null) => {
      const value = (self as Dict).get(key);
      return value === undefined ? standard : value;
    },
  ],
  ["copy self/", (rt, self: Value) => copyOf(self as Dict, rt)],
  [
    "fromkeys self/ keys/ value?/",
    (rt, _self: Value, keys: Value, value: Value = null) => {
      const dict = new Dict();
      for (const key of listOf(keys, rt)) dict.set(key, value);
      return dict;
    },
  ],
);

export function copyOf(dict: Dict, rt: Runtime): Dict {
  rt.charge(dict.length);
  const copy = new Dict();
  for (const [hash, entry] of dict.entries) copy.entries.set(hash, entry);
  return copy;
}

/** What dict() makes of its one argument: a dict, or a list of pairs. */
export function dictOf(source: Value, rt: Runtime): Dict {
  if (source instanceof Dict) return copyOf(source, rt);
  const dict = new Dict();
  listOf(source, rt).forEach((item, index) => {
    const pair = listOf(item, rt);
    if (pair.length !== 2) {
      throw new TemplateFailure(
        `dictionary update sequence element #${index} has length ${pair.length}; 2 is required`,
      );
    }
    dict.set(pair[0] as Value, pair[1] as Value);
  });
  return dict;
}
