/** Objects of a schema: their properties in the schema's order, those that need not be there left out or not. */
import { ANY, charactersOf, codePoints, intersection, minus } from "./code-points.ts";
import type { SchemaReader } from "./json-schema.ts";
import { colon, comma, listed } from "./json-text.ts";
import { chars, choice, EMPTY, NEVER, named, optional, type Rule, repeat, sequence, text } from "./rule.ts";
import { countOf, listIn, objectIn, type Schema, schemaError } from "./schema-keywords.ts";

/** What keys that are not named may be made of: they are written without escapes. */
const KEY_CHARACTERS = minus(minus(ANY, codePoints([0, 0x1f])), charactersOf('"\\'));
const ANY_KEY = repeat(chars(KEY_CHARACTERS), 0, Number.POSITIVE_INFINITY);

export interface Property {
  readonly name: string;
  readonly schema: unknown;
  readonly path: string;
  readonly isRequired: boolean;
}

/** Those with a schema, and those that are required without one. @throws OPTION_INVALID */
export function propertiesOf(schema: Schema, path: string): Property[] {
  const given = objectIn(schema, "properties", path);
  const required = schema.required === undefined ? [] : listIn(schema, "required", path);
  for (const name of required) {
    if (typeof name !== "string") throw schemaError(`${path}.required`, "expected a list of names");
  }
  const isRequired = new Set(required);
  const others = [...isRequired].filter((name) => !Object.hasOwn(given, name as string)) as string[];
  const { additionalProperties = true } = schema;
  if (others.length > 0 && additionalProperties === false) {
    throw schemaError(
      `${path}.required`,
      `${JSON.stringify(others[0])} is none of the properties, and no other is allowed`,
    );
  }
  return [
    ...Object.entries(given).map(([name, of]) => ({
      name,
      schema: of,
      path: `${path}.properties.${name}`,
      isRequired: isRequired.has(name),
    })),
    ...others.map((name) => ({
      name,
      schema: additionalProperties,
      path: `${path}.additionalProperties`,
      isRequired: true,
    })),
  ];
}

/** What stands between the braces. */
export function objectRules(reader: SchemaReader, schema: Schema, path: string): Rule {
  const properties = propertiesOf(schema, path);
  // Where properties are named others are not made up, unless they are asked for.
  const additional = schema.additionalProperties ?? properties.length === 0;
  const least = countOf(schema, "minProperties", path) ?? 0;
  const most = countOf(schema, "maxProperties", path) ?? Number.POSITIVE_INFINITY;
  const other =
    additional === false
      ? null
      : otherPair(
          reader,
          additional,
          properties.map(({ name }) => name),
          path,
        );
  if (properties.length === 0) {
    // A name may be written twice, and JSON.parse keeps one of them.
    if (other && least > 1)
      throw schemaError(`${path}.minProperties`, "without properties it is supported up to 1");
    return other ? listed(other, least, most) : least > 0 ? NEVER : EMPTY;
  }
  const required = properties.filter(({ isRequired }) => isRequired).length;
  if (least > required)
    throw schemaError(
      `${path}.minProperties`,
      "beside properties it is supported up to the number of required ones",
    );
  if (most < properties.length || (other && most < Number.POSITIVE_INFINITY)) {
    throw schemaError(`${path}.maxProperties`, "beside properties it is not supported");
  }
  const pairs = properties.map(({ name, schema: of, path: at }) =>
    reader.define(`${at} pair`, sequence(text(JSON.stringify(name)), colon(), reader.read(of, at))),
  );
  return inOrder(reader, path, properties, pairs, other);
}

/** `first`: nothing is written yet; `more`: a comma goes before what comes. */
function inOrder(
  reader: SchemaReader,
  path: string,
  properties: readonly Property[],
  pairs: readonly Rule[],
  other: Rule | null,
): Rule {
  const afterComma = (rule: Rule) => sequence(comma(), rule);
  let more = other ? repeat(afterComma(other), 0, Number.POSITIVE_INFINITY) : EMPTY;
  let first = other ? optional(sequence(other, more)) : EMPTY;
  for (let index = properties.length - 1; index >= 0; index--) {
    const pair = pairs[index] as Rule;
    const taken = sequence(pair, more);
    const isRequired = properties[index]?.isRequired === true;
    first = reader.define(`${path} first ${index}`, isRequired ? taken : choice(taken, first));
    const next = sequence(comma(), pair, more);
    more = reader.define(`${path} more ${index}`, isRequired ? next : choice(next, more));
  }
  return first;
}

function otherPair(reader: SchemaReader, schema: unknown, names: readonly string[], path: string): Rule {
  const value = reader.read(schema, `${path}.additionalProperties`);
  const key = sequence(text('"'), otherKey(reader, names, path), text('"'));
  return reader.define(`${path} other`, sequence(key, colon(), value));
}

/** Any key but these: one that is there already would be read in its place. */
function otherKey(reader: SchemaReader, names: readonly string[], path: string): Rule {
  const ruleName = (prefix: string) => `${path} key ${prefix}`;
  /** The characters that go on towards a name, by what is read so far. */
  const towards = new Map<string, Set<string>>([["", new Set()]]);
  for (const name of names) {
    let prefix = "";
    for (const character of name) {
      towards.get(prefix)?.add(character);
      prefix += character;
      if (!towards.has(prefix)) towards.set(prefix, new Set());
    }
  }
  const isName = new Set(names);
  for (const [prefix, characters] of towards) {
    const onwards = [...characters].map((character) =>
      sequence(
        chars(intersection(charactersOf(character), KEY_CHARACTERS)),
        named(ruleName(prefix + character)),
      ),
    );
    const away = sequence(chars(minus(KEY_CHARACTERS, charactersOf([...characters].join("")))), ANY_KEY);
    reader.define(ruleName(prefix), choice(...(isName.has(prefix) ? [] : [EMPTY]), away, ...onwards));
  }
  return named(ruleName(""));
}
