/** What an answer is to be: response_format, vLLM's structured_outputs and its older guided_* fields. */

import { keptOr } from "../../json/kept.ts";
import type { StructuredOptions } from "../../serving/structured-options.ts";
import { RequestError } from "../errors.ts";
import type { Fields, Json } from "../fields.ts";

/** JSON of any object, as json_object asks for. */
const ANY_OBJECT = { type: "object" };

interface Form {
  readonly from: string;
  readonly structured: StructuredOptions;
}

/** Undefined: any text. @throws RequestError, also where several fields say it */
export function answerForm(fields: Fields): StructuredOptions | undefined {
  const [first, second] = [...responseFormat(fields), ...structuredOutputs(fields), ...guided(fields)];
  if (!second) return first?.structured;
  throw new RequestError(
    "invalid",
    `${first?.from} and ${second.from} both say what the answer is; give one.`,
    {
      param: second.from,
    },
  );
}

function responseFormat(fields: Fields): Form[] {
  const format = fields.fields("response_format");
  if (!format) return [];
  const type = format.oneOf("type", ["text", "json_object", "json_schema"]);
  const from = "response_format";
  if (type === undefined) throw format.missing("type");
  if (type === "json_schema") {
    const described = format.fields("json_schema");
    if (!described) throw format.missing("json_schema");
    format.end();
    return [{ from, structured: { jsonSchema: schemaOf(described, "schema") } }];
  }
  format.end();
  return type === "text" ? [] : [{ from, structured: { jsonSchema: ANY_OBJECT } }];
}

/** The schema of an object that names and describes it. */
export function schemaOf(described: Fields, name: string): object | string {
  described.pass(["name", "description", "strict"]);
  const schema = described.object(name);
  if (!schema) throw described.missing(name);
  described.end();
  return keptOr(schema);
}

function structuredOutputs(fields: Fields): Form[] {
  const given = fields.fields("structured_outputs");
  if (!given) return [];
  const from = "structured_outputs";
  const forms = [
    ...formsOf(given, { json: "json", regex: "regex", choice: "choice", grammar: "grammar" }),
    ...(given.boolean("json_object")
      ? [{ from: given.at("json_object"), structured: { jsonSchema: ANY_OBJECT } }]
      : []),
  ];
  given.refuse("disable_fallback", "There is one implementation.", [true, false]);
  given.refuse("disable_any_whitespace", "Blanks between tokens of JSON are allowed.", [false]);
  given.refuse("disable_additional_properties", "Say additionalProperties in the schema.", [false]);
  given.refuse("whitespace_pattern", "Blanks between tokens of JSON are allowed.");
  given.refuse("structural_tag", "Use a grammar.");
  given.end();
  if (forms.length === 1) return forms;
  throw new RequestError(
    "invalid",
    `${from} must have exactly one of json, regex, choice, grammar, json_object.`,
    {
      param: from,
    },
  );
}

function guided(fields: Fields): Form[] {
  fields.refuse("guided_whitespace_pattern", "Blanks between tokens of JSON are allowed.");
  return formsOf(fields, {
    json: "guided_json",
    regex: "guided_regex",
    choice: "guided_choice",
    grammar: "guided_grammar",
  });
}

function formsOf(
  fields: Fields,
  names: Readonly<Record<"json" | "regex" | "choice" | "grammar", string>>,
): Form[] {
  const json = fields.any(names.json);
  if (json !== undefined && typeof json !== "string" && (typeof json !== "object" || Array.isArray(json)))
    throw fields.wrong(names.json, "a JSON schema");
  const regex = fields.string(names.regex);
  const choice = fields.strings(names.choice);
  const grammar = fields.string(names.grammar);
  return [
    ...(json === undefined
      ? []
      : [
          {
            from: fields.at(names.json),
            structured: { jsonSchema: typeof json === "object" ? keptOr(json as Json) : (json as string) },
          },
        ]),
    ...(regex === undefined ? [] : [{ from: fields.at(names.regex), structured: { regex } }]),
    ...(choice === undefined ? [] : [{ from: fields.at(names.choice), structured: { choice } }]),
    ...(grammar === undefined ? [] : [{ from: fields.at(names.grammar), structured: { grammar } }]),
  ];
}
