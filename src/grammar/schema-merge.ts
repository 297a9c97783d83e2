/** allOf: several schemas that hold at once, as one. */
import { canonicalJson, isSameJson } from "./json-equality.ts";
import { isAnnotation, type Schema, schemaError } from "./schema-keywords.ts";

/** Schemas in schemas that are put together, at most: references may go round. */
const MOST_DEPTH = 32;

/** The schema without allOf. @throws OPTION_INVALID for what can not be one schema */
export function withoutAllOf(
  schema: Schema,
  path: string,
  target: (reference: unknown) => unknown,
  depth = 0,
): Schema {
  const { allOf, ...own } = schema;
  if (allOf === undefined) return schema;
  if (!Array.isArray(allOf)) throw schemaError(`${path}.allOf`, "expected a list");
  if (depth === MOST_DEPTH) throw schemaError(`${path}.allOf`, "it goes round, or too deep");
  let merged: Schema = own;
  for (const [index, item] of allOf.entries()) {
    const at = `${path}.allOf[${index}]`;
    let part: unknown = item;
    for (let hops = 0; isSchema(part) && part.$ref !== undefined && hops < MOST_DEPTH; hops++)
      part = target(part.$ref);
    if (part === true) continue;
    if (!isSchema(part) || part.$ref !== undefined)
      throw schemaError(at, "expected a schema that is an object");
    merged = both(merged, withoutAllOf(part, at, target, depth + 1), at);
  }
  return merged;
}

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const TIGHTER: Readonly<Record<string, (a: number, b: number) => number>> = Object.fromEntries([
  ...["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"].map((key) => [key, Math.max]),
  ...["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"].map((key) => [key, Math.min]),
]);

function both(a: Schema, b: Schema, path: string): Schema {
  checkAdditional(a, b, path);
  checkAdditional(b, a, path);
  const merged: Record<string, unknown> = { ...a };
  for (const [key, value] of Object.entries(b)) {
    if (!Object.hasOwn(merged, key) || merged[key] === undefined) merged[key] = value;
    else if (!isAnnotation(key)) merged[key] = bothOf(key, merged[key], value, path);
  }
  return merged;
}

function bothOf(key: string, a: unknown, b: unknown, path: string): unknown {
  const tighter = TIGHTER[key];
  if (tighter && isNumber(a) && isNumber(b)) return tighter(Number(a), Number(b));
  if (isSameJson(a, b)) return a;
  if (key === "required" && Array.isArray(a) && Array.isArray(b)) return [...new Set([...a, ...b])];
  if (key === "enum" && Array.isArray(a) && Array.isArray(b)) {
    const known = new Set(b.map(canonicalJson));
    return a.filter((value) => known.has(canonicalJson(value)));
  }
  if (key === "type") return typesOfBoth([a].flat(), [b].flat(), path);
  if (key === "properties" && isSchema(a) && isSchema(b)) {
    const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
    const of = (name: string) => {
      // Objects have a `constructor` that nobody wrote.
      const given = [a, b].flatMap((properties) =>
        Object.hasOwn(properties, name) ? [properties[name]] : [],
      );
      return given.length === 1 ? given[0] : { allOf: given };
    };
    return Object.fromEntries(names.map((name) => [name, of(name)]));
  }
  throw schemaError(`${path}.${key}`, "two different ones at once are not supported");
}

function isNumber(value: unknown): boolean {
  return typeof value === "number" || typeof value === "bigint";
}

function typesOfBoth(a: readonly unknown[], b: readonly unknown[], path: string): unknown[] {
  const common = a.filter((type) => b.includes(type));
  const isWhole = [a, b].every((types) => types.includes("integer") || types.includes("number"));
  if (isWhole && !common.includes("integer") && !common.includes("number")) common.push("integer");
  if (common.length === 0) throw schemaError(`${path}.type`, "no value is of both types");
  return common;
}

/** additionalProperties speaks of its own schema's properties alone. */
function checkAdditional(a: Schema, b: Schema, path: string): void {
  if (a.additionalProperties === undefined || a.additionalProperties === true) return;
  const own = isSchema(a.properties) ? a.properties : {};
  const others = [
    ...Object.keys(isSchema(b.properties) ? b.properties : {}),
    ...(Array.isArray(b.required) ? b.required : []),
  ];
  const foreign = others.find((name) => !Object.hasOwn(own, name as string));
  if (foreign === undefined) return;
  throw schemaError(
    `${path}.additionalProperties`,
    `beside ${canonicalJson(foreign)} of another schema it is not supported`,
  );
}
