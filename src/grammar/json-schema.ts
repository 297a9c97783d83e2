/** JSON Schema (draft 2020-12, and what older drafts write otherwise) to rules. */

import { JsonError, readJsonText } from "../json/reader.ts";
import { ANY } from "./code-points.ts";
import { canonicalJson, isSameJson } from "./json-equality.ts";
import { between, comma, inString, JSON_RULES, listed, quoted, valueRule } from "./json-text.ts";
import { integerRule, isPlain, type NumberRange, numberRule } from "./number-range.ts";
import { readPattern, type Spelling } from "./pattern.ts";
import { choice, EMPTY, type Grammar, NEVER, named, optional, type Rule, repeat, sequence } from "./rule.ts";
import {
  checkKeywords,
  countOf,
  isAnnotation,
  KEYWORDS_OF,
  listIn,
  numberIn,
  type Schema,
  schemaError,
} from "./schema-keywords.ts";
import { withoutAllOf } from "./schema-merge.ts";
import { objectRules } from "./schema-objects.ts";
import { checkExclusive } from "./schema-one-of.ts";
import { STRING_FORMATS } from "./string-formats.ts";

const TYPES = ["string", "number", "integer", "boolean", "null", "array", "object"];

/** Schemas put together of others that are each put together of others double with every step. */
const MOST_LOOKUPS = 20_000;
/** What stands beside anyOf is read once for each of its schemas, and in anyOf in anyOf so many times as often. */
const MOST_READ = 100_000;

/** @throws OPTION_INVALID naming the place in the schema */
export function jsonSchemaGrammar(schema: unknown, path: string): Grammar {
  const reader = new SchemaReader(schema, path);
  reader.define("root", sequence(reader.read(schema, path)));
  return { root: "root", rules: reader.rules };
}

/**
 * A schema's JSON text; whole numbers that no double is exact for are bigints, as constants are written to the last digit.
 *
 * @throws OPTION_INVALID for what is no JSON, and for a number that no double holds
 */
export function parseSchema(text: string, path: string): unknown {
  const finite = (value: number) => {
    if (Number.isFinite(value)) return value;
    throw schemaError(path, "it has a number that is larger than any double");
  };
  const integer = (digits: string) => {
    const value = finite(Number(digits));
    return Number.isSafeInteger(value) ? value : BigInt(digits);
  };
  try {
    return readJsonText(text, { integer, float: finite, object: Object.fromEntries });
  } catch (error) {
    if (error instanceof JsonError) throw schemaError(path, `it is no JSON: ${error.message}`);
    throw error;
  }
}

export class SchemaReader {
  readonly #document: unknown;
  readonly #path: string;
  readonly #rules = new Map(JSON_RULES);
  readonly #opened = new Set<string>();
  #lookups = 0;
  #read = 0;

  /** @param document what "#" is in references */
  constructor(document: unknown, path: string) {
    this.#document = document;
    this.#path = path;
  }

  get rules(): ReadonlyMap<string, Rule> {
    return this.#rules;
  }

  define(name: string, rule: Rule): Rule {
    this.#rules.set(name, rule);
    return named(name);
  }

