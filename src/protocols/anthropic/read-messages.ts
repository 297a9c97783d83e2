/** Anthropic's messages as a conversation of ours: results of tools become messages of their own. */
import { shown } from "../../given.ts";
import { keptOr } from "../../json/kept.ts";
import type { Message, MessagePart } from "../../prompt/process-options.ts";
import type { ToolCall } from "../../text/messages.ts";
import { RequestError } from "../errors.ts";
import { Fields } from "../fields.ts";
import { needed } from "../needed.ts";

/** Says what the service may keep of a prompt: here what was read before is found by itself. */
const CACHE_MARKS = ["cache_control"];
const BLOCKS_REFUSED = "only text, images, thinking, and tools that the caller runs are read here";

/** @throws RequestError naming the place, e.g. `messages[1].content[0].source` */
export function readAnthropicMessages(given: readonly unknown[], system: unknown): Message[] {
  const conversation = new Conversation();
  if (system !== undefined) conversation.system(system, "system");
  given.forEach((message, index) => {
    conversation.message(new Fields(message, `messages[${index}]`));
  });
  return conversation.messages;
}

class Conversation {
  readonly messages: Message[] = [];
  readonly #calls = new Set<string>();

  message(fields: Fields): void {
    const role = needed(fields, "role", fields.oneOf("role", ["user", "assistant", "system"]));
    const content = fields.any("content");
    const at = fields.at("content");
    fields.pass(CACHE_MARKS);
    fields.end();
    if (role === "system") this.system(content, at);
    else if (role === "user") this.#user(blocksOf(content, at));
    else this.#assistant(blocksOf(content, at));
  }

  system(content: unknown, path: string): void {
    const parts = blocksOf(content, path).map((block) => textPart(block));
    // As one text, which every template takes.
    const text = parts.map((part) => part.text).join("\n");
    if (text !== "") this.messages.push({ role: "system", content: text });
  }

  #user(blocks: readonly Fields[]): void {
    let parts: MessagePart[] = [];
    const endTurn = () => {
      if (parts.length > 0) this.messages.push({ role: "user", content: contentOf(parts) });
      parts = [];
    };
    for (const block of blocks) {
      const type = typeOf(block);
      if (type === "text") parts.push(textPart(block));
      else if (type === "image") parts.push(imagePart(block));
      else if (type === "tool_result") {
        endTurn();
        this.messages.push(this.#toolResult(block));
      } else throw blockRefused(block, type);
    }
    endTurn();
  }

  #toolResult(block: Fields): Message {
    const id = needed(block, "tool_use_id", block.string("tool_use_id"));
    if (!this.#calls.has(id)) {
      throw invalid(block.at("tool_use_id"), `is ${shown(id)}: no tool_use block before it has this id`);
    }
    const content = block.any("content");
    // What it says tells that it is an error: templates have no place for more.
    block.pass([...CACHE_MARKS, "is_error", "toolset_name"]);
    block.end();
    const parts = content === undefined ? [] : blocksOf(content, block.at("content")).map(resultPart);
    return { role: "tool", tool_call_id: id, content: contentOf(parts) };
  }

  #assistant(blocks: readonly Fields[]): void {
    const parts: MessagePart[] = [];
    const thoughts: string[] = [];
    const calls: ToolCall[] = [];
    for (const block of blocks) {
      const type = typeOf(block);
      if (type === "text") parts.push(textPart(block));
      else if (type === "thinking") {
        thoughts.push(needed(block, "thinking", block.string("thinking")));
        block.pass(["signature"]);
        block.end();
      } else if (type === "tool_use") calls.push(this.#toolUse(block));
      // Nobody here can read it; it stands for thinking, which templates leave out of earlier turns.
      else if (type !== "redacted_thinking") throw blockRefused(block, type);
    }
    this.messages.push({
      role: "assistant",
      content: parts.length === 0 && calls.length > 0 ? null : contentOf(parts),
      ...(thoughts.length > 0 && { reasoning_content: thoughts.join("\n") }),
      ...(calls.length > 0 && { tool_calls: calls }),
    });
  }

  #toolUse(block: Fields): ToolCall {
    const id = needed(block, "id", block.string("id"));
    const name = needed(block, "name", block.string("name"));
    const input = needed(block, "input", block.object("input"));
    block.pass([...CACHE_MARKS, "caller", "toolset_name"]);
    block.end();
    this.#calls.add(id);
    return { id, type: "function", function: { name, arguments: keptOr(input) } };
  }
}

/** A text is one block of it. */
function blocksOf(content: unknown, path: string): Fields[] {
  if (typeof content === "string") return [new Fields({ type: "text", text: content }, path)];
  if (!Array.isArray(content)) {
    throw invalid(path, `is ${shown(content)}, expected a string or a list of blocks`);
  }
  return content.map((block, index) => new Fields(block, `${path}[${index}]`));
}

function typeOf(block: Fields): string {
  return needed(block, "type", block.string("type"));
}

function blockRefused(block: Fields, type: string): RequestError {
  return invalid(block.at("type"), `is ${shown(type)}, which is not supported: ${BLOCKS_REFUSED}`);
}

function invalid(path: string, problem: string): RequestError {
  return new RequestError("invalid", `${path} ${problem}.`, { param: path });
}

function resultPart(block: Fields): MessagePart {
  const type = typeOf(block);
  if (type === "text") return textPart(block);
  if (type === "image") return imagePart(block);
  throw blockRefused(block, type);
}

function textPart(block: Fields): { readonly type: "text"; readonly text: string } {
  const type = typeOf(block);
  if (type !== "text") throw blockRefused(block, type);
  const text = needed(block, "text", block.string("text"));
  block.pass([...CACHE_MARKS, "citations"]);
  block.end();
  return { type: "text", text };
}

function imagePart(block: Fields): MessagePart {
  const source = new Fields(needed(block, "source", block.object("source")), block.at("source"));
  block.pass(CACHE_MARKS);
  block.end();
  const kind = needed(source, "type", source.string("type"));
  if (kind === "url") {
    const url = needed(source, "url", source.string("url"));
    source.end();
    if (!/^(https?|data):/i.test(url)) throw source.wrong("url", "an https address");
    return { type: "image", image: url };
  }
  if (kind !== "base64") throw source.wrong("type", '"base64" or "url"');
  const type = needed(source, "media_type", source.string("media_type"));
  const data = needed(source, "data", source.string("data"));
  source.end();
  if (!/^image\/[\w.+-]+$/.test(type)) throw source.wrong("media_type", "image/png or the like");
  return { type: "image", image: `data:${type};base64,${data}` };
}

/** One text is a string, which every template takes. */
function contentOf(parts: readonly MessagePart[]): string | readonly MessagePart[] {
  const [first] = parts;
  if (first === undefined) return "";
  return parts.length === 1 && first.type === "text" ? first.text : parts;
}
