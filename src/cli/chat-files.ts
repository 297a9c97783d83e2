/** Files of a conversation, of whose JSON nothing is lost on the way to the chat template. */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { GlimtError } from "../errors.ts";
import type { Message, MessagePart } from "../index.ts";
import { type ExactJson, exactJsonText, parseExactJson, plainJson } from "../json/exact.ts";
import { isPath } from "../media/sources/address.ts";

/** The messages of a file; paths of pictures and videos in it are relative to it. @throws INPUT_INVALID */
export async function readMessages(file: string): Promise<Message[]> {
  const messages = await readList(file, "messages");
  const folder = dirname(resolve(file));
  // What is no message or part is left as it is, for `process` to say where it stands.
  return messages.map((exact) => {
    const message = plainMessage(exact) as Message;
    const content: unknown = message?.content;
    return Array.isArray(content) ? { ...message, content: withResolvedPaths(content, folder) } : message;
  });
}

/** The function schemas of a file, as JSON text. @throws INPUT_INVALID */
export async function readToolsFile(file: string): Promise<string> {
  return exactJsonText(await readList(file, "tools"));
}

async function readList(file: string, what: string): Promise<readonly ExactJson[]> {
  const text = await readText(file, what);
  let value: ExactJson;
  try {
    value = parseExactJson(text);
  } catch (cause) {
    throw new GlimtError("INPUT_INVALID", `${file} is not JSON: ${(cause as Error).message}.`, { cause });
  }
  if (Array.isArray(value)) return value;
  throw new GlimtError("INPUT_INVALID", `${file} must hold an array of ${what}.`);
}

async function readText(file: string, what: string): Promise<string> {
  const bytes = await readFile(file).catch((cause: NodeJS.ErrnoException) => {
    const reason = cause.code === "EISDIR" ? "it is a directory" : cause.message;
    throw new GlimtError("INPUT_INVALID", `The ${what} file ${file} can not be read: ${reason}.`, { cause });
  });
  const encoding = otherEncoding(bytes);
  if (encoding) {
    throw new GlimtError("INPUT_INVALID", `${file} can not be read: it is ${encoding}; save it as UTF-8.`);
  }
  try {
    // A byte order mark, as editors put there, is no part of the text.
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new GlimtError("INPUT_INVALID", `${file} can not be read: it is no UTF-8.`, { cause });
  }
}

/** By its mark, or by the zeros that JSON's first character has beside it. */
function otherEncoding(bytes: Uint8Array): string | null {
  const [a = 1, b = 1, c = 1, d = 1] = bytes;
  if (a === 0 && b === 0) return "UTF-32";
  if (a === 0xff && b === 0xfe) return c === 0 && d === 0 ? "UTF-32" : "UTF-16";
  if (b === 0 && c === 0) return "UTF-32";
  return (a === 0xfe && b === 0xff) || a === 0 || b === 0 ? "UTF-16" : null;
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
