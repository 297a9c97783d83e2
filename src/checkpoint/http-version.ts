/** What a server's answers say of a file: that it is the bytes asked for, and still the file of the answers before. */
import { GlimtError } from "../errors.ts";
import { shownName } from "./shown.ts";

/** What is known of a file of a server; null for what it does not say, or a browser hides (CORS). */
interface Version {
  readonly total: number | null;
  readonly etag: string | null;
  readonly modified: string | null;
}

/** The versions seen of each file: all its parts must be of one. */
export class FileVersions {
  readonly #location: string;
  readonly #seen = new Map<string, Version>();
  /** Other pages' servers must allow the header If-Range, and few do. */
  #isForeign = false;
  #refusesIfRange = false;

  constructor(location: string) {
    this.#location = location;
  }

  /** The value for If-Range: the server then sends another file whole. Weak tags do not stand for the same bytes. */
  ifRange(name: string): string | null {
    const etag = this.#seen.get(name)?.etag;
    return !etag || this.#isForeign || this.#refusesIfRange || isWeak(etag) ? null : etag;
  }

  /**
   * Whether a 200 in answer to If-Range has the very tag that was sent: the server does not know the header, and is not
   * sent it again.
   */
  ignoresIfRange(sent: string | null, { status, headers }: Response): boolean {
    if (status !== 200 || sent === null || headers.get("etag") !== sent) return false;
    this.#refusesIfRange = true;
    return true;
  }

  /** Bytes of the file, if an answer told them. */
  total(name: string): number | null {
    return this.#seen.get(name)?.total ?? null;
  }

  /**
   * How many of the bytes [first, end) that were asked for a 206 brings: those from `first` on. Null when that is hidden
   * (CORS), and may be fewer.
   *
   * @throws CHECKPOINT_INVALID when it brings others, or bytes of another file than those before
   */
  part(name: string, response: Response, first: number, end: number): number | null {
    const coding = response.headers.get("content-encoding") ?? "";
    if (!/^\s*(identity)?\s*$/i.test(coding)) {
      throw this.#wrong(name, `a part of the file comes compressed (Content-Encoding: ${shownName(coding)})`);
    }
    const type = response.headers.get("content-type") ?? "";
    if (/^multipart\/byteranges/i.test(type)) {
      throw this.#wrong(name, "one part was asked for, and several come (multipart/byteranges)");
    }
    const text = response.headers.get("content-range");
    const range = text === null ? null : parseContentRange(text);
    const isAsked =
      range?.first === first && first < range.end && range.end <= Math.min(end, range.total ?? end);
    if (text === null && response.type !== "cors") {
      throw this.#wrong(name, "status 206 comes without a Content-Range, so that it may be any part");
    }
    if (text !== null && !isAsked) {
      throw this.#wrong(name, `bytes ${first} to ${end - 1} were asked for, "${shownName(text)}" comes`);
    }
    this.check(name, response, range?.total ?? null);
    return range && range.end - first;
  }

  /** @throws CHECKPOINT_INVALID when the answer is about another file than those before */
  check(name: string, response: Response, total: number | null): void {
    this.#isForeign ||= response.type === "cors";
    const { headers } = response;
    const now = { total, etag: headers.get("etag"), modified: headers.get("last-modified") };
    const before = this.#seen.get(name);
    if (before) {
      if (differ(before.total, total)) {
        throw this.changed(name, `it had ${before.total} bytes, and has ${total} now`);
      }
      if (differ(before.etag && withoutWeak(before.etag), now.etag && withoutWeak(now.etag))) {
        throw this.changed(
          name,
          `its ETag was ${shownName(String(before.etag))}, and is ${shownName(String(now.etag))} now`,
        );
      }
      // Servers behind one address may give the same file several dates: a tag says more.
      if (!(before.etag && now.etag) && differ(before.modified, now.modified)) {
        throw this.changed(
          name,
          `Last-Modified was "${shownName(String(before.modified))}", and is "${shownName(String(now.modified))}" now`,
        );
      }
    }
    this.#seen.set(name, {
      total: before?.total ?? now.total,
      etag: before?.etag ?? now.etag,
      modified: before?.modified ?? now.modified,
    });
  }

  /** Whether an answer about the file was accepted before. */
  isKnown(name: string): boolean {
    return this.#seen.has(name);
  }

  changed(name: string, what: string): GlimtError {
    return new GlimtError(
      "CHECKPOINT_INVALID",
      `${name} of ${this.#location} changed while it was read: ${what}. Load it again.`,
    );
  }

  #wrong(name: string, what: string): GlimtError {
    return new GlimtError(
      "CHECKPOINT_INVALID",
      `${this.#location} does not answer Range requests for ${name} as it should: ${what}.`,
    );
  }
}

/** Of `bytes FIRST-LAST/TOTAL`; null when it is no such text. */
function parseContentRange(text: string): { first: number; end: number; total: number | null } | null {
  const found = /^\s*bytes\s+(\d+)-(\d+)\/(\d+|\*)\s*$/i.exec(text);
  if (!found) return null;
  const total = found[3] === "*" ? null : Number(found[3]);
  return { first: Number(found[1]), end: Number(found[2]) + 1, total };
}

/** Whether a 206 brings the file from its first byte to its last. */
export function isWholeFile({ status, headers }: Response): boolean {
  const range = status === 206 ? parseContentRange(headers.get("content-range") ?? "") : null;
  return range !== null && range.first === 0 && range.end === range.total;
}

/** The size of a file that a 416 tells. */
export function unsatisfiedTotal(response: Response): number | null {
  const total = /^\s*bytes\s+\*\/(\d+)\s*$/i.exec(response.headers.get("content-range") ?? "")?.[1];
  return total === undefined ? null : Number(total);
}

function differ<T>(before: T | null, now: T | null): boolean {
  return before !== null && now !== null && before !== now;
}

function isWeak(etag: string): boolean {
  return etag.startsWith("W/");
}

function withoutWeak(etag: string): string {
  return etag.replace(/^W\//, "");
}
