/** A checkpoint behind a web address, read by Range requests. Nothing that comes is taken for what was not asked. */
import { GlimtError } from "../errors.ts";
import { isRedirect } from "../http/redirects.ts";
import { isWebPage, PAGE_START_BYTES } from "../http/web-page.ts";
import { parseBase } from "./address.ts";
import { type CheckpointFiles, type FileRange, truncated } from "./files.ts";
import {
  type Answer,
  HiddenAnswer,
  type HttpOptions,
  HttpRequests,
  type RequestOptions,
} from "./http-requests.ts";
import { FileVersions, isWholeFile, unsatisfiedTotal } from "./http-version.ts";
import { type FetchRange, ReadAhead } from "./read-ahead.ts";
import { checkSmall } from "./small-files.ts";

export type { HttpOptions };

export interface HttpFilesOptions extends HttpOptions {
  /** What is said of a file that the server refuses, where more is known of the server. */
  readonly refusal?: ((answer: Said) => GlimtError) | undefined;
}

type Said = Pick<Answer, "response" | "said">;

/** Also where there is an answer without content. */
const ABSENT = new Set([204, 404, 410]);
/** Without these there is nothing to load, so that a refusal is the answer. */
const REQUIRED = new Set(["config.json", "tokenizer.json", "adapter_config.json"]);
/** How a checkpoint's files end. */
const FILE = /\.(json|jinja|safetensors|bin)$/i;
const LESS_THAN = 0x3c;
/** Asked for to learn a size. Of one byte, "bytes=0-0", vite's server and its like send the whole file. */
const SIZE_PROBE_BYTES = 2;
/** To one read: servers may send less than was asked for, but not for ever a few bytes at a time. */
const [MOST_POOR_ANSWERS, FEW_BYTES] = [1000, 4096];
/** What some servers say of a file that is not there: stores that may not be listed, and gateways. */
const MAYBE_ABSENT = new Set([400, 403]);

/**
 * Files are `baseUrl/NAME`; the query of `baseUrl` (a signature) is kept, and a name and password in it are sent as
 * Authorization.
 *
 * @throws OPTION_INVALID for no http(s) address or headers that are none
 */
export function httpFiles(baseUrl: string | URL, options: HttpFilesOptions = {}): HttpFiles {
  return new HttpFiles(baseUrl, options);
}

/** Takes a piece of a part, `at` bytes from its start. Throws GlimtErrors alone: others are taken for the connection's. */
export type TakePiece = (piece: Uint8Array, at: number) => void | Promise<void>;

export class HttpFiles implements CheckpointFiles {
  readonly location: string;
  readonly #requests: HttpRequests;
  readonly #versions: FileVersions;
  /** Of files that are read whole, whose tags may be others than those of their parts. */
  readonly #wholeVersions: FileVersions;
  readonly #refusal: HttpFilesOptions["refusal"];
  #ahead: ReadAhead | null = null;
  /** Whether this page was shown a file. */
  #isAllowed = false;
  readonly #absences = new Map<string, string>();

  constructor(baseUrl: string | URL, options: HttpFilesOptions) {
    const base = parseBase(baseUrl);
    this.location = base.shown;
    this.#requests = new HttpRequests(base, options);
    this.#versions = new FileVersions(base.shown);
    this.#wholeVersions = new FileVersions(base.shown);
    this.#refusal = options.refusal;
  }

  absence(name: string): string | null {
    const found = this.#absences.get(name) ?? null;
    if (found !== null) return found;
    if (FILE.test(this.location))
      return "That is the address of a file: give that of the directory it lies in.";
    return null;
  }

