/** Operators, comparisons, subscripts and attributes with Python's rules, as Jinja's sandbox allows them. */
import { attributeOf, changesItsObject } from "./attributes.ts";
import { Dict, DictView } from "./dict.ts";
import { joinMarkup, like } from "./markup.ts";
import { divide, floorDivide, minus, modulo, type Num, negate, plus, power, times } from "./numbers.ts";
import { formatPercent } from "./percent.ts";
import { isList, PyObject, typeName, Undefined, type Value } from "./py-object.ts";
import { repr } from "./repr.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { Markup, Range, Tuple } from "./sequences.ts";
import { between, compareText, isPlain, lengthOf } from "./strings.ts";
import { each, numberOf, textOf } from "./values.ts";

export type BinaryOperator = "+" | "-" | "*" | "/" | "//" | "%" | "**";
export type Comparison = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in";

const ARITHMETIC: Readonly<Record<BinaryOperator, (a: Num, b: Num) => Num>> = {
  "+": plus,
  "-": minus,
  "*": times,
  "/": divide,
  "//": floorDivide,
  "%": modulo,
  "**": power,
};

export function binary(operator: BinaryOperator, a: Value, b: Value, rt: Runtime): Value {
  const [left, right] = [numberOf(a), numberOf(b)];
  if (left !== undefined && right !== undefined) return ARITHMETIC[operator](left, right);
  if (operator === "%") {
    const text = textOf(a);
    if (text !== undefined) return formatPercent(a, text, b, rt);
  }
  failIfUndefined(a);
  failIfUndefined(b);
  const result =
    operator === "+" ? concatenated(a, b, rt) : operator === "*" ? repeated(a, b, rt) : undefined;
  if (result !== undefined) return result;
  throw unsupported(operator, a, b);
}

function unsupported(operator: BinaryOperator, a: Value, b: Value): TemplateFailure {
  const types = `'${typeName(a)}' and '${typeName(b)}'`;
  if (operator === "+" && textOf(a) !== undefined) {
    return new TemplateFailure(`can only concatenate str (not "${typeName(b)}") to str`);
  }
  const name = operator === "**" ? "** or pow()" : operator;
  return new TemplateFailure(`unsupported operand type(s) for ${name}: ${types}`);
}

function concatenated(a: Value, b: Value, rt: Runtime): Value | undefined {
  if (typeof a === "string" && typeof b === "string") return joined(a, b, rt);
  if (a instanceof Markup || b instanceof Markup) return joinMarkup(a, b, rt);
  if (isList(a) && isList(b)) return appended(a, b, rt);
  if (a instanceof Tuple && b instanceof Tuple) return new Tuple(appended(a.items, b.items, rt));
  return undefined;
}

function joined(a: string, b: string, rt: Runtime): string {
  rt.joined(a.length + b.length);
  return a + b;
}

function appended(a: readonly Value[], b: readonly Value[], rt: Runtime): Value[] {
  chargeItems(a.length + b.length, rt);
  return [...a, ...b];
}

/** Of a list that others are joined to. */
const MAX_ITEMS = 2_000_000;

/** Copying is cheap, keeping is not. */
function chargeItems(count: number, rt: Runtime): void {
  if (count > MAX_ITEMS) throw new TemplateFailure("a list grows too long");
  rt.charge(1 + Math.floor(count / 4));
}

function repeated(a: Value, b: Value, rt: Runtime): Value | undefined {
  const count = numberOf(b);
  if (typeof count !== "bigint") return typeof numberOf(a) === "bigint" ? repeatedBy(b, a, rt) : undefined;
  return repeatedBy(a, b, rt);
}

function repeatedBy(sequence: Value, count: Value, rt: Runtime): Value | undefined {
  const times = Math.max(0, Number(numberOf(count)));
  if (times >= 2 ** 63) throw new TemplateFailure("cannot fit 'int' into an index-sized integer");
  const text = textOf(sequence);
  if (text !== undefined) {
    if (text === "") return sequence;
    rt.chargeText(text.length * times);
    return like(sequence, text.repeat(times));
  }
  const items = isList(sequence) ? sequence : sequence instanceof Tuple ? sequence.items : undefined;
  if (items === undefined) return undefined;
  chargeItems(items.length * times, rt);
  const all = items.length === 0 ? [] : Array.from({ length: times }, () => items).flat();
  return isList(sequence) ? all : new Tuple(all);
}

