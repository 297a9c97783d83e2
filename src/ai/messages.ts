/** A prompt of the AI SDK as glimt's messages. */
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import type { Message, MessagePart } from "../prompt/process-options.ts";
import type { PromptMessage, ToolOutput, ToolResultPart, Warning } from "./contract.ts";
import { filePart } from "./files.ts";

type PartOf<Role extends PromptMessage["role"]> = Extract<PromptMessage, { role: Role }>["content"][number];

/**
 * @returns the messages, and warnings of what is left out
 * @throws INPUT_INVALID naming the place; of files that can not be read, as the AI SDK knows it
 */
export function messagesOf(prompt: readonly PromptMessage[]): { messages: Message[]; warnings: Warning[] } {
  const warnings: Warning[] = [];
  const leftOut = (type: string, path: string) => {
    warnings.push({ type: "unsupported", feature: `${type} parts`, details: `${path} is left out.` });
  };
  const messages = prompt.flatMap((message, index): Message[] => {
    const path = `prompt[${index}].content`;
    switch (message.role) {
      case "system":
        return [{ role: "system", content: message.content }];
      case "user":
        return [
          { role: "user", content: message.content.map((part, at) => saidPart(part, `${path}[${at}]`)) },
        ];
      case "assistant":
        return assistantMessages(message.content, path, leftOut);
      case "tool":
        return message.content.flatMap((part, at) => {
          if (part.type === "tool-result") return [toolMessage(part, `${path}[${at}]`)];
          leftOut(part.type, `${path}[${at}]`);
          return [];
        });
      default:
        throw new GlimtError(
          "INPUT_INVALID",
          `prompt[${index}].role is ${shown((message as PromptMessage)?.role)}, expected system, user, assistant or tool.`,
        );
    }
  });
  return { messages, warnings };
}

function saidPart(part: PartOf<"user">, path: string): MessagePart {
  if (part.type === "text") return { type: "text", text: part.text };
  if (part.type === "file") return filePart(part, path);
  throw new GlimtError(
    "INPUT_INVALID",
    `${path}.type is ${shown((part as { type?: unknown }).type)}, expected text or file.`,
  );
}

/** An earlier answer, and behind it the results of tools that its provider ran itself. */
function assistantMessages(
  parts: readonly PartOf<"assistant">[],
  path: string,
  leftOut: (type: string, path: string) => void,
): Message[] {
  const content: MessagePart[] = [];
  const calls: NonNullable<Message["tool_calls"]>[number][] = [];
  const results: Message[] = [];
  let reasoning = "";
  for (const [index, part] of parts.entries()) {
    const at = `${path}[${index}]`;
    switch (part.type) {
      case "text":
      case "file":
        content.push(saidPart(part, at));
        break;
      case "reasoning":
        reasoning += part.text;
        break;
      case "tool-call":
        calls.push({
          id: part.toolCallId,
          type: "function",
          function: { name: part.toolName, arguments: part.input as Record<string, unknown> },
        });
        break;
      case "tool-result":
        results.push(toolMessage(part, at));
        break;
      default:
        leftOut(part.type, at);
    }
  }
  const isText = content.every((part) => part.type === "text");
  return [
    {
      role: "assistant",
      // Pieces of one text: the AI SDK parts it where reasoning or a call stood between.
      content: isText ? content.map((part) => (part.type === "text" ? part.text : "")).join("") : content,
      ...(reasoning !== "" && { reasoning_content: reasoning }),
      ...(calls.length > 0 && { tool_calls: calls }),
    },
    ...results,
  ];
}

function toolMessage({ toolCallId, toolName, output }: ToolResultPart, path: string): Message {
  const content = toolContent(output, `${path}.output`);
  return { role: "tool", tool_call_id: toolCallId, name: toolName, content };
}

function toolContent(output: ToolOutput, path: string): string | MessagePart[] {
  switch (output.type) {
    case "text":
    case "error-text":
      return output.value;
    case "json":
    case "error-json":
      return JSON.stringify(output.value) ?? "null";
    case "execution-denied":
      return output.reason ?? "The user did not allow this call.";
    case "content":
      return output.value.map((part, index) => saidPart(part as PartOf<"user">, `${path}.value[${index}]`));
    default:
      throw new GlimtError(
        "INPUT_INVALID",
        `${path}.type is ${shown((output as ToolOutput).type)}, which is no output of a tool.`,
      );
  }
}
