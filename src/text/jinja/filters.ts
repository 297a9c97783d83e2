/** All filters and tests by name, and those filters that call others. */

import { type Dict, hashOf } from "./dict.ts";
import { type FunctionTable, functions } from "./functions.ts";
import { lookUp } from "./lookups.ts";
import { NUMBER_FILTERS } from "./number-filters.ts";
import { TESTS as OWN_TESTS } from "./predicates.ts";
import { type Keywords, Undefined, type Value } from "./py-object.ts";
import { repr } from "./repr.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { SEQUENCE_FILTERS } from "./sequence-filters.ts";
import { PyIterator } from "./sequences.ts";
import { TEXT_FILTERS } from "./text-filters.ts";
import { each, textOf, truthy } from "./values.ts";

const CALLING_FILTERS = functions(
  [
    "map value *args **kwargs",
    (rt, value: Value, args: Value, keywords: Value) =>
      new PyIterator(
        mapped(rt, value, () => mapperOf(rt, args as readonly Value[], keywordsOf(keywords as Dict))),
      ),
  ],
  ["select value *args **kwargs", selecting(true, false)],
  ["reject value *args **kwargs", selecting(false, false)],
  ["selectattr value *args **kwargs", selecting(true, true)],
  ["rejectattr value *args **kwargs", selecting(false, true)],
);

export const FILTERS: FunctionTable = new Map([
  ...TEXT_FILTERS,
  ...NUMBER_FILTERS,
  ...SEQUENCE_FILTERS,
  ...CALLING_FILTERS,
]);

export const TESTS: FunctionTable = new Map([
  ...OWN_TESTS,
  ...functions(
    ["filter value", (_rt, value: Value) => hasName(FILTERS, value)],
    ["test value", (_rt, value: Value) => hasName(TESTS, value)],
  ),
]);

/** Whatever can be a key may be asked for. */
function hasName(table: FunctionTable, name: Value): boolean {
  hashOf(name);
  return table.has(textOf(name) ?? "");
}

function keywordsOf(dict: Dict): Map<string, Value> {
  return new Map(Array.from(dict.entries.values(), ([key, value]) => [key as string, value]));
}

type ItemFunction = (item: Value) => Value;

function* mapped(rt: Runtime, value: Value, mapper: () => ItemFunction): Generator<Value, void, undefined> {
  if (!truthy(value)) return;
  const map = mapper();
  for (const item of each(value, rt)) yield map(item);
}

function mapperOf(rt: Runtime, args: readonly Value[], keywords: Keywords): ItemFunction {
  const attribute = keywords.get("attribute");
  if (args.length === 0 && attribute !== undefined) {
    const unknown = [...keywords.keys()].find((name) => name !== "attribute" && name !== "default");
    if (unknown !== undefined) throw new TemplateFailure(`Unexpected keyword argument '${unknown}'`);
    return lookUp({ attribute, standard: keywords.get("default") ?? null }, rt);
  }
  const [name, ...rest] = args;
  if (name === undefined) throw new TemplateFailure("map requires a filter argument");
  return caller(rt, "filter", FILTERS, name, rest, keywords);
}

/** A function by name; that there is none shows when it is called. */
function caller(
  rt: Runtime,
  kind: "filter" | "test",
  table: FunctionTable,
  name: Value,
  args: readonly Value[],
  keywords: Keywords,
): ItemFunction {
  const known = table.get(textOf(name) ?? "");
  return (item) => {
    if (known !== undefined) return known.call(rt, [item, ...args], keywords);
    const reason =
      name instanceof Undefined ? ` (${name.message}; did you forget to quote the callable name?)` : "";
    throw new TemplateFailure(`No ${kind} named ${repr(name, rt)}.${reason}`);
  };
}

function selecting(isKept: boolean, byAttribute: boolean) {
  return (rt: Runtime, value: Value, args: Value, keywords: Value): Value =>
    new PyIterator(
      selected(rt, value, isKept, () =>
        choiceOf(rt, args as readonly Value[], keywordsOf(keywords as Dict), byAttribute),
      ),
    );
}

function choiceOf(
  rt: Runtime,
  args: readonly Value[],
  keywords: Keywords,
  byAttribute: boolean,
): (item: Value) => boolean {
  const [attribute, ...rest] = byAttribute ? args : [null, ...args];
  if (attribute === undefined) throw new TemplateFailure("Missing parameter for attribute name");
  const get = lookUp({ attribute }, rt);
  const [name, ...more] = rest;
  if (name === undefined) return (item) => truthy(get(item));
  const test = caller(rt, "test", TESTS, name, more, keywords);
  return (item) => truthy(test(get(item)));
}

function* selected(
  rt: Runtime,
  value: Value,
  isKept: boolean,
  choice: () => (item: Value) => boolean,
): Generator<Value, void, undefined> {
  if (!truthy(value)) return;
  const chooses = choice();
  for (const item of each(value, rt)) if (chooses(item) === isKept) yield item;
}
