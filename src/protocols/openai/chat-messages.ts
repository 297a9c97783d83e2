/** Messages of OpenAI's chats as the model takes them; what is wrong with them is said by the model's own reader. */
import { keptOr } from "../../json/kept.ts";
import type { Message } from "../../prompt/process-options.ts";
import { Fields, type Json } from "../fields.ts";

/** What answers of OpenAI's API hold beside what a message says, and clients send back with the conversation. */
const ANSWER_KEYS = ["annotations", "refusal", "audio", "function_call"];

/** @throws RequestError */
export function chatMessages(fields: Fields): readonly Message[] {
  const list = fields.list("messages");
  if (!list) throw fields.missing("messages");
  return list.map((message, index) => chatMessage(message, `messages[${index}]`));
}

function chatMessage(given: unknown, path: string): Message {
  const fields = new Fields(given, path);
  const { reasoning, ...others } = given as Json;
  const message: Record<string, unknown> = { ...others };
  for (const key of ANSWER_KEYS) {
    const value = message[key];
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0))
      delete message[key];
  }
  // vLLM's newer name of it.
  const thought = fields.string("reasoning");
  if (thought !== undefined) message.reasoning_content ??= thought;
  if (message.role === "developer") message.role = "system";
  if (Array.isArray(message.tool_calls)) message.tool_calls = message.tool_calls.map(exactCall);
  return message as unknown as Message;
}

/** Arguments may be an object in place of its text; what is no call is left for the model's reader to say. */
function exactCall(call: unknown): unknown {
  const called = isObject(call) ? call.function : undefined;
  if (!isObject(called) || !isObject(called.arguments)) return call;
  return { ...(call as Json), function: { ...called, arguments: keptOr(called.arguments) } };
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