  /** The JSON of a value of the schema. */
  read(given: unknown, path: string): Rule {
    if (++this.#read > MOST_READ) {
      const place = path.length > 200 ? `${path.slice(0, 200)}…` : path;
      throw schemaError(
        place,
        `more than ${MOST_READ} schemas are read, of which anyOf and oneOf make several each`,
      );
    }
    if (given === true) return named("json value");
    if (given === false) return NEVER;
    if (typeof given !== "object" || given === null || Array.isArray(given)) {
      throw schemaError(path, "a schema is an object, true or false");
    }
    const schema = withoutAllOf(given as Schema, path, (reference) => this.target(reference, path));
    checkKeywords(schema, path);
    if (Object.keys(schema).every(isAnnotation)) return named("json value");
    if (schema.$ref !== undefined) return this.#reference(schema, path);
    if ("const" in schema || schema.enum !== undefined)
      return this.#values(valuesOf(schema, path), schema, path);
    for (const keyword of ["anyOf", "oneOf"]) {
      if (schema[keyword] !== undefined) return this.#alternatives(schema, keyword, path);
    }
    return choice(...typesOf(schema, path).map((type) => this.#typed(type, schema, path)));
  }

  /** @throws OPTION_INVALID when there is nothing of that name */
  target(reference: unknown, path: string): unknown {
    if (typeof reference !== "string" || !/^#(\/|$)/.test(reference)) {
      throw schemaError(
        `${path}.$ref`,
        'only references into the schema itself are supported, such as "#/$defs/name"',
      );
    }
    if (++this.#lookups > MOST_LOOKUPS) {
      throw schemaError(path, `its references are followed more than ${MOST_LOOKUPS} times`);
    }
    let at: unknown = this.#document;
    for (const part of reference.split("/").slice(1)) {
      const key = decodedPart(part);
      const isThere = typeof at === "object" && at !== null && Object.hasOwn(at, key);
      if (!isThere) throw schemaError(`${path}.$ref`, `there is no ${JSON.stringify(reference)}`);
      at = (at as Schema)[key];
    }
    return at;
  }

  #reference(schema: Schema, path: string): Rule {
    const beside = Object.keys(schema).find((key) => key !== "$ref" && !isAnnotation(key));
    if (beside !== undefined) throw schemaError(`${path}.${beside}`, "beside $ref it is not supported");
    const reference = schema.$ref as string;
    const target = this.target(reference, path);
    const name = `reference ${reference}`;
    if (!this.#opened.has(name)) {
      this.#opened.add(name);
      this.define(name, this.read(target, `${this.#path}${reference.slice(1).replaceAll("/", ".")}`));
    }
    return named(name);
  }

  #values(values: readonly unknown[], schema: Schema, path: string): Rule {
    const beside = Object.keys(schema).find(
      (key) => !["const", "enum", "type"].includes(key) && !isAnnotation(key),
    );
    if (beside !== undefined)
      throw schemaError(`${path}.${beside}`, "beside enum or const it is not supported");
    const types = schema.type === undefined ? null : typesOf(schema, path);
    const kept = values.filter((value) => types === null || types.some((type) => isOfType(value, type)));
    return choice(...kept.map(valueRule));
  }

  /** What stands beside anyOf or oneOf holds for each of its schemas. */
  #alternatives(schema: Schema, keyword: string, path: string): Rule {
    const list = listIn(schema, keyword, path);
    const { [keyword]: _, ...beside } = schema;
    const constrains = Object.keys(beside).some((key) => !isAnnotation(key));
    const merged = list.map((item) => (constrains ? { allOf: [beside, item] } : item));
    if (keyword === "oneOf") checkExclusive(list, path, (reference) => this.target(reference, path));
    return choice(...merged.map((item, index) => this.read(item, `${path}.${keyword}[${index}]`)));
  }

  #typed(type: string, schema: Schema, path: string): Rule {
    switch (type) {
      case "string":
        return quoted(this.stringContent(schema, path, inString));
      case "integer":
      case "number":
        return numeric(type, schema, path);
      case "array":
        return this.#array(schema, path);
      case "object":
        return between("{", objectRules(this, schema, path), "}");
      default:
        return named(`json ${type}`);
    }
  }

  /** The characters of a string of the schema. @param spell how they are written */
  stringContent(schema: Schema, path: string, spell: Spelling): Rule {
    const least = countOf(schema, "minLength", path) ?? 0;
    const most = countOf(schema, "maxLength", path) ?? Number.POSITIVE_INFINITY;
    const { pattern, format } = schema;
    const isBounded = least > 0 || most < Number.POSITIVE_INFINITY;
    if ([pattern !== undefined, format !== undefined, isBounded].filter(Boolean).length > 1) {
      throw schemaError(
        path,
        "of pattern, format and minLength with maxLength only one is supported at a time",
      );
    }
    if (pattern !== undefined) {
      if (typeof pattern !== "string") throw schemaError(`${path}.pattern`, "expected a string");
      return readPattern(pattern, { name: `${path}.pattern`, spell, whole: false });
    }
    if (format !== undefined) {
      const known =
        typeof format === "string" && Object.hasOwn(STRING_FORMATS, format) && STRING_FORMATS[format];
      if (!known) {
        const names = Object.keys(STRING_FORMATS).join(", ");
        throw schemaError(
          `${path}.format`,
          `${canonicalJson(format)} is not supported; those that are: ${names}`,
        );
      }
      return readPattern(known, { name: `${path}.format`, spell, whole: false });
    }
    if (least > most) throw schemaError(path, "minLength is larger than maxLength");
    const character = spell === inString ? named("json character") : spell(ANY);
    return repeat(character, least, most);
  }

  #array(schema: Schema, path: string): Rule {
    const isOld = Array.isArray(schema.items);
    const first = isOld
      ? (schema.items as unknown[])
      : schema.prefixItems === undefined
        ? []
        : listIn(schema, "prefixItems", path);
    const firstPath = isOld ? "items" : "prefixItems";
    const rest = (isOld ? schema.additionalItems : schema.items) ?? true;
    const least = countOf(schema, "minItems", path) ?? 0;
    const given = countOf(schema, "maxItems", path) ?? Number.POSITIVE_INFINITY;
    const most = rest === false ? Math.min(given, first.length) : given;
    if (least > most) throw schemaError(path, `no list has minItems (${least}) and at most ${most} items`);
    const restPath = `${path}.${isOld ? "additionalItems" : "items"}`;
    const restItem = () => this.read(rest, restPath);
    if (first.length === 0) return between("[", most === 0 ? EMPTY : listed(restItem(), least, most), "]");
    const left = most - first.length;
    let following: Rule =
      left > 0 ? repeat(sequence(comma(), restItem()), Math.max(0, least - first.length), left) : EMPTY;
    for (let index = Math.min(first.length, most) - 1; index >= 0; index--) {
      const item = this.read(first[index], `${path}.${firstPath}[${index}]`);
      const here = sequence(...(index === 0 ? [] : [comma()]), item, following);
      following = this.define(`${path} ${index}`, index < least ? here : optional(here));
    }
    return between("[", following, "]");
  }
}

