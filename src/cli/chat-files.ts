/** Files of a conversation, of whose JSON nothing is lost on the way to the chat template. */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { GlimtError } from "../errors.ts";
import type { Message, MessagePart } from "../index.ts";
import { type ExactJson, exactJsonText, parseExactJson, plainJson } from "../json/exact.ts";
import { isPath } from "../media/sources/address.ts";
import { readStandardInput, STANDARD_INPUT } from "./standard-input.ts";
import { unreadableReason } from "./unreadable-reason.ts";
import { utf8Text } from "./utf8-text.ts";

/**
 * The messages of a file; paths of pictures and videos in it are relative to it. "-" is standard input, and paths are as
 * on the command line.
 *
 * @throws INPUT_INVALID
 */
export async function readMessages(file: string): Promise<Message[]> {
  const messages = await readList(file, "messages");
  const folder = file === STANDARD_INPUT ? "." : dirname(resolve(file));
  // What is no message or part is left as it is, for `process` to say where it stands.
  return messages.map((exact) => {
    const message = plainMessage(exact) as Message;
    const content: unknown = message?.content;
    return Array.isArray(content) ? { ...message, content: withResolvedPaths(content, folder) } : message;
  });
}

/** The function schemas of a file ("-": of standard input), as JSON text. @throws INPUT_INVALID */
export async function readToolsFile(file: string): Promise<string> {
  return exactJsonText(await readList(file, "tools"));
}

async function readList(file: string, what: string): Promise<readonly ExactJson[]> {
  const name = file === STANDARD_INPUT ? `--${what} -` : file;
  const text = utf8Text(await readBytes(file, what), name);
  let value: ExactJson;
  try {
    value = parseExactJson(text);
  } catch (cause) {
    throw new GlimtError("INPUT_INVALID", `${name} is not JSON: ${(cause as Error).message}.`, { cause });
  }
  if (Array.isArray(value)) return value;
  throw new GlimtError("INPUT_INVALID", `${name} must hold an array of ${what}.`);
}

async function readBytes(file: string, what: string): Promise<Uint8Array> {
  if (file === STANDARD_INPUT) return readStandardInput(`--${what} -`);
  return readFile(file).catch(async (cause: NodeJS.ErrnoException) => {
    const reason = await unreadableReason(file, cause);
    throw new GlimtError("INPUT_INVALID", `The ${what} file ${file} can not be read: ${reason}.`, { cause });
  });
}

/** The prompt that standard input has; the end of its last line is no part of it. @throws INPUT_INVALID */
export async function readPrompt(): Promise<string> {
  const name = "The prompt -";
  return utf8Text(await readStandardInput(name), name).replace(/\r?\n$/, "");
}

/** As plain data, but for the arguments of tool calls, which stay JSON text. */
function plainMessage(message: ExactJson): unknown {
  if (!(message instanceof Map)) return plainJson(message);
  const plain = plainJson(message) as Record<string, unknown>;
  const calls: unknown = message.get("tool_calls");
  return Array.isArray(calls) ? { ...plain, tool_calls: calls.map(plainCall) } : plain;
}

function plainCall(call: ExactJson): unknown {
  if (!(call instanceof Map)) return plainJson(call);
  const plain = plainJson(call) as Record<string, unknown>;
  const called = call.get("function");
  const given = call.get("arguments");
  return {
    ...plain,
    ...(called instanceof Map && { function: plainCall(called) }),
    ...(given instanceof Map && { arguments: exactJsonText(given) }),
  };
}

function withResolvedPaths(parts: readonly unknown[], folder: string): NonNullable<Message["content"]> {
  return parts.map((part) => {
    if (typeof part !== "object" || part === null) return part as MessagePart;
    const resolved: Record<string, unknown> = { ...part };
    for (const key of ["image", "image_url", "video", "video_url", "url", "path"]) {
      const source = resolved[key] as string | { url?: unknown } | null | undefined;
      if (typeof source === "string") resolved[key] = resolvedPath(source, folder);
      else if (typeof source?.url === "string") {
        resolved[key] = { ...source, url: resolvedPath(source.url, folder) };
      }
    }
    return resolved as unknown as MessagePart;
  });
}

function resolvedPath(source: string, folder: string): string {
  return isPath(source) ? resolve(folder, source) : source;
}
