/** oneOf is anyOf where no value can be of two of its schemas; that has to be plain to see. */
import { canonicalJson } from "./json-equality.ts";
import { type Schema, schemaError } from "./schema-keywords.ts";

/** @throws OPTION_INVALID for schemas that may overlap, as far as one can see */
export function checkExclusive(
  schemas: readonly unknown[],
  path: string,
  target: (reference: unknown) => unknown,
): void {
  const resolved = schemas.map((schema) => {
    let at = schema;
    for (let hops = 0; (at as Schema | null)?.$ref !== undefined && hops < 32; hops++)
      at = target((at as Schema).$ref);
    return at;
  });
  for (const [second, b] of resolved.entries()) {
    for (const [first, a] of resolved.slice(0, second).entries()) {
      if (areApart(a, b)) continue;
      throw schemaError(
        `${path}.oneOf`,
        `a value could be of both schema ${first} and schema ${second}; oneOf is supported where types, or the const or enum of a required property, keep them apart. Use anyOf`,
      );
    }
  }
}

function areApart(a: unknown, b: unknown): boolean {
  if (a === false || b === false) return true;
  if (!isSchema(a) || !isSchema(b)) return false;
  const [types, otherTypes] = [typeNames(a), typeNames(b)];
  if (types && otherTypes && !types.some((type) => otherTypes.includes(type))) return true;
  const [values, otherValues] = [valuesOf(a), valuesOf(b)];
  if (values && otherValues) return !values.some((value) => otherValues.includes(value));
  if (!onlyObjects(types) || !onlyObjects(otherTypes)) return false;
  const [required, otherRequired] = [a, b].map((schema) =>
    Array.isArray(schema.required) ? schema.required : [],
  );
  return (required as unknown[]).some((name) => {
    const [of, otherOf] = [a, b].map((schema) => (schema.properties as Schema | undefined)?.[name as string]);
    return (
      (otherRequired as unknown[]).includes(name) &&
      of !== undefined &&
      otherOf !== undefined &&
      areApart(of, otherOf)
    );
  });
}

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function onlyObjects(types: readonly unknown[] | null): boolean {
  return types?.length === 1 && types[0] === "object";
}

/** An integer is a number too. */
function typeNames({ type }: Schema): unknown[] | null {
  if (type === undefined) return null;
  return [type].flat().flatMap((name) => (name === "number" ? ["number", "integer"] : [name]));
}

function valuesOf(schema: Schema): string[] | null {
  if ("const" in schema) return [canonicalJson(schema.const)];
  return Array.isArray(schema.enum) ? schema.enum.map(canonicalJson) : null;
}