function numeric(type: "integer" | "number", schema: Schema, path: string): Rule {
  const range: NumberRange = {
    low: boundOf(schema, "Minimum", path),
    high: boundOf(schema, "Maximum", path),
  };
  for (const bound of [range.low, range.high]) {
    if (bound && !isPlain(bound.value)) {
      throw schemaError(path, `the bound ${bound.value} has more digits than are supported`);
    }
  }
  if (!range.low && !range.high) return named(`json ${type}`);
  return type === "integer" ? integerRule(range) : numberRule(range);
}

/** The tighter one, where both are given; draft 4 writes exclusiveMinimum: true. */
function boundOf(schema: Schema, side: "Minimum" | "Maximum", path: string) {
  const closedName = side.toLowerCase();
  const openName = `exclusive${side}`;
  const closed = numberIn(schema, closedName, path);
  if (typeof schema[openName] === "boolean") {
    return closed === undefined ? null : { value: closed, isOpen: schema[openName] as boolean };
  }
  const open = numberIn(schema, openName, path);
  if (open === undefined) return closed === undefined ? null : { value: closed, isOpen: false };
  const isTighter = closed === undefined || (side === "Minimum" ? open >= closed : open <= closed);
  return isTighter ? { value: open, isOpen: true } : { value: closed, isOpen: false };
}

/** Where a schema names no type, those that its keywords are about, and the others without a bound. */
function typesOf(schema: Schema, path: string): readonly string[] {
  const { type } = schema;
  if (type === undefined) {
    const said = Object.keys(KEYWORDS_OF).filter((kind) =>
      KEYWORDS_OF[kind]?.some((key) => schema[key] !== undefined),
    );
    if (said.length === 1) return said;
    if (said.length === 0) return TYPES.filter((name) => name !== "integer");
    throw schemaError(path, `it has keywords of ${said.join(" and ")}, and no type`);
  }
  const list: unknown[] = Array.isArray(type) ? type : [type];
  for (const name of list) {
    if (!TYPES.includes(name as string))
      throw schemaError(`${path}.type`, `${canonicalJson(name)} is no type`);
  }
  return list as string[];
}

/** Of const, of enum, or of both. */
function valuesOf(schema: Schema, path: string): readonly unknown[] {
  if (schema.enum === undefined) return [schema.const];
  const values = listIn(schema, "enum", path);
  if (!("const" in schema)) return values;
  return values.filter((value) => isSameJson(value, schema.const));
}

function isOfType(value: unknown, type: string): boolean {
  if (typeof value === "bigint") return type === "integer" || type === "number";
  if (type === "integer") return Number.isInteger(value);
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  return typeof value === type;
}

/** A part of a JSON pointer in a fragment. */
function decodedPart(part: string): string {
  let decoded = part;
  try {
    decoded = decodeURIComponent(part);
  } catch {
    // Not percent-encoded.
  }
  return decoded.replaceAll("~1", "/").replaceAll("~0", "~");
}
