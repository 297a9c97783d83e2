/** A body of Ollama's /api/chat as what is asked of a model. */
import { keptOr } from "../../json/kept.ts";
import type { Message } from "../../prompt/process-options.ts";
import type { ToolCall } from "../../text/messages.ts";
import type { Asked } from "../asked.ts";
import { Fields } from "../fields.ts";
import { needed } from "../needed.ts";
import { contentWith, imageParts } from "./read-images.ts";
import { readAnswerFields } from "./read-options.ts";

/** `prompt` is empty where the model is only to be loaded, as it is already. */
export interface OllamaChatRequest extends Asked {
  readonly model: string;
  readonly prompt: readonly Message[];
}

/** @throws RequestError naming the field, e.g. `messages[0].images` */
export function readOllamaChat(body: unknown): OllamaChatRequest {
  const fields = new Fields(body);
  const model = needed(fields, "model", fields.string("model"));
  const prompt = (fields.list("messages") ?? []).map((message, index) =>
    readMessage(new Fields(message, `messages[${index}]`)),
  );
  const tools = fields.list("tools")?.map((tool, index) => readTool(new Fields(tool, `tools[${index}]`)));
  const { options, stream } = readAnswerFields(fields);
  fields.end();
  const offers = tools !== undefined && tools.length > 0;
  return {
    model,
    prompt,
    // Calls are well formed, as their arguments are told as objects.
    options: offers ? { ...options, tools: keptOr(tools), toolChoice: "auto" } : options,
    stream,
  };
}

function readMessage(fields: Fields): Message {
  const role = needed(fields, "role", fields.oneOf("role", ["system", "user", "assistant", "tool"]));
  const text = fields.string("content") ?? "";
  const images = imageParts(fields);
  const thinking = fields.string("thinking");
  const calls = fields.list("tool_calls")?.map((call, index) => {
    const path = `${fields.at("tool_calls")}[${index}]`;
    return readCall(new Fields(call, path), `call_${index}`);
  });
  const name = fields.string("tool_name");
  const id = fields.string("tool_call_id");
  fields.end();
  return {
    role,
    content: contentWith(images, text),
    ...(thinking && { reasoning_content: thinking }),
    ...(calls && calls.length > 0 && { tool_calls: calls }),
    ...(name !== undefined && { name }),
    ...(id !== undefined && { tool_call_id: id }),
  };
}

function readCall(call: Fields, position: string): ToolCall {
  const id = call.string("id") ?? position;
  const called = needed(call, "function", call.fields("function"));
  call.pass(["type"]);
  call.end();
  const name = needed(called, "name", called.string("name"));
  const given = called.object("arguments") ?? {};
  called.pass(["index", "description"]);
  called.end();
  return { id, type: "function", function: { name, arguments: keptOr(given) } };
}

function readTool(tool: Fields): object {
  tool.oneOf("type", ["function"]);
  const described = needed(tool, "function", tool.fields("function"));
  tool.pass(["items"]);
  tool.end();
  const name = needed(described, "name", described.string("name"));
  const description = described.string("description");
  const parameters = described.object("parameters");
  described.pass(["type", "strict"]);
  described.end();
  return {
    type: "function",
    function: { name, ...(description !== undefined && { description }), ...(parameters && { parameters }) },
  };
}
