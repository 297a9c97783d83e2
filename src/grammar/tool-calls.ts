/**
 * Calls of tools as a grammar, in the format that the checkpoint's own template writes:
 * `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>…</tool_call>`, with line breaks between or without.
 */
import { parseSchema, SchemaReader } from "./json-schema.ts";
import {
  ANY_CHARACTER,
  chars,
  choice,
  type Grammar,
  mark,
  optional,
  type Rule,
  renamed,
  repeat,
  sequence,
  text,
} from "./rule.ts";
import { isAnnotation, type Schema, schemaError } from "./schema-keywords.ts";
import { withoutAllOf } from "./schema-merge.ts";
import { propertiesOf } from "./schema-objects.ts";

/** What the template writes between the parts of a call. */
export interface ToolCallFormat {
  /** Behind the name, in front of the first <arg_key>. */
  readonly afterName: string;
  /** Behind the name of a call without arguments. */
  readonly afterBareName: string;
  readonly afterKey: string;
  /** Between </arg_value> and the next <arg_key>. */
  readonly afterValue: string;
  /** Between the last </arg_value> and </tool_call>. */
  readonly atEnd: string;
  readonly betweenCalls: string;
}

export interface Tool {
  readonly name: string;
  /** JSON text of the schema of its arguments; null when it takes none. */
  readonly parameters: string | null;
}

export interface ToolCallPlan {
  readonly format: ToolCallFormat;
  /** Those that may be called. */
  readonly tools: readonly Tool[];
  /** "free": text, then calls or none; "calls": one or more; "call": exactly one; "text": none. */
  readonly mode: "free" | "calls" | "call" | "text";
}

/** The tokens of a call, by the number of their mark: what merely spells one of them is text. */
export const CALL_TAGS = [
  "<tool_call>",
  "</tool_call>",
  "<arg_key>",
  "</arg_key>",
  "<arg_value>",
  "</arg_value>",
] as const;
/** All other tokens that are no plain text, such as those around boxed answers. */
export const OTHER_MARK = CALL_TAGS.length;

const tag = (name: (typeof CALL_TAGS)[number]) => mark(CALL_TAGS.indexOf(name));

/** @throws OPTION_INVALID naming the tool and the place in its schema */
export function toolCallGrammar({ format, tools, mode }: ToolCallPlan): Grammar {
  const rules = new Map<string, Rule>();
  const calls = tools.map((tool, index) => toolRule(tool, `tool ${index}`, format, rules));
  const call = sequence(tag("<tool_call>"), choice(...calls), tag("</tool_call>"));
  const several = sequence(
    call,
    repeat(sequence(text(format.betweenCalls), call), 0, Number.POSITIVE_INFINITY),
  );
  // The template puts a line break there, and models write it.
  const lead = optional(text("\n"));
  const prose = repeat(choice(ANY_CHARACTER, mark(OTHER_MARK)), 0, Number.POSITIVE_INFINITY);
  const root = {
    text: prose,
    free: sequence(prose, optional(several)),
    calls: sequence(lead, several),
    call: sequence(lead, call),
  }[mode];
  rules.set("root", root);
  return { root: "root", rules };
}

/** What stands between the tags of a call. */
function toolRule(tool: Tool, key: string, format: ToolCallFormat, rules: Map<string, Rule>): Rule {
  const path = `tools: ${tool.name}.parameters`;
  const document: unknown = tool.parameters === null ? {} : parseSchema(tool.parameters, path);
  const reader = new SchemaReader(document, path);
  const args = argumentsRule(reader, objectSchema(document, path, reader), path, format);
  // The rules of each tool are its own.
  for (const [name, rule] of reader.rules) rules.set(`${key} ${name}`, renamed(rule, key));
  return sequence(text(tool.name), renamed(args, key));
}

function objectSchema(document: unknown, path: string, reader: SchemaReader): Schema {
  if (typeof document !== "object" || document === null || Array.isArray(document)) {
    throw schemaError(path, "expected a schema that is an object");
  }
  const schema = withoutAllOf(document as Schema, path, (reference) => reader.target(reference, path));
  const known = ["type", "properties", "required", "additionalProperties"];
  const foreign = Object.keys(schema).find((name) => !known.includes(name) && !isAnnotation(name));
  if (foreign !== undefined)
    throw schemaError(`${path}.${foreign}`, "it is not supported for the arguments of a tool");
  if (schema.type !== undefined && schema.type !== "object") {
    throw schemaError(`${path}.type`, 'the arguments of a tool are an "object"');
  }
  return schema;
}

/** From behind the name to in front of </tool_call>. */
function argumentsRule(reader: SchemaReader, schema: Schema, path: string, format: ToolCallFormat): Rule {
  const properties = propertiesOf(schema, path);
  let more: Rule = text(format.atEnd);
  let first: Rule = text(format.afterBareName);
  for (let index = properties.length - 1; index >= 0; index--) {
    const { name, schema: of, path: at, isRequired } = properties[index] as (typeof properties)[number];
    const pair = reader.define(
      `${at} argument`,
      sequence(
        tag("<arg_key>"),
        text(name),
        tag("</arg_key>"),
        text(format.afterKey),
        tag("<arg_value>"),
        argumentValue(reader, of, at),
        tag("</arg_value>"),
      ),
    );
    const taken = sequence(text(format.afterName), pair, more);
    first = reader.define(`${path} first ${index}`, isRequired ? taken : choice(taken, first));
    const next = sequence(text(format.afterValue), pair, more);
    more = reader.define(`${path} more ${index}`, isRequired ? next : choice(next, more));
  }
  return first;
}

/** A text stands there as it is; everything else as JSON. */
function argumentValue(reader: SchemaReader, schema: unknown, path: string): Rule {
  const of = typeof schema === "object" && schema !== null ? (schema as Schema) : {};
  const { $ref } = of;
  if ($ref !== undefined) return argumentValue(reader, reader.target($ref, path), path);
  if (of.type !== "string") return reader.read(schema, path);
  // Checks its keywords.
  reader.read(schema, path);
  const values = "const" in of ? [of.const] : of.enum;
  if (Array.isArray(values)) return choice(...values.filter((value) => typeof value === "string").map(text));
  return reader.stringContent(of, path, chars);
}
