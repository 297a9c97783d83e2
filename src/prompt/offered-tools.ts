/** The functions that a prompt offers, as grammars of their calls take them. */
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import type { Tool } from "../grammar/tool-calls.ts";

type Fields = Readonly<Record<string, unknown>>;

/** @param tools schemas in OpenAI's shape or of the functions alone, as a list or its JSON text. @throws OPTION_INVALID */
export function offeredTools(tools: readonly object[] | string): Tool[] {
  const list = (typeof tools === "string" ? JSON.parse(tools) : tools) as readonly Fields[];
  return list.map((tool, index) => {
    const called = (tool.function ?? tool) as Fields;
    const { name, parameters = null } = called;
    if (typeof name !== "string" || name.trim() !== name || name === "" || name.includes("\n")) {
      throw new GlimtError(
        "OPTION_INVALID",
        `tools[${index}] has the name ${shown(name)}, with which it can not be called: expected one line of text.`,
      );
    }
    return { name, parameters: parameters === null ? null : JSON.stringify(parameters) };
  });
}