export function signed(operator: "+" | "-", value: Value): Value {
  failIfUndefined(value);
  const number = numberOf(value);
  if (number === undefined) {
    throw new TemplateFailure(`bad operand type for unary ${operator}: '${typeName(value)}'`);
  }
  return operator === "-" ? negate(number) : number;
}

function failIfUndefined(value: Value): void {
  if (value instanceof Undefined) value.fail();
}

export function equal(a: Value, b: Value, rt: Runtime): boolean {
  if (a === b) return true;
  const [left, right] = [numberOf(a), numberOf(b)];
  // biome-ignore lint/suspicious/noDoubleEquals: a bigint equals a float of its value only so
  if (left !== undefined && right !== undefined) return left == right;
  const text = textOf(a);
  if (text !== undefined) return equalText(text, textOf(b), rt);
  if (isList(a)) return isList(b) && equalItems(a, b, rt);
  if (a instanceof Tuple) return b instanceof Tuple && equalItems(a.items, b.items, rt);
  if (a instanceof Dict) return b instanceof Dict && equalDicts(a, b, rt);
  if (a instanceof Undefined) return b instanceof Undefined;
  if (a instanceof Range) return b instanceof Range && equalRanges(a, b);
  if (a instanceof DictView) return b instanceof DictView && equalViews(a, b, rt);
  return false;
}

function equalText(a: string, b: string | undefined, rt: Runtime): boolean {
  if (a.length !== b?.length) return false;
  rt.charge(Math.floor(a.length / 64));
  return a === b;
}

function equalItems(a: readonly Value[], b: readonly Value[], rt: Runtime): boolean {
  rt.charge(1);
  if (a.length !== b.length) return false;
  return rt.nested(() => {
    rt.charge(a.length);
    return a.every((item, index) => equal(item, b[index] as Value, rt));
  });
}

function equalDicts(a: Dict, b: Dict, rt: Runtime): boolean {
  if (a.length !== b.length) return false;
  return rt.nested(() => {
    rt.charge(a.length);
    for (const [hash, [, value]] of a.entries) {
      const other = b.entries.get(hash);
      if (other === undefined || !equal(value, other[1], rt)) return false;
    }
    return true;
  });
}

function equalRanges(a: Range, b: Range): boolean {
  if (a.length !== b.length) return false;
  return a.length === 0 || (a.start === b.start && (a.length === 1 || a.step === b.step));
}

/** Keys and items are sets; values are themselves only. */
function equalViews(a: DictView, b: DictView, rt: Runtime): boolean {
  if (a.typeName === "dict_values" || b.typeName === "dict_values" || a.length !== b.length) return false;
  return a.items().every((item) => contains(b, item, rt));
}

/** Python's <, <=, > and >=. */
export function ordered(operator: "<" | "<=" | ">" | ">=", a: Value, b: Value, rt: Runtime): boolean {
  const [left, right] = [numberOf(a), numberOf(b)];
  if (left !== undefined && right !== undefined) return holds(operator, left, right);
  const [text, other] = [textOf(a), textOf(b)];
  if (text !== undefined && other !== undefined) {
    rt.charge(Math.floor(Math.min(text.length, other.length) / 16));
    return holds(operator, compareText(text, other), 0);
  }
  failIfUndefined(a);
  failIfUndefined(b);
  if (isList(a) && isList(b)) return orderedItems(operator, a, b, rt);
  if (a instanceof Tuple && b instanceof Tuple) return orderedItems(operator, a.items, b.items, rt);
  throw new TemplateFailure(
    `'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`,
  );
}

function holds(operator: "<" | "<=" | ">" | ">=", a: Num, b: Num): boolean {
  switch (operator) {
    case "<":
      return a < b;
    case "<=":
      return a <= b;
    case ">":
      return a > b;
    case ">=":
      return a >= b;
  }
}

