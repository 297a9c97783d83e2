/** Filters that take or make sequences and dicts. */
import { attributeOf } from "./attributes.ts";
import { Dict, DictView, hashOf } from "./dict.ts";
import { dumpJson } from "./dump-json.ts";
import { type FunctionTable, flag, functions, integer, text } from "./functions.ts";
import { lookUp, lookUps } from "./lookups.ts";
import { like } from "./markup.ts";
import { binary, equal, getAttribute, missingFrom, ordered, sorted } from "./operators.ts";
import { typeName, Undefined, type Value } from "./py-object.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { Group, PyIterator, Tuple } from "./sequences.ts";
import { each, iteratorOf, lengthOfValue, listOf, reversedOf, textOf, truthy } from "./values.ts";

const length = (_rt: Runtime, value: Value) => BigInt(lengthOfValue(value));

const standard = (_rt: Runtime, value: Value, other: Value = "", isTested?: Value): Value =>
  value instanceof Undefined || (flag(isTested) && !truthy(value)) ? other : value;

const extreme =
  (operator: "<" | ">") =>
  (rt: Runtime, value: Value, caseSensitive?: Value, attribute?: Value): Value => {
    const get = lookUp({ attribute, ignoresCase: !flag(caseSensitive) }, rt);
    let best: { item: Value; key: Value } | undefined;
    for (const item of each(value, rt)) {
      const key = get(item);
      if (best === undefined || ordered(operator, key, best.key, rt)) best = { item, key };
    }
    return best === undefined ? new Undefined("No aggregated item, sequence was empty.") : best.item;
  };

export const SEQUENCE_FILTERS: FunctionTable = functions(
  ["length obj/", length],
  ["count obj/", length],
  ["default value default_value? boolean?", standard],
  ["d value default_value? boolean?", standard],
  ["list value", (rt, value: Value) => listOf(value, rt)],
  ["items value", (rt, value: Value) => itemsOf(value, rt)],
  [
    "first seq",
    (rt, value: Value) => {
      for (const item of each(value, rt)) return item;
      return new Undefined("No first item, sequence was empty.");
    },
  ],
  [
    "last seq",
    (rt, value: Value) => {
      const items = reversedOf(value, rt);
      if (items === undefined) {
        throw new TemplateFailure(`'${typeName(value)}' object is not reversible`);
      }
      const { done, value: item } = items.next();
      return done ? new Undefined("No last item, sequence was empty.") : item;
    },
  ],
  [
    "random seq",
    (rt, value: Value) => {
      const items = listOf(value, rt);
      const item = items[Math.floor(Math.random() * items.length)];
      return item === undefined ? new Undefined("No random item, sequence was empty.") : item;
    },
  ],
  [
    "reverse value",
    (rt, value: Value) => {
      const whole = textOf(value);
      if (whole !== undefined) return like(value, Array.from(rt.characters(whole)).reverse().join(""));
      const items = reversedOf(value, rt);
      return items === undefined
        ? listOf(value, rt).reverse()
        : new PyIterator(items, `${typeName(value)}_reverseiterator`);
    },
  ],
  [
    "sort value reverse? case_sensitive? attribute?",
    (rt, value: Value, reverse?: Value, caseSensitive?: Value, attribute?: Value) => {
      const key = lookUps({ attribute, ignoresCase: !flag(caseSensitive) }, rt);
      return sorted(listOf(value, rt), key, flag(reverse), rt);
    },
  ],
  ["dictsort value case_sensitive? by? reverse?", dictSort],
  ["min value case_sensitive? attribute?", extreme("<")],
  ["max value case_sensitive? attribute?", extreme(">")],
  ["groupby value attribute default? case_sensitive?", groupBy],
  [
    "unique value case_sensitive? attribute?",
    (rt, value: Value, caseSensitive?: Value, attribute?: Value) =>
      new PyIterator(unique(rt, value, lookUp({ attribute, ignoresCase: !flag(caseSensitive) }, rt))),
  ],
  [
    "sum iterable attribute? start?",
    (rt, value: Value, attribute: Value = null, start: Value = 0n) => {
      if (textOf(start) !== undefined) throw new TemplateFailure("sum() can't sum strings");
      const get = lookUp({ attribute }, rt);
      let total = start;
      for (const item of each(value, rt)) total = binary("+", total, get(item), rt);
      return total;
    },
  ],
  [
    "batch value linecount fill_with?",
    (rt, value: Value, size: Value, fill: Value = null) => new PyIterator(batches(rt, value, size, fill)),
  ],
  [
    "slice value slices fill_with?",
    (rt, value: Value, slices: Value, fill: Value = null) => new PyIterator(columns(rt, value, slices, fill)),
  ],
  [
    "attr obj name",
    (rt, value: Value, name: Value) => {
      const wanted = text(name, "attribute name");
      const isThere = attributeOf(value, wanted) !== undefined;
      return isThere ? getAttribute(value, wanted, rt) : missingFrom(value, wanted, rt);
    },
  ],
  [
    "tojson x ensure_ascii? indent? separators? sort_keys?",
    (rt, value: Value, ascii?: Value, indent: Value = null, separators: Value = null, sort?: Value) =>
      dumpJson(
        value,
        {
          ensureAscii: flag(ascii),
          indent: indent === null ? null : indentOf(indent),
          separators: separatorsOf(separators, indent === null, rt),
          sortKeys: flag(sort),
        },
        rt,
      ),
  ],
);

