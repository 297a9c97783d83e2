/**
 * The values of a template, as Python has them: int is a bigint, float a number, a list an array; all that
 * JavaScript lacks is a `PyObject`.
 */
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { lengthOf } from "./strings.ts";

export type Value = null | boolean | bigint | number | string | readonly Value[] | PyObject;
export type Arguments = readonly Value[];
export type Keywords = ReadonlyMap<string, Value>;

export abstract class PyObject {
  /** As Python's messages name it. */
  abstract readonly typeName: string;

  truthy(): boolean {
    const { length } = this;
    return length === undefined || length > 0;
  }

  /** Undefined where the type has no len(). */
  get length(): number | undefined {
    return undefined;
  }

  /** The items anew each time, or what is left of a generator; undefined where the type can not be gone through. */
  iterate(_rt: Runtime): Iterator<Value> | undefined {
    return undefined;
  }

  /** The same from behind. */
  reversed(_rt: Runtime): Iterator<Value> | undefined {
    return undefined;
  }

  attribute(_name: string): Value | undefined {
    return undefined;
  }

  /** What `self[key]` is; undefined where Python raises a TypeError or LookupError. */
  item(_key: Value, _rt: Runtime): Value | undefined {
    return undefined;
  }

  /** What `key in self` is; undefined: go through the items. */
  contains(_key: Value, _rt: Runtime): boolean | undefined {
    return undefined;
  }

  get isCallable(): boolean {
    return false;
  }

  call(_rt: Runtime, _args: Arguments, _keywords: Keywords): Value {
    throw new TemplateFailure(`'${this.typeName}' object is not callable`);
  }

  abstract repr(rt: Runtime): string;

  str(rt: Runtime): string {
    return this.repr(rt);
  }
}

/** What is not there. It may be printed, gone through and tested; all else raises. */
export class Undefined extends PyObject {
  readonly typeName = "Undefined";
  readonly message: string;

  constructor(message: string) {
    super();
    this.message = message;
  }

  static variable(name: string): Undefined {
    return new Undefined(`'${name}' is undefined`);
  }

  fail(): never {
    throw new TemplateFailure(this.message);
  }

  override truthy(): boolean {
    return false;
  }

  override get length(): number {
    return 0;
  }

  override iterate(): Iterator<Value> {
    return [].values();
  }

  override reversed(): Iterator<Value> {
    return [].values();
  }

  override attribute(name: string): Value | undefined {
    return /^__.*__$/.test(name) ? undefined : this.fail();
  }

  override item(): never {
    return this.fail();
  }

  override get isCallable(): boolean {
    return true;
  }

  override call(): never {
    return this.fail();
  }

  repr(): string {
    return "Undefined";
  }

  override str(): string {
    return "";
  }
}

export class Tuple extends PyObject {
  readonly typeName: string = "tuple";
  readonly items: readonly Value[];

  constructor(items: readonly Value[]) {
    super();
    this.items = items;
  }

  override get length(): number {
    return this.items.length;
  }

  override iterate(): Iterator<Value> {
    return this.items.values();
  }

  override reversed(): Iterator<Value> {
    return backwards(this.items);
  }

  repr(rt: Runtime): string {
    const items = reprAll(this.items, rt);
    return items.length === 1 ? `(${items[0]},)` : `(${items.join(", ")})`;
  }
}

/** What groupby gives: a tuple whose two items have names. */
export class Group extends Tuple {
  override readonly typeName = "_GroupTuple";

  override attribute(name: string): Value | undefined {
    if (name === "grouper") return this.items[0];
    return name === "list" ? this.items[1] : undefined;
  }
}

/** Text that counts as safe in HTML: what is joined to it is escaped. */
export class Markup extends PyObject {
  readonly typeName = "Markup";
  readonly text: string;

  constructor(text: string) {
    super();
    this.text = text;
  }

  override get length(): number {
    return lengthOf(this.text);
  }

  override iterate(rt: Runtime): Iterator<Value> {
    return characters(this.text, rt);
  }