function orderedItems(
  operator: "<" | "<=" | ">" | ">=",
  a: readonly Value[],
  b: readonly Value[],
  rt: Runtime,
): boolean {
  return rt.nested(() => {
    const shared = Math.min(a.length, b.length);
    for (let index = 0; index < shared; index++) {
      rt.charge(1);
      const [left, right] = [a[index] as Value, b[index] as Value];
      if (!equal(left, right, rt)) return ordered(operator, left, right, rt);
    }
    return holds(operator, a.length, b.length);
  });
}

/** Sorts as Python's sorted(), by a key of each item. */
export function sorted<T>(
  items: readonly T[],
  key: (item: T) => Value,
  isReversed: boolean,
  rt: Runtime,
): T[] {
  rt.charge(items.length * 4);
  const keyed = items.map((item) => ({ item, key: key(item) }));
  // A reversed sort keeps the order of equal items too.
  const sign = isReversed ? -1 : 1;
  keyed.sort((a, b) => {
    if (ordered("<", a.key, b.key, rt)) return -sign;
    return ordered("<", b.key, a.key, rt) ? sign : 0;
  });
  return keyed.map(({ item }) => item);
}

/** Python's `item in container`. */
export function contains(container: Value, item: Value, rt: Runtime): boolean {
  const text = textOf(container);
  if (text !== undefined) {
    const part = textOf(item);
    if (part === undefined) {
      throw new TemplateFailure(`'in <string>' requires string as left operand, not ${typeName(item)}`);
    }
    rt.search(text, part);
    return text.includes(part);
  }
  if (container instanceof PyObject) {
    const answer = container.contains(item, rt);
    if (answer !== undefined) return answer;
  }
  if (!isList(container) && !(container instanceof PyObject && container.iterate(rt) !== undefined)) {
    throw new TemplateFailure(`argument of type '${typeName(container)}' is not iterable`);
  }
  for (const other of each(container, rt)) if (equal(other, item, rt)) return true;
  return false;
}

export function compare(operator: Comparison, a: Value, b: Value, rt: Runtime): boolean {
  switch (operator) {
    case "==":
      return equal(a, b, rt);
    case "!=":
      return !equal(a, b, rt);
    case "in":
      return contains(b, a, rt);
    case "not in":
      return !contains(b, a, rt);
    default:
      return ordered(operator, a, b, rt);
  }
}

/** `value.name`: an attribute, else an item, else undefined. */
export function getAttribute(value: Value, name: string, rt: Runtime): Value {
  const found = attributeOf(value, name);
  if (found !== undefined) return allowed(value, name, found);
  const item = itemOf(value, name, rt);
  return item === undefined ? missingFrom(value, name, rt) : item;
}

/** `value[key]`: an item, else an attribute, else undefined. */
export function getItem(value: Value, key: Value, rt: Runtime): Value {
  const name = textOf(key);
  if (name !== undefined) rt.hashed(name);
  const item = itemOf(value, key, rt);
  if (item !== undefined) return item;
  const found = name === undefined ? undefined : attributeOf(value, name);
  return found === undefined ? missingFrom(value, key, rt) : allowed(value, name as string, found);
}

/** What the sandbox forbids is undefined, and says so when it is used. */
function allowed(value: Value, name: string, found: Value): Value {
  if (!name.startsWith("_") && !changesItsObject(value, name)) return found;
  return new Undefined(`access to attribute '${name}' of '${typeName(value)}' object is unsafe.`);
}

/** What a lookup that found nothing gives. */
export function missingFrom(value: Value, key: Value, rt: Runtime): Undefined {
  const type = value === null ? "None" : `${qualifiedName(value)} object`;
  if (typeof key === "string") return new Undefined(`'${type}' has no attribute ${repr(key, rt)}`);
  return new Undefined(`${type} has no element ${repr(key, rt)}`);
}

function qualifiedName(value: Value): string {
  const name = typeName(value);
  if (name === "Markup") return "markupsafe.Markup";
  if (name === "_GroupTuple") return "jinja2.filters._GroupTuple";
  if (name === "Namespace" || name === "Cycler" || name === "Joiner") return `jinja2.utils.${name}`;
  return name === "LoopContext" || name === "Macro" ? `jinja2.runtime.${name}` : name;
}

