/** Why a source could not be read, in a few words. */
import { visible } from "./address.ts";

/** What file systems say by code, in words for who gave the source. */
const MEANINGS: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "reading it is not permitted",
  EPERM: "reading it is not permitted",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of its path is no folder",
  ELOOP: "links in its path go round in circles",
  ENAMETOOLONG: "the path is too long",
  EMFILE: "too many files are open",
  ENFILE: "too many files are open",
  EIO: "the system can not read it",
  ERR_INVALID_ARG_VALUE: "its path holds a letter that no path may",
};
/** Deno without a permission. */
const DENO = /^(NotCapable|PermissionDenied)$/;
const LONGEST = 300;

export function reasonOf(thrown: unknown): string {
  const { name, message, code } = (thrown ?? {}) as { name?: unknown; message?: unknown; code?: unknown };
  const text = typeof message === "string" ? message : String(thrown);
  if (DENO.test(String(name))) {
    return `Deno does not permit it; run it with ${/--allow-[a-z]+/.exec(text)?.[0] ?? "--allow-read"}`;
  }
  const meaning = MEANINGS[String(code)];
  if (meaning !== undefined) return `${code}: ${meaning}`;
  const spaced = text.slice(0, 4 * LONGEST).replace(/\s+/g, " ");
  const line = visible(spaced.trim().replace(/\.$/, ""));
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}...` : line;
}