  async size(name: string, signal?: AbortSignal): Promise<number | null> {
    const range = () => [0, SIZE_PROBE_BYTES] as const;
    const total = await this.#ask(name, { range, signal }, async (answer) => {
      const { response } = answer;
      if (this.#isAbsent(name, answer)) return null;
      // "Range not satisfiable" for the first byte: the file is empty.
      if (response.status === 416) {
        this.#versions.check(name, response, 0);
        return 0;
      }
      if (response.status !== 206) {
        if (response.status !== 200) throw this.#refused(name, answer);
        const start = await startOf(answer);
        if (isWebPage(start)) return this.#isPage(name);
        if (start.length === 0) {
          // Of nothing there are no parts: many servers then answer with the whole.
          this.#versions.check(name, response, 0);
          return 0;
        }
        throw this.#ignoresRange(name);
      }
      const start = new Uint8Array(SIZE_PROBE_BYTES);
      const expected = this.#versions.part(name, response, 0, SIZE_PROBE_BYTES);
      await this.#fill(name, answer, start.length, expected, (piece, at) => start.set(piece, at));
      const isHtml = /^text\/html/i.test(response.headers.get("content-type") ?? "");
      if (isHtml && start[0] === LESS_THAN) return this.#isPage(name);
      return this.#versions.total(name) ?? undefined;
    });
    return total === undefined ? this.#sizeByHead(name, signal) : total;
  }

  async readAll(name: string, signal?: AbortSignal): Promise<Uint8Array | null> {
    return this.#ask(name, { signal }, async (answer) => {
      const { response } = answer;
      if (this.#isAbsent(name, answer)) return null;
      // What Chromium has in its cache of an earlier Range request it asks for anew as just that part, and hands out as such.
      if (response.status !== 200 && !isWholeFile(response)) throw this.#refused(name, answer);
      this.#wholeVersions.check(name, response, null);
      const whole = await collect(answer, (bytes) => {
        checkSmall(this.location, name, bytes);
        return true;
      });
      return isWebPage(whole) ? this.#isPage(name) : whole;
    });
  }

  expectReads(reads: readonly FileRange[], signal?: AbortSignal): void {
    this.#ahead?.end();
    const fetchRange: FetchRange = (range, into, until) =>
      this.readPart(range, (piece, at) => into.set(piece, at), until);
    this.#ahead = reads.length === 0 ? null : new ReadAhead(reads, fetchRange, signal);
  }

  async readInto(name: string, offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    if (this.#ahead) return this.#ahead.read(name, offset, into, signal);
    const range = { file: name, offset, bytes: into.length };
    await this.readPart(range, (piece, at) => into.set(piece, at), signal);
  }

  async readPart(
    { file: name, offset, bytes }: FileRange,
    take: TakePiece,
    signal?: AbortSignal,
  ): Promise<void> {
    let done = 0;
    for (let answers = 0; done < bytes; answers++) {
      if (answers > MOST_POOR_ANSWERS && done < answers * FEW_BYTES)
        throw this.#tooFewBytes(name, done, answers);
      const before = done;
      // Asked anew for each try, since a connection may break after some bytes have come.
      const range = () => [offset + done, offset + bytes] as const;
      let tag: string | null = null;
      const ifRange = () => {
        tag = this.#versions.ifRange(name);
        return tag;
      };
      const isAnswered = await this.#requests.ask(name, { range, ifRange, signal }, async (answer) => {
        if (this.#versions.ignoresIfRange(tag, answer.response)) return false;
        this.#checkPart(name, answer, offset, bytes);
        const expected = this.#versions.part(name, answer.response, offset + done, offset + bytes);
        await this.#fill(name, answer, bytes - done, expected, async (piece) => {
          await take(piece, done);
          done += piece.length;
        });
        return true;
      });
      if (isAnswered && done === before) throw truncated(this.location, name, offset, bytes);
    }
  }

  /** For files that may be absent: some servers allow pages to see their files, and not that one is not there. */
  async #ask<T>(
    name: string,
    options: RequestOptions,
    use: (answer: Answer) => Promise<T>,
  ): Promise<T | null> {
    try {
      const result = await this.#requests.ask(name, options, use);
      this.#isAllowed = true;
      return result;
    } catch (error) {
      if (!(error instanceof HiddenAnswer) || REQUIRED.has(name) || !this.#isAllowed) throw error;
      this.#absences.set(name, error.message);
      return null;
    }
  }

  /** @throws for every status but 206 */
  #checkPart(name: string, answer: Said, offset: number, wanted: number): void {
    const { response } = answer;
    const { status } = response;
    if (status === 206) return;
    const versions = this.#versions;
    if (status === 416) {
      versions.check(name, response, unsatisfiedTotal(response));
      throw truncated(this.location, name, offset, wanted);
    }
    if (status === 412) throw versions.changed(name, "the server says so (status 412)");
    if (status === 200 && versions.isKnown(name)) {
      versions.check(name, response, null);
      throw versions.changed(name, "the server sends it anew from its start");
    }
    if (ABSENT.has(status)) {
      throw new GlimtError("CHECKPOINT_NOT_FOUND", `${this.location} has no ${name} (status ${status}).`);
    }
    throw status === 200 ? this.#ignoresRange(name) : this.#refused(name, answer);
  }

  /** Hands the body on, of at most `room` bytes and of `expected`; null: it is not known how long it is. */
  async #fill(
    name: string,
    answer: Answer,
    room: number,
    expected: number | null,
    take: TakePiece,
  ): Promise<void> {
    const most = expected ?? room;
    let filled = 0;
    try {
      for await (const piece of answer.chunks()) {
        if (filled + piece.length > most) {
          throw this.#versions.changed(name, `more than the ${most} bytes come that were announced`);
        }
        await take(piece, filled);
        filled += piece.length;
      }
    } catch (error) {
      // A connection that broke behind the last byte did no harm.
      if (error instanceof GlimtError || filled < most) throw error;
    }
    if (expected !== null && filled < expected) {
      throw this.#versions.changed(name, `${filled} bytes come of ${expected} that were announced`);
    }
  }

  /** What the server says of a file. @throws what `refusal` gives */
  async head(name: string, signal?: AbortSignal): Promise<Headers> {
    return this.#requests.ask(name, { method: "HEAD", signal }, async (answer) => {
      const { response, said } = answer;
      if (response.ok || isRedirect(response)) return said;
      throw this.#refused(name, answer);
    });
  }

  #sizeByHead(name: string, signal: AbortSignal | undefined): Promise<number> {
    return this.#requests.ask(name, { method: "HEAD", signal }, async ({ response, said }) => {
      const length = said.get("x-linked-size") ?? (response.ok ? said.get("content-length") : null);
      if (length !== null) {
        this.#versions.check(name, response, Number(length));
        return Number(length);
      }
      throw new GlimtError(
        "CHECKPOINT_INVALID",
        `${this.location} does not tell the size of ${name}: it must send Content-Range or Content-Length (and, for pages of ` +
          "another origin, list them in Access-Control-Expose-Headers).",
      );
    });
  }

  #isAbsent(name: string, answer: Said): boolean {
    const { status } = answer.response;
    if (ABSENT.has(status)) return true;
    if (status < 400 || status === 416) return false;
    const error = this.#refused(name, answer);
    if (!MAYBE_ABSENT.has(status) || REQUIRED.has(name)) throw error;
    this.#absences.set(name, error.message);
    return true;
  }

  /** A page in place of a file: null, since the file is not there. @throws CHECKPOINT_NOT_FOUND when it must be */
  #isPage(name: string): null {
    const what = `${this.location}/${name} is a web page`;
    if (REQUIRED.has(name)) {
      throw new GlimtError(
        "CHECKPOINT_NOT_FOUND",
        `${what}: give the address under which the files themselves lie (of a model on Hugging Face: ` +
          "its id, ORG/NAME), or sign in with the option headers.",
      );
    }
    this.#absences.set(name, `${what}.`);
    return null;
  }

  #refused(name: string, answer: Said): GlimtError {
    if (this.#refusal) return this.#refusal(answer);
    const { status } = answer.response;
    const advice =
      status === 401 || status === 403
        ? " If it is private, give an Authorization header in the option headers."
        : "";
    return new GlimtError(
      "CHECKPOINT_NOT_FOUND",
      `${this.location}/${name}: the server ${status < 400 ? "answered" : "refused"} with status ${status}.${advice}`,
    );
  }

  #tooFewBytes(name: string, done: number, answers: number): GlimtError {
    return new GlimtError(
      "CHECKPOINT_INVALID",
      `${this.location} answers Range requests for ${name} with few bytes: ${done} in ${answers} answers.`,
    );
  }

  #ignoresRange(name: string): GlimtError {
    return new GlimtError(
      "CHECKPOINT_INVALID",
      `${this.location} answers a Range request for ${name} with the whole file; glimt reads weights in parts. ` +
        "Serve the checkpoint from a server that supports HTTP ranges.",
    );
  }
}

function startOf(answer: Answer): Promise<Uint8Array> {
  return collect(answer, (bytes) => bytes < PAGE_START_BYTES);
}

/** The body as far as `wantsMore` says of the bytes that have come; pieces may be single bytes, and there are no lists of them. */
export async function collect(
  { chunks }: Answer,
  wantsMore: (bytes: number) => boolean,
): Promise<Uint8Array> {
  let buffer = new Uint8Array(1 << 14);
  let bytes = 0;
  for await (const piece of chunks()) {
    const before = bytes;
    bytes += piece.length;
    const more = wantsMore(bytes);
    if (bytes > buffer.length) {
      const larger = new Uint8Array(Math.max(bytes, 2 * buffer.length));
      larger.set(buffer.subarray(0, before));
      buffer = larger;
    }
    buffer.set(piece, before);
    if (!more) break;
  }
  return buffer.slice(0, bytes);
}