function itemOf(value: Value, key: Value, rt: Runtime): Value | undefined {
  if (value instanceof Dict || value instanceof Undefined) return value.item(key);
  const index = numberOf(key);
  if (typeof index !== "bigint") return value instanceof PyObject ? value.item(key, rt) : undefined;
  const text = textOf(value);
  if (text !== undefined) {
    const at = place(index, lengthOf(rt.text(text)));
    return at === undefined ? undefined : like(value, between(text, at, at + 1));
  }
  if (value instanceof Range) {
    const at = place(index, value.length);
    return at === undefined ? undefined : value.at(at);
  }
  const items = isList(value) ? value : value instanceof Tuple ? value.items : undefined;
  if (items === undefined) return value instanceof PyObject ? value.item(key, rt) : undefined;
  const at = place(index, items.length);
  return at === undefined ? undefined : items[at];
}

function place(index: bigint, length: number): number | undefined {
  const at = Number(index < 0n ? index + BigInt(length) : index);
  return at >= 0 && at < length ? at : undefined;
}

/** `value[start:stop:step]`. */
export function slice(
  value: Value,
  bounds: readonly [start: Value, stop: Value, step: Value],
  rt: Runtime,
): Value {
  if (value instanceof Undefined) value.fail();
  const text = textOf(value);
  if (text !== undefined) return like(value, sliceText(text, bounds, rt));
  const items = isList(value) ? value : value instanceof Tuple ? value.items : undefined;
  if (value instanceof Range) {
    const { start, end, step } = sliceOf(bounds, value.length);
    const at = (index: number) => value.start + index * value.step;
    return new Range(at(start), at(end), value.step * step);
  }
  if (items === undefined) throw new TemplateFailure(`'${typeName(value)}' object is not subscriptable`);
  const chosen = sliceOf(bounds, items.length);
  chargeItems(chosen.step === 1 ? chosen.length : 4 * chosen.length, rt);
  const part = picked(items, chosen);
  return isList(value) ? part : new Tuple(part);
}

function sliceText(text: string, bounds: readonly [Value, Value, Value], rt: Runtime): string {
  rt.chargeText(text.length);
  // Beyond the basic plane places are to be counted.
  if (!isPlain(text)) rt.charge(Math.floor(text.length / 4));
  const length = lengthOf(text);
  const chosen = sliceOf(bounds, length);
  if (chosen.step === 1) return between(text, chosen.start, chosen.start + chosen.length);
  const characters = isPlain(text) ? text.split("") : Array.from(text);
  rt.charge(length);
  return picked(characters, chosen).join("");
}

function picked<T>(items: readonly T[], { start, step, length }: Chosen): T[] {
  if (step === 1) return items.slice(start, start + length);
  const chosen: T[] = [];
  for (let index = 0; index < length; index++) chosen.push(items[start + index * step] as T);
  return chosen;
}

interface Chosen {
  readonly start: number;
  readonly end: number;
  readonly step: number;
  readonly length: number;
}

/** Which of `length` items a slice takes. */
function sliceOf([start, stop, step]: readonly [Value, Value, Value], length: number): Chosen {
  const by = sliceIndex(step) ?? 1;
  if (by === 0) throw new TemplateFailure("slice step cannot be zero");
  const [lowest, highest] = by > 0 ? [0, length] : [-1, length - 1];
  const bound = (value: number) => Math.min(Math.max(value < 0 ? value + length : value, lowest), highest);
  const givenStart = sliceIndex(start);
  const givenStop = sliceIndex(stop);
  const first = givenStart === undefined ? (by > 0 ? lowest : highest) : bound(givenStart);
  const end = givenStop === undefined ? (by > 0 ? highest : lowest) : bound(givenStop);
  return { start: first, end, step: by, length: Math.max(0, Math.ceil((end - first) / by)) };
}

function sliceIndex(value: Value): number | undefined {
  if (value === null) return undefined;
  const number = numberOf(value);
  if (typeof number === "bigint") return Number(number);
  throw new TemplateFailure("slice indices must be integers or None or have an __index__ method");
}
