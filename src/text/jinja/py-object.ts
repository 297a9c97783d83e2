/**
 * The values of a template as Python has them: int is a bigint, float a number, a list an array; what JavaScript lacks
 * is a `PyObject`.
 */
import { type Runtime, TemplateFailure } from "./runtime.ts";

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

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
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
