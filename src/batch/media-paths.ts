/** Pictures and videos that requests name by paths: relative to the folder of the batch file. */
import { isPath } from "../media/sources/address.ts";

/** Keys of parts of messages under which a source stands, by itself or in an object with a url. */
const SOURCE_KEYS = ["image", "image_url", "video", "video_url", "url", "path"];

/** The body with paths of its messages' parts as `resolvePath` gives them; all else is as it was. */
export function withResolvedPaths(
  body: Readonly<Record<string, unknown>>,
  resolvePath: (path: string) => string,
): Record<string, unknown> {
  const resolved = { ...body };
  // Of chats, and of responses.
  for (const key of ["messages", "input"]) {
    const messages = body[key];
    if (Array.isArray(messages))
      resolved[key] = messages.map((message) => resolvedMessage(message, resolvePath));
  }
  return resolved;
}

function resolvedMessage(message: unknown, resolvePath: (path: string) => string): unknown {
  if (!isObject(message) || !Array.isArray(message.content)) return message;
  return { ...message, content: message.content.map((part) => resolvedPart(part, resolvePath)) };
}

function resolvedPart(part: unknown, resolvePath: (path: string) => string): unknown {
  if (!isObject(part)) return part;
  const resolved = { ...part };
  for (const key of SOURCE_KEYS) {
    const source = part[key];
    if (typeof source === "string") resolved[key] = resolvedSource(source, resolvePath);
    else if (isObject(source) && typeof source.url === "string") {
      resolved[key] = { ...source, url: resolvedSource(source.url, resolvePath) };
    }
  }
  return resolved;
}

function resolvedSource(source: string, resolvePath: (path: string) => string): string {
  return isPath(source) ? resolvePath(source) : source;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