function indentOf(indent: Value): string {
  return textOf(indent) ?? " ".repeat(Math.min(1000, Math.max(0, integer(indent))));
}

function separatorsOf(separators: Value, isOneLine: boolean, rt: Runtime): [string, string] {
  if (separators === null) return [isOneLine ? ", " : ",", ": "];
  const [item, key, ...more] = listOf(separators, rt);
  if (item === undefined || key === undefined || more.length > 0) {
    throw new TemplateFailure("tojson: separators must be two texts");
  }
  return [text(item, "a separator"), text(key, "a separator")];
}

function itemsOf(value: Value, rt: Runtime): Value {
  if (value instanceof Undefined) return new PyIterator(value.iterate());
  // A generator of Python fails when it is gone through; here at once.
  if (!(value instanceof Dict)) throw new TemplateFailure("Can only get item pairs from a mapping.");
  return new PyIterator(iteratorOf(new DictView(value, "items"), rt) as Iterator<Value>);
}

function dictSort(
  rt: Runtime,
  value: Value,
  caseSensitive?: Value,
  by: Value = "key",
  reverse?: Value,
): Value {
  const place = by === "key" ? 0 : by === "value" ? 1 : undefined;
  if (place === undefined) throw new TemplateFailure('You can only sort by either "key" or "value"');
  if (value instanceof Undefined) value.fail();
  if (!(value instanceof Dict)) {
    throw new TemplateFailure(`'${typeName(value)}' object has no attribute 'items'`);
  }
  const lowered = lookUp({ attribute: null, ignoresCase: !flag(caseSensitive) }, rt);
  const entries = Array.from(value.entries.values());
  return sorted(entries, (entry) => lowered(entry[place]), flag(reverse), rt).map(
    (entry) => new Tuple(entry),
  );
}

function groupBy(
  rt: Runtime,
  value: Value,
  attribute: Value,
  standard: Value = null,
  caseSensitive?: Value,
): Value {
  const isSensitive = flag(caseSensitive);
  const get = lookUp({ attribute, ignoresCase: !isSensitive, standard }, rt);
  const shown = lookUp({ attribute, standard }, rt);
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sorted(listOf(value, rt), get, false, rt)) {
    const key = get(item);
    const last = groups.at(-1);
    if (last !== undefined && equal(last.key, key, rt)) last.items.push(item);
    else groups.push({ key, items: [item] });
  }
  return groups.map(({ key, items }) => new Group([isSensitive ? key : shown(items[0] as Value), items]));
}

function* unique(rt: Runtime, value: Value, get: (item: Value) => Value): Generator<Value, void, undefined> {
  const seen = new Set<unknown>();
  for (const item of each(value, rt)) {
    const hash = hashOf(get(item));
    if (seen.has(hash)) continue;
    seen.add(hash);
    yield item;
  }
}

function* batches(rt: Runtime, value: Value, size: Value, fill: Value): Generator<Value, void, undefined> {
  let batch: Value[] = [];
  for (const item of each(value, rt)) {
    if (equal(BigInt(batch.length), size, rt)) {
      yield batch;
      batch = [];
    }
    batch.push(item);
  }
  if (batch.length === 0) return;
  const missing = fill === null ? 0 : integer(size) - batch.length;
  if (missing > 0) {
    rt.charge(missing);
    batch.push(...Array.from({ length: missing }, () => fill));
  }
  yield batch;
}

/** As many lists as asked for, the first of them one longer where it does not come out even. */
function* columns(rt: Runtime, value: Value, slices: Value, fill: Value): Generator<Value, void, undefined> {
  const items = listOf(value, rt);
  const count = integer(slices);
  if (count === 0) throw new TemplateFailure("integer division or modulo by zero");
  const size = Math.floor(items.length / count);
  const numLonger = items.length - size * count;
  let start = 0;
  for (let index = 0; index < count; index++) {
    rt.charge(1);
    const end = start + size + (index < numLonger ? 1 : 0);
    const column = items.slice(start, end);
    yield fill !== null && index >= numLonger ? [...column, fill] : column;
    start = end;
  }
}
