/** Whether an answer may call tools, and which: an option, and what of the prompt it is about. */
import { GlimtError } from "../errors.ts";
import { readOptions, shown } from "../given.ts";
import type { StructuredText } from "../grammar/structured.ts";
import type { Tool, ToolCallFormat } from "../grammar/tool-calls.ts";

/** "auto": calls are well formed; "none": there are none; "required": the answer is one or several; a name: one of it. */
export type ToolChoice =
  | "auto"
  | "none"
  | "required"
  | {
      /** Of the tool. */
      readonly name: string;
    };

/** @throws OPTION_INVALID */
export function readToolChoice(given: ToolChoice | undefined): ToolChoice | null {
  if (given === undefined || given === "auto" || given === "none" || given === "required")
    return given ?? null;
  if (typeof given === "object" && given !== null) {
    const { name } = readOptions(given, "toolChoice", ["name"]);
    if (typeof name === "string" && name !== "") return { name };
  }
  throw new GlimtError(
    "OPTION_INVALID",
    `toolChoice is ${shown(given)}, expected "auto", "none", "required" or { name } of a tool.`,
  );
}

/**
 * What an answer is of that may be both asked for a form and to call tools: with "auto" calls or that form, else the form.
 *
 * @throws OPTION_INVALID
 */
export function answerForm(
  structured: StructuredText | null,
  choice: ToolChoice | null,
  offered: () => readonly Tool[],
  format: () => ToolCallFormat,
): StructuredText | null {
  if (structured && choice !== "auto") return structured;
  const calls = choice && toolCalls(choice, offered(), format);
  if (!structured || !calls) return calls;
  return { kind: "callsOr", plan: calls.plan, other: structured };
}

/** @param offered of the prompt. @throws OPTION_INVALID for a choice among tools that are not there */
function toolCalls(
  choice: ToolChoice,
  offered: readonly Tool[],
  format: () => ToolCallFormat,
): Extract<StructuredText, { kind: "tools" }> {
  const names = offered.map(({ name }) => name);
  if (names.length === 0) {
    throw new GlimtError(
      "OPTION_INVALID",
      "toolChoice says which tools are called, and the prompt offers none: give tools.",
    );
  }
  if (choice === "none") return plan("text", [], format);
  if (choice === "auto") return plan("free", offered, format);
  if (choice === "required") return plan("calls", offered, format);
  const named = offered.filter(({ name }) => name === choice.name);
  if (named.length > 0) return plan("call", named, format);
  throw new GlimtError(
    "OPTION_INVALID",
    `toolChoice names ${shown(choice.name)}, and the prompt offers ${names.join(", ")}.`,
  );
}

function plan(
  mode: "text" | "free" | "calls" | "call",
  tools: readonly Tool[],
  format: () => ToolCallFormat,
): Extract<StructuredText, { kind: "tools" }> {
  return { kind: "tools", plan: { mode, tools, format: format() } };
}