  repr(rt: Runtime): string {
    return `Markup(${rt.text(quoted(this.text))})`;
  }

  override str(): string {
    return this.text;
  }
}

/** Items in the order in which their keys came; 1, 1.0 and True are one key. */
export class Dict extends PyObject {
  readonly typeName = "dict";
  readonly entries = new Map<unknown, readonly [key: Value, value: Value]>();

  static of(entries: Iterable<readonly [string, Value]>): Dict {
    const dict = new Dict();
    for (const [key, value] of entries) dict.entries.set(hashOf(key), [key, value]);
    return dict;
  }

  set(key: Value, value: Value): void {
    const hash = hashOf(key);
    // The first of equal keys is kept.
    this.entries.set(hash, [this.entries.get(hash)?.[0] ?? key, value]);
  }

  get(key: Value): Value | undefined {
    return this.entries.get(hashOf(key))?.[1];
  }

  override get length(): number {
    return this.entries.size;
  }

  keys(): Value[] {
    return Array.from(this.entries.values(), ([key]) => key);
  }

  override iterate(): Iterator<Value> {
    return mapped(this.entries.values(), ([key]) => key);
  }

  override reversed(): Iterator<Value> {
    return backwards(this.keys());
  }

  override item(key: Value): Value | undefined {
    return isHashable(key) ? this.get(key) : undefined;
  }

  override contains(key: Value): boolean {
    return this.entries.has(hashOf(key));
  }

  repr(rt: Runtime): string {
    return rt.nested(() => {
      const items = Array.from(
        this.entries.values(),
        ([key, value]) => `${repr(key, rt)}: ${repr(value, rt)}`,
      );
      return rt.text(`{${items.join(", ")}}`);
    });
  }
}

/** dict.keys(), dict.values() and dict.items(). */
export class DictView extends PyObject {
  readonly typeName: string;
  readonly dict: Dict;
  readonly #of: (entry: readonly [Value, Value]) => Value;

  constructor(dict: Dict, kind: "keys" | "values" | "items") {
    super();
    this.typeName = `dict_${kind}`;
    this.dict = dict;
    this.#of = VIEWS[kind];
  }

  override get length(): number {
    return this.dict.length;
  }

