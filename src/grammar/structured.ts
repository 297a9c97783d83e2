/** What an answer is asked to be, as plain data that goes to the worker which reads it, and what comes back. */
import type { Automaton } from "./automaton.ts";
import { buildAutomaton } from "./build-automaton.ts";
import { readEbnf } from "./ebnf.ts";
import { jsonSchemaGrammar, parseSchema } from "./json-schema.ts";
import { readPattern } from "./pattern.ts";
import { chars, choice, type Grammar, named, type Rule, renamedRules, text } from "./rule.ts";
import { type ToolCallPlan, toolCallGrammar } from "./tool-calls.ts";

/** Exactly one of them. */
export type StructuredText =
  /** JSON text of a schema. */
  | { readonly kind: "jsonSchema"; readonly source: string }
  | { readonly kind: "regex"; readonly source: string }
  | { readonly kind: "choice"; readonly choices: readonly string[] }
  | { readonly kind: "grammar"; readonly source: string }
  | { readonly kind: "tools"; readonly plan: ToolCallPlan }
  /** Calls, or the other. */
  | { readonly kind: "callsOr"; readonly plan: Omit<ToolCallPlan, "mode">; readonly other: StructuredText };

const SCHEMA_PATH = "structured.jsonSchema";

/** @throws OPTION_INVALID naming what is wrong, and where */
export function compileStructured(asked: StructuredText): Automaton {
  return buildAutomaton(grammarOf(asked));
}

function grammarOf(asked: StructuredText): Grammar {
  switch (asked.kind) {
    case "jsonSchema":
      return jsonSchemaGrammar(parseSchema(asked.source, SCHEMA_PATH), SCHEMA_PATH);
    case "regex":
      return ofRule(readPattern(asked.source, { name: "structured.regex", spell: chars, whole: true }));
    case "choice":
      return ofRule(choice(...asked.choices.map(text)));
    case "grammar":
      return readEbnf(asked.source);
    case "tools":
      return toolCallGrammar(asked.plan);
    case "callsOr":
      return eitherOf(toolCallGrammar({ ...asked.plan, mode: "calls" }), grammarOf(asked.other));
  }
}

function eitherOf(...grammars: readonly Grammar[]): Grammar {
  const apart = grammars.map((grammar, index) => renamedRules(grammar, `either ${index}`));
  const root = choice(...apart.map((grammar) => named(grammar.root)));
  return { root: "root", rules: new Map([...apart.flatMap(({ rules }) => [...rules]), ["root", root]]) };
}

function ofRule(rule: Rule): Grammar {
  return { root: "root", rules: new Map([["root", rule]]) };
}
