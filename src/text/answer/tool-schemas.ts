/** What parsing a call needs to know of the functions that were offered: which of their parameters are texts. */

/** Parameters whose type is "string", by the function's name. */
export type TextParameters = ReadonlyMap<string, ReadonlySet<string>>;

/** @param tools as `readTools` gives them: schemas in OpenAI's shape, or of the functions alone; others say nothing */
export function textParameters(tools: readonly object[]): TextParameters {
  return new Map(
    tools.flatMap((tool) => {
      const called = fieldOf(tool, "function") ?? tool;
      const name = fieldOf(called, "name");
      const properties = fieldOf(fieldOf(called, "parameters"), "properties");
      return typeof name === "string" ? [[name, textProperties(properties)] as const] : [];
    }),
  );
}

function textProperties(properties: unknown): ReadonlySet<string> {
  if (typeof properties !== "object" || properties === null) return new Set();
  const names: readonly string[] =
    properties instanceof Map ? [...properties.keys()] : Object.keys(properties);
  return new Set(names.filter((name) => fieldOf(fieldOf(properties, name), "type") === "string"));
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  if (value instanceof Map) return value.get(name);
  return Object.hasOwn(value, name) ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}
