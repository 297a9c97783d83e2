/** How a checkpoint's template writes calls of tools, seen from a conversation that has some. */
import { GlimtError } from "../errors.ts";
import type { ToolCallFormat } from "../grammar/tool-calls.ts";

/** No template writes these by itself. */
const CALLED = "GLIMT_PROBE";
const [FIRST, SECOND, VALUE] = ["glimt_key_a", "glimt_key_b", "glimt_value"];

const call = (given: Readonly<Record<string, string>>) => ({
  type: "function",
  function: { name: CALLED, arguments: given },
});

const PROBE = [
  { role: "user", content: "-" },
  {
    role: "assistant",
    content: "",
    tool_calls: [call({ [FIRST as string]: VALUE as string, [SECOND as string]: VALUE as string }), call({})],
  },
  { role: "user", content: "-" },
];

const WRITTEN = new RegExp(
  `<tool_call>${CALLED}(\\s*)<arg_key>${FIRST}</arg_key>(\\s*)<arg_value>${VALUE}</arg_value>(\\s*)` +
    `<arg_key>${SECOND}</arg_key>\\s*<arg_value>${VALUE}</arg_value>(\\s*)</tool_call>(\\s*)<tool_call>${CALLED}(\\s*)</tool_call>`,
);

/** @param render of the checkpoint's template. @throws OPTION_INVALID when it writes no calls, or in another format */
export function toolCallFormat(render: (messages: typeof PROBE) => string): ToolCallFormat {
  const found = WRITTEN.exec(render(PROBE));
  if (!found) {
    throw new GlimtError(
      "OPTION_INVALID",
      "toolChoice: this checkpoint's chat template writes no tool calls in GLM-4.5's or GLM-4.7's format.",
    );
  }
  const [, afterName, afterKey, afterValue, atEnd, betweenCalls, afterBareName] =
    found as unknown as string[];
  return { afterName, afterBareName, afterKey, afterValue, atEnd, betweenCalls } as ToolCallFormat;
}
