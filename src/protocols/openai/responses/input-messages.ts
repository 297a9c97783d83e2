/** Input of /v1/responses as messages: items of one turn of the assistant become one message. */
import type { Message } from "../../../prompt/process-options.ts";
import { RequestError } from "../../errors.ts";
import { Fields } from "../../fields.ts";

/** A message that is being put together. */
interface Turn {
  role: string;
  content?: unknown;
  reasoning_content?: string;
  tool_calls?: object[];
  tool_call_id?: string;
}

/** @throws RequestError naming the item */
export function inputMessages(fields: Fields): readonly Message[] {
  const instructions = fields.string("instructions");
  const first: Turn[] = instructions === undefined ? [] : [{ role: "system", content: instructions }];
  const input = fields.any("input");
  if (input === undefined) throw fields.missing("input");
  const turns =
    typeof input === "string"
      ? [{ role: "user", content: input }]
      : joined((fields.list("input") as unknown[]).map((item, index) => turnOf(item, `input[${index}]`)));
  return [...first, ...turns] as unknown as Message[];
}

function turnOf(given: unknown, path: string): Turn {
  const item = new Fields(given, path);
  const type = item.string("type") ?? "message";
  item.pass(["id", "status"]);
  const turn = TURNS[type];
  if (!turn) {
    throw item.wrong("type", `one of ${Object.keys(TURNS).join(", ")}`);
  }
  const read = turn(item);
  item.end();
  return read;
}

const TURNS: Readonly<Record<string, (item: Fields) => Turn>> = {
  message(item) {
    item.pass(["phase"]);
    const role = item.oneOf("role", ["user", "assistant", "system", "developer"]);
    if (role === undefined) throw item.missing("role");
    return { role: role === "developer" ? "system" : role, content: contentOf(item, "content") };
  },
  function_call(item) {
    item.pass(["namespace", "caller"]);
    const [id, name, text] = [item.string("call_id"), item.string("name"), item.string("arguments")];
    if (id === undefined) throw item.missing("call_id");
    if (name === undefined) throw item.missing("name");
    const call = { id, type: "function", function: { name, arguments: text ?? "" } };
    return { role: "assistant", tool_calls: [call] };
  },
  function_call_output(item) {
    const id = item.string("call_id");
    if (id === undefined) throw item.missing("call_id");
    return { role: "tool", tool_call_id: id, content: contentOf(item, "output") };
  },
  reasoning(item) {
    item.pass(["encrypted_content"]);
    const texts = [...(item.list("content") ?? []), ...(item.list("summary") ?? [])];
    const thought = texts.map((part, index) =>
      new Fields(part, `${item.at("content")}[${index}]`).string("text"),
    );
    return { role: "assistant", reasoning_content: thought.join("") };
  },
};

/** A text, or parts of a message. */
function contentOf(item: Fields, name: string): unknown {
  const value = item.any(name);
  if (value === undefined) throw item.missing(name);
  if (typeof value === "string") return value;
  return (item.list(name) ?? []).map((part, index) => partOf(part, `${item.at(name)}[${index}]`));
}

function partOf(given: unknown, path: string): object {
  const part = new Fields(given, path);
  const type = part.oneOf("type", ["input_text", "output_text", "text", "refusal", "input_image"]);
  if (type === undefined) throw part.missing("type");
  if (type === "input_image") {
    part.refuse("file_id", "Send the picture itself, or its address, in image_url.");
    const url = part.string("image_url");
    if (url === undefined) throw part.missing("image_url");
    part.pass(["detail"]);
    part.end();
    return { type: "image_url", image_url: { url } };
  }
  const text = part.string(type === "refusal" ? "refusal" : "text");
  if (text === undefined) throw part.missing("text");
  part.pass(["annotations", "logprobs"]);
  part.end();
  return { type: "text", text };
}

/** Neighbours of the assistant's, until it has said something that it does not say twice, are one message. */
function joined(turns: readonly Turn[]): Turn[] {
  const all: Turn[] = [];
  for (const turn of turns) {
    const last = all.at(-1);
    const isNext = last?.role === "assistant" && turn.role === "assistant" && continues(last, turn);
    if (!isNext || !last) all.push({ ...turn });
    else {
      Object.assign(last, turn, {
        ...(turn.tool_calls && { tool_calls: [...(last.tool_calls ?? []), ...turn.tool_calls] }),
      });
    }
  }
  // An assistant's message that only thinks has content too.
  return all.map((turn) =>
    turn.content === undefined && !turn.tool_calls ? { ...turn, content: "" } : turn,
  );
}

function continues(last: Turn, next: Turn): boolean {
  if (next.reasoning_content !== undefined) return false;
  if (next.content !== undefined) return last.content === undefined && !last.tool_calls;
  return true;
}

/** What of a conversation is not kept here. */
export function refuseKept(fields: Fields): void {
  const id = fields.any("previous_response_id") ?? fields.any("conversation");
  if (id === undefined) return;
  throw new RequestError(
    "invalid",
    "No responses are kept here: send the whole conversation as input, with store: false.",
    { param: "previous_response_id", code: "unsupported_parameter" },
  );
}
