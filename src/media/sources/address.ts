/** What a text or a URL names, and how errors may show it. */
import { baseAddress } from "../../http/base-address.ts";
import { takeCredentials } from "../../http/credentials.ts";
import { fileKind } from "../file-kind.ts";
import { decodeBase64 } from "./data-url.ts";

export type Address =
  | { readonly kind: "data"; readonly text: string }
  /** Base64 without anything before it. */
  | { readonly kind: "base64"; readonly text: string }
  | { readonly kind: "blob"; readonly url: string }
  | { readonly kind: "http"; readonly url: URL; readonly authorization: string | null }
  | { readonly kind: "file"; readonly path: string | URL };

/** No path is longer: beyond it a text is something else. */
const LONGEST_PATH = 4096;
/** Letters in which a file shows what it is (512 bytes). */
const SIGNATURE_LETTERS = 684;
/** The smallest pictures there are. */
const SHORTEST_BASE64 = 32;

/**
 * Reads a source that is a text or a URL. Where there are no files (`hasFiles` false) a path is an address relative to
 * the page or the worker.
 *
 * @throws Error saying what is wrong with it; nothing was read then
 */
export function addressOf(source: string | URL, hasFiles: boolean): Address {
  const text = String(source);
  if (text === "") throw new Error("the path is empty");
  const scheme = schemeOf(text);
  if (scheme === "data") return { kind: "data", text: text.trimStart() };
  if (scheme === "http" || scheme === "https") return httpAddress(parsed(text));
  if (scheme === "blob") return { kind: "blob", url: text.trim() };
  if (hasFiles && scheme === "file") return { kind: "file", path: parsed(text) };
  const isOther = scheme !== null && (text.includes("://") || source instanceof URL || !hasFiles);
  if (isOther) {
    const known = `http:, https:, data:${hasFiles ? ", file:" : ""} and blob: addresses`;
    throw new Error(`${known} can be read, no ${scheme}: ones`);
  }
  if (isBase64(text)) return { kind: "base64", text };
  if (text.length > LONGEST_PATH) {
    throw new Error(
      "it is too long for a path or an address; if it is base64, put data:image/png;base64, before it (or the type it has)",
    );
  }
  if (hasFiles) return { kind: "file", path: text };
  return httpAddress(relative(text));
}

/** Whether a text names a local file by a path, and not by an address nor as itself. */
export function isPath(text: string): boolean {
  return schemeOf(text) === null && text.length <= LONGEST_PATH && !isBase64(text);
}

/** Lower case, without the colon; null for a path, and C: is one. */
function schemeOf(text: string): string | null {
  return /^\s*([a-z][a-z\d+.-]+):/i.exec(text.slice(0, 100))?.[1]?.toLowerCase() ?? null;
}

function parsed(text: string): URL {
  try {
    return new URL(text);
  } catch {
    // Without its cause, which holds the whole address, password and all.
    throw new Error("it is no valid address");
  }
}

function relative(text: string): URL {
  try {
    const url = new URL(text, baseAddress());
    if (url.protocol === "http:" || url.protocol === "https:") return url;
  } catch {}
  throw new Error(
    "it is a relative address, and there is no page here that it is relative to; give the whole address (https://...), " +
      "bytes or a Blob",
  );
}

function httpAddress(url: URL): Address {
  const authorization = takeCredentials(url);
  return { kind: "http", url, authorization };
}

/** Whether it begins as a picture or a video in base64 does. No path does: the letters have no dot. */
function isBase64(text: string): boolean {
  if (text.length < SHORTEST_BASE64) return false;
  const start = text.slice(0, SIGNATURE_LETTERS);
  if (!looksLikeBase64(start)) return false;
  const letters = start.replace(/[\s=]/g, "");
  const whole = letters.length - (letters.length % 4);
  const bytes = decodeBase64(letters, 0, whole, { what: "", maxBytes: Number.POSITIVE_INFINITY });
  return fileKind(bytes) !== undefined;
}

export function looksLikeBase64(text: string): boolean {
  return text.length >= SHORTEST_BASE64 && /^[A-Za-z\d+/\s]+={0,2}$/.test(text.trimEnd());
}

const LONGEST_SHOWN = 120;
/** Letters that break a line or are halves of one. */
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}\ud800-\udfff]/gu;

/** A text or a URL in an error: short, on one line, without passwords, queries or data. */
export function shownAddress(source: string | URL): string {
  const text = String(source);
  const scheme = schemeOf(text);
  const isWeb = scheme === "http" || scheme === "https";
  if (scheme === "data") return cut(`${/^[^,]*,?/.exec(text.trim().slice(0, 60))?.[0]}`, text.length);
  if (isWeb) {
    try {
      const { origin, pathname, search } = new URL(text);
      return cut(`${origin}${pathname}${search === "" ? "" : "?..."}`);
    } catch {}
  }
  // Of an address that can not be taken apart nothing is shown that could be a password.
  const mayHoldPassword = isWeb || (scheme !== "file" && /^\s*[\\/]{2}|:\/\//.test(text.slice(0, 100)));
  return cut(mayHoldPassword ? withoutUser(text) : text);
}

/** By hand: a regular expression that looks for the last @ can be kept busy for hours by a text of slashes. */
function withoutUser(text: string): string {
  const start = /^\s*(?:[^:/\\]*:)?[\\/]*/.exec(text.slice(0, LONGEST_SHOWN))?.[0] ?? "";
  const at = text.lastIndexOf("@");
  return at < start.length ? text : start + text.slice(at + 1);
}

/** A text on one line; of one that is longer than is shown, or of `length` letters, the start. */
export function cut(text: string, length = 0): string {
  const whole = Math.max(text.length, length);
  const shown = whole > LONGEST_SHOWN ? `${text.slice(0, 60)}... (${whole} characters)` : text;
  return visible(shown);
}

/** What others wrote, without letters that do something where it is shown, as in a terminal. */
export function visible(text: string): string {
  return text.replace(CONTROLS, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