  override iterate(): Iterator<Value> {
    return mapped(this.dict.entries.values(), this.#of);
  }

  override reversed(): Iterator<Value> {
    return backwards(this.items());
  }

  items(): Value[] {
    return Array.from(this.dict.entries.values(), this.#of);
  }

  override contains(key: Value): boolean | undefined {
    return this.typeName === "dict_keys" ? this.dict.contains(key) : undefined;
  }

  repr(rt: Runtime): string {
    return `${this.typeName}(${repr(this.items(), rt)})`;
  }
}

const VIEWS = {
  keys: ([key]: readonly [Value, Value]): Value => key,
  values: ([, value]: readonly [Value, Value]): Value => value,
  items: (entry: readonly [Value, Value]): Value => new Tuple(entry),
};

export class Range extends PyObject {
  readonly typeName = "range";
  readonly start: number;
  readonly step: number;
  readonly stop: number;
  readonly #length: number;

  constructor(start: number, stop: number, step: number) {
    super();
    this.start = start;
    this.stop = stop;
    this.step = step;
    this.#length = Math.max(0, Math.ceil((stop - start) / step));
  }

  override get length(): number {
    return this.#length;
  }

  at(index: number): Value {
    return BigInt(this.start + index * this.step);
  }

  override *iterate(): Iterator<Value> {
    for (let index = 0; index < this.length; index++) yield this.at(index);
  }

  override *reversed(): Iterator<Value> {
    for (let index = this.length - 1; index >= 0; index--) yield this.at(index);
  }

  repr(): string {
    const { start, stop, step } = this;
    return step === 1 ? `range(${start}, ${stop})` : `range(${start}, ${stop}, ${step})`;
  }
}

/** What can be gone through once: Python's generators and iterators. */
export class PyIterator extends PyObject {
  readonly typeName: string;
  readonly #items: Iterator<Value>;

  constructor(items: Iterator<Value>, typeName = "generator") {
    super();
    this.#items = items;
    this.typeName = typeName;
  }

  override iterate(): Iterator<Value> {
    return this.#items;
  }

  repr(): string {
    return `<${this.typeName} object>`;
  }
}

/** What `namespace()` makes; the only thing that a template can write to. */
export class Namespace extends PyObject {
  readonly typeName = "Namespace";
  readonly attributes = new Dict();

  override attribute(name: string): Value | undefined {
    return this.attributes.get(name);
  }

  repr(rt: Runtime): string {
    return `<Namespace ${this.attributes.repr(rt)}>`;
  }
}

const NONE_KEY = Symbol("None");
const UNDEFINED_KEY = Symbol("Undefined");
const NAN_KEY = Symbol("nan");

/** Equal for the keys that Python takes for one. */
export function hashOf(key: Value): unknown {
  if (typeof key === "string") return key.startsWith("\0") ? `\0s${key}` : key;
  if (typeof key === "boolean") return key ? 1n : 0n;
  if (typeof key === "bigint") return key;
  if (typeof key === "number") {
    if (Number.isInteger(key)) return BigInt(key);
    return Number.isNaN(key) ? NAN_KEY : key;
  }
  if (key === null) return NONE_KEY;
  if (key instanceof Undefined) return UNDEFINED_KEY;
  if (key instanceof Markup) return hashOf(key.text);
  if (key instanceof Tuple) return tupleHash(key.items);
  if (!isHashable(key)) throw new TemplateFailure(`unhashable type: '${typeName(key)}'`);
  return key;
}

/** Longer ones no template needs. */
const MAX_KEY = 100_000;

function tupleHash(items: readonly Value[]): string {
  let text = "\0t";
  for (const item of items) {
    text += hashText(hashOf(item));
    if (text.length > MAX_KEY) throw new TemplateFailure("a key is too large");
  }
  return text;
}

const objects = new WeakMap<object, number>();
let numObjects = 0;

/** A text that tells hashes apart, also inside of another. */
function hashText(hash: unknown): string {
  let text = `${typeof hash}:${String(typeof hash === "object" ? "" : hash)}`;
  if (typeof hash === "object" && hash !== null) {
    if (!objects.has(hash)) objects.set(hash, numObjects++);
    text += objects.get(hash);
  }
  return `${text.length}:${text}`;
}

function isHashable(key: Value): boolean {
  if (key instanceof Tuple) return key.items.every(isHashable);
  // Keys and items of a dict are sets.
  const isSet = key instanceof DictView && key.typeName !== "dict_values";
  return !Array.isArray(key) && !(key instanceof Dict) && !isSet;
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

/** The text of a str (Markup is one), else undefined. */
export function textOf(value: Value): string | undefined {
  if (typeof value === "string") return value;
  return value instanceof Markup ? value.text : undefined;
}

/** The number of an int, float or bool (which is an int), else undefined. */
export function numberOf(value: Value): bigint | number | undefined {
  if (typeof value === "bigint" || typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1n : 0n;
  return undefined;
}

export function typeName(value: Value): string {
  switch (typeof value) {
    case "string":
      return "str";
    case "bigint":
      return "int";
    case "number":
      return "float";
    case "boolean":
      return "bool";
  }
  if (value === null) return "NoneType";
  return isList(value) ? "list" : value.typeName;
}

export function truthy(value: Value): boolean {
  switch (typeof value) {
    case "boolean":
      return value;
    case "string":
      return value !== "";
    case "bigint":
      return value !== 0n;
    case "number":
      return value !== 0;
  }
  if (value === null) return false;
  return isList(value) ? value.length > 0 : value.truthy();
}

/** @returns undefined for what Python's iter() refuses. */
export function iteratorOf(value: Value, rt: Runtime): Iterator<Value> | undefined {
  if (typeof value === "string") return characters(value, rt);
  if (isList(value)) return value.values();
  return value instanceof PyObject ? value.iterate(rt) : undefined;
}

/** Goes through the items; each is a step. */
export function* each(value: Value, rt: Runtime): Generator<Value, void, undefined> {
  const items = iteratorOf(value, rt);
  if (items === undefined) throw new TemplateFailure(`'${typeName(value)}' object is not iterable`);
  for (let next = items.next(); !next.done; next = items.next()) {
    rt.charge(1);
    yield next.value;
  }
}

export function listOf(value: Value, rt: Runtime): Value[] {
  if (isList(value) || value instanceof Tuple) {
    const items = isList(value) ? value : value.items;
    rt.charge(1 + Math.floor(items.length / 8));
    return items.slice();
  }
  return Array.from(each(value, rt));
}

/** @throws where Python's len() does. */
export function lengthOfValue(value: Value): number {
  const text = typeof value === "string" ? value : undefined;
  if (text !== undefined) return lengthOf(text);
  const length = isList(value) || value instanceof PyObject ? value.length : undefined;
  if (length === undefined) throw new TemplateFailure(`object of type '${typeName(value)}' has no len()`);
  return length;
}

function characters(text: string, rt: Runtime): Iterator<Value> {
  rt.chargeText(text.length);
  return text[Symbol.iterator]();
}

function* backwards(items: readonly Value[]): Generator<Value, void, undefined> {
  for (let index = items.length - 1; index >= 0; index--) yield items[index] as Value;
}

function* mapped<From>(items: Iterable<From>, map: (item: From) => Value): Generator<Value, void, undefined> {
  for (const item of items) yield map(item);
}

export function reversedOf(value: Value, rt: Runtime): Iterator<Value> | undefined {
  if (typeof value === "string") return backwards(Array.from(rt.text(value)));
  if (isList(value)) return backwards(value);
  return value instanceof PyObject ? value.reversed(rt) : undefined;
}

/** Python's str(). */
export function str(value: Value, rt: Runtime): string {
  if (typeof value === "string") return value;
  return value instanceof PyObject ? value.str(rt) : repr(value, rt);
}

/** Python's repr(). */
export function repr(value: Value, rt: Runtime): string {
  switch (typeof value) {
    case "string":
      return rt.text(quoted(value));
    case "boolean":
      return value ? "True" : "False";
    case "bigint":
      return integerText(value);
    case "number":
      return floatText(value);
  }
  if (value === null) return "None";
  return isList(value) ? rt.text(`[${reprAll(value, rt).join(", ")}]`) : value.repr(rt);
}

function reprAll(items: readonly Value[], rt: Runtime): string[] {
  return rt.nested(() => {
    rt.charge(items.length);
    return items.map((item) => repr(item, rt));
  });
}

/** A text as Python writes it in code. */
export function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(/[\\'"]|[^\P{C}]|[^\P{Z} ]/gu, (character) => {
    if (character === "'" || character === '"') return character === quote ? `\\${character}` : character;
    return ESCAPES[character] ?? numbered(character.codePointAt(0) as number);
  });
  return quote + escaped + quote;
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function numbered(code: number): string {
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

/** Python refuses to write longer ones too: it takes time that grows with the square. */
const MAX_DIGITS = 4300;

export function integerText(value: bigint): string {
  const isLong = value > 2n ** 53n || value < -(2n ** 53n);
  const text = isLong && value.toString(16).length > MAX_DIGITS ? undefined : value.toString();
  if (text !== undefined && (!isLong || text.replace("-", "").length <= MAX_DIGITS)) return text;
  throw new TemplateFailure(`a whole number has more than ${MAX_DIGITS} digits`);
}

/** The shortest digits that give the number back, as Python lays them out. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const [, sign = "", first = "", rest = "", power = ""] =
    /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(value.toExponential()) ?? [];
  const exponent = Number(power);
  const digits = first + rest;
  if (exponent < -4 || exponent >= 16) {
    const shown = String(Math.abs(exponent)).padStart(2, "0");
    return `${sign}${first}${rest === "" ? "" : `.${rest}`}e${exponent < 0 ? "-" : "+"}${shown}`;
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${sign}${whole}.${digits.slice(exponent + 1) || "0"}`;
}
