/** The functions that a prompt offers, as grammars of their calls take them. */
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import type { Tool } from "../grammar/tool-calls.ts";
import { type ExactJson, exactJsonText, parseExactJson } from "../json/exact.ts";

/** @param tools schemas in OpenAI's shape or of the functions alone, as a list or its JSON text. @throws OPTION_INVALID */
export function offeredTools(tools: readonly object[] | string): Tool[] {
  const list = parseExactJson(typeof tools === "string" ? tools : JSON.stringify(tools));
  return (list as readonly ReadonlyMap<string, ExactJson>[]).map((tool, index) => {
    const called = tool.get("function") ?? tool;
    const field = (key: string): ExactJson => (called instanceof Map ? (called.get(key) ?? null) : null);
    const [name, parameters] = [field("name"), field("parameters")];
    if (typeof name !== "string" || name.trim() !== name || name === "" || name.includes("\n")) {
      throw new GlimtError(
        "OPTION_INVALID",
        `tools[${index}] has the name ${shown(name)}, with which it can not be called: expected one line of text.`,
      );
    }
    return { name, parameters: parameters === null ? null : exactJsonText(parameters) };
  });
}
