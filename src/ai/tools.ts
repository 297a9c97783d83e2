/** Tools that a call offers, and which of them the answer is to call. */
import type { ToolChoice } from "../serving/tool-choice.ts";
import type { CallOptions, Warning } from "./contract.ts";

export interface OfferedTools {
  readonly options: { readonly tools?: readonly object[]; readonly toolChoice?: ToolChoice };
  readonly warnings: Warning[];
}

/** The tools as chat templates take them. Calls are well formed, but of tools that say `strict: false`. */
export function toolOptions({
  tools = [],
  toolChoice,
}: Pick<CallOptions, "tools" | "toolChoice">): OfferedTools {
  const warnings: Warning[] = [];
  const functions = tools.flatMap((tool) => {
    if (tool.type !== "function") {
      warnings.push({
        type: "unsupported",
        feature: `provider-defined tool ${tool.id}`,
        details: "It runs at a provider; glimt offers functions alone.",
      });
      return [];
    }
    if (tool.inputExamples !== undefined) {
      const details = "Chat templates have no place for them; put them into the tool's description.";
      warnings.push({ type: "unsupported", feature: `inputExamples of tool ${tool.name}`, details });
    }
    return [tool];
  });
  if (functions.length === 0) return { options: {}, warnings };
  const offered = functions.map(({ name, description, inputSchema }) => ({
    type: "function",
    function: { name, ...(description !== undefined && { description }), parameters: inputSchema },
  }));
  const isLoose = functions.some(({ strict }) => strict === false);
  const choice = choiceOf(toolChoice, isLoose);
  return { options: { tools: offered, ...(choice && { toolChoice: choice }) }, warnings };
}

function choiceOf(given: CallOptions["toolChoice"], isLoose: boolean): ToolChoice | undefined {
  if (given?.type === "tool") return { name: given.toolName };
  if (given !== undefined && given.type !== "auto") return given.type;
  return isLoose ? undefined : "auto";
}
