/**
 * The one wrapper around fetch for checkpoints. It adds the caller's headers and keeps them with their origin, follows
 * redirects, gives up what stalls, tries again what failed in passing, and says what went wrong.
 */

import { GlimtError, throwIfAborted } from "../errors.ts";
import { checkTimeLimit, shown } from "../given.ts";
import { explainFailure } from "../http/failure.ts";
import { isRedirect, MOST_REDIRECTS } from "../http/redirects.ts";
import { type BaseAddress, fileUrl } from "./address.ts";
import { Attempt } from "./http-attempt.ts";
import { shownName } from "./shown.ts";

export interface HttpOptions {
  /** Sent with every request, e.g. an Authorization header for a private repository; to no other origin. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /**
   * Milliseconds without a byte after which a server is given up with TIMED_OUT (default 30000); ten times as many for a
   * whole answer: a small file, or each 4 MiB of weights that were asked for at once.
   */
  readonly checkpointTimeout?: number | undefined;
  /** Replaces the global fetch. */
  readonly fetch?: typeof fetch | undefined;
  /** How often a request that failed in passing is tried again (default 4). */
  readonly retries?: number | undefined;
  /** Milliseconds before the first new try; it doubles each time (default 250). A server's Retry-After may ask for more. */
  readonly retryDelay?: number | undefined;
  /** A server whose Retry-After asks for more milliseconds is not waited for (default 60000). */
  readonly longestWait?: number | undefined;
}

export interface RequestOptions {
  /** First byte, and the one past the last. */
  readonly range?: () => readonly [number, number];
  /** Sent as If-Range where that needs no leave of the server. */
  readonly ifRange?: () => string | null;
  readonly method?: "HEAD";
  readonly signal: AbortSignal | undefined;
}

/** A response whose status says something of the file: 2xx, 4xx. */
export interface Answer {
  readonly response: Response;
  /** What the answers on the way, which redirected, said of the file, and the last one where they did not. */
  readonly said: Headers;
  /** The body as it comes. What is not read is given up when `use` ends. */
  chunks(): AsyncGenerator<Uint8Array>;
}

/** Statuses that say "not now": the next try may work. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);
const DEFAULT_TIMEOUT = 30_000;
/** Bytes that make up for the tries it took to get them. */
const GOOD_PART = 1 << 16;

/** The server answers, but does not let a page of another origin see what. */
export class HiddenAnswer extends GlimtError {
  constructor(file: string) {
    super(
      "CHECKPOINT_NOT_FOUND",
      `${file} could not be read: its server answers, but does not allow pages of other origins to see it (CORS: it must ` +
        "send Access-Control-Allow-Origin with every answer, and allow the headers that are given).",
    );
  }
}

export class HttpRequests {
  readonly #base: BaseAddress;
  readonly #headers: Headers;
  readonly #send: typeof fetch;
  readonly #idle: number;
  readonly #retries: number;
  readonly #retryDelay: number;
  readonly #longestWait: number;
  /** A browser hides where a redirect leads; it follows by itself, and drops Authorization at another origin. */
  #followsItself = false;
  /** Of a repository of Hugging Face: the commit that its files are of. */
  #commit: string | null = null;
  /** Where a file's redirects led, of which parts are read: asked at once the next time, until it refuses (signatures expire). */
  readonly #targets = new Map<string, URL>();

  /** @throws OPTION_INVALID */
  constructor(base: BaseAddress, options: HttpOptions) {
    const { headers, checkpointTimeout = DEFAULT_TIMEOUT, retries = 4, retryDelay = 250 } = options;
    const { longestWait = 60_000 } = options;
    checkTimeLimit("checkpointTimeout", checkpointTimeout);
    this.#base = base;
    this.#headers = checkedHeaders(headers);
    if (base.authorization && !this.#headers.has("authorization")) {
      this.#headers.set("authorization", base.authorization);
    }
    this.#send = options.fetch ?? ((...sent) => fetch(...sent));
    this.#idle = checkpointTimeout;
    this.#retries = retries;
    this.#retryDelay = retryDelay;
    this.#longestWait = longestWait;
  }

  /** Sends a request and hands the answer to `use`; both are tried again when they fail in passing. */
  async ask<T>(name: string, options: RequestOptions, use: (answer: Answer) => Promise<T>): Promise<T> {
    const { signal } = options;
    const url = fileUrl(this.#base, name);
    const position = () => options.range?.()[0] ?? 0;
    for (let attempt = 0; ; attempt++) {
      throwIfAborted(signal);
      const before = position();
      const [first, end] = options.range?.() ?? [0, 0];
      const start = (options.range && this.#targets.get(name)) ?? url;
      const current = new Attempt(`${this.#base.shown}/${name}`, start, this.#idle, end - first, signal);
      let wait = this.#retryDelay * 2 ** attempt;
      try {
        const { response, said } = await this.#fetch(name, options, current);
        if (!PASSING.has(response.status)) {
          return await use({ response, said, chunks: () => chunks(response, current) });
        }
        const asked = retryAfter(response);
        const again = attempt < this.#retries && asked <= this.#longestWait;
        if (!again) throw this.#failed(name, attempt + 1, statusReason(response.status, asked));
        wait = Math.max(wait, asked);
      } catch (error) {
        throwIfAborted(signal);
        if (error instanceof GlimtError) throw error;
        this.#targets.delete(name);
        const { reason, passing, mayBeHidden } = explainFailure(error, current.url, "Range");
        if (mayBeHidden && (await this.#answersUnseen(name, current))) {
          throw new HiddenAnswer(`${this.#base.shown}/${name}`);
        }
        // Connections that are cut again and again still bring the file, as long as each brings a good part.
        if (position() >= before + GOOD_PART) attempt = 0;
        if (attempt >= this.#retries || !passing) throw this.#failed(name, attempt + 1, reason, error);
      } finally {
        current.close();
      }
      await pause(wait, signal);
    }
  }

  /** Follows redirects by hand, since the caller's headers must not go to another origin. */
  async #fetch(
    name: string,
    options: RequestOptions,
    attempt: Attempt,
  ): Promise<{ response: Response; said: Headers }> {
    const { range, ifRange, method = "GET" } = options;
    const headers = new Headers(this.#headers);
    // The size that is told is the file's then. A browser does not let it be set.
    if (method === "HEAD") headers.set("accept-encoding", "identity");
    const leave = () => {
      for (const [key] of this.#headers) headers.delete(key);
    };
    const [first, end] = range?.() ?? [];
    if (first !== undefined && end !== undefined) headers.set("range", `bytes=${first}-${end - 1}`);
    const validator = ifRange?.();
    if (validator) headers.set("if-range", validator);
    const isShortcut = range !== undefined && this.#targets.has(name);
    if (attempt.url.origin !== this.#base.url.origin) leave();
    const said = new Headers();
    for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
      const redirect = this.#followsItself ? "follow" : "manual";
      const init: RequestInit = { method, headers, redirect, signal: attempt.signal };
      const response = await attempt.until(this.#send(attempt.url, init));
      attempt.heard();
      requireResponse(response);
      this.#requireCommit(response);
      for (const [key, value] of response.headers) if (!said.has(key)) said.set(key, value);
      if (response.type === "opaqueredirect") {
        this.#followByItself(name);
        continue;
      }
      // Of a file of the Hub a redirect says all that is asked.
      const isTold = method === "HEAD" && response.headers.has("x-linked-etag");
      if (!isRedirect(response) || isTold) {
        const isRefused = response.status >= 400 && response.status !== 416;
        if (isShortcut && isRefused) {
          this.#targets.delete(name);
          attempt.url = fileUrl(this.#base, name);
          response.body?.cancel().catch(() => undefined);
          return this.#fetch(name, options, attempt);
        }
        if (response.redirected && response.url !== "") attempt.url = new URL(response.url);
        const isRedirected = redirects > 0 || response.redirected;
        if (isRedirected && response.ok && range) this.#targets.set(name, attempt.url);
        return { response, said };
      }
      const next = this.#target(name, response, attempt.url);
      if (next.origin !== attempt.url.origin) leave();
      attempt.url = next;
    }
    throw this.#refused(name, `it redirects more than ${MOST_REDIRECTS} times`);
  }

  /** Each file of a branch may be whole, and not fit the others once the branch has moved. */
  #requireCommit({ headers }: Response): void {
    const commit = headers.get("x-repo-commit");
    this.#commit ??= commit;
    if (commit === null || commit === this.#commit) return;
    throw new GlimtError(
      "CHECKPOINT_INVALID",
      `${this.#base.shown} changed while it was read: its files were of commit ${shownName(String(this.#commit))}, and are of ${shownName(commit)} now. ` +
        "Load it again, or give the address of one commit (.../resolve/COMMIT).",
    );
  }

  /** Whether there is an answer at all: without the wish to see it, a browser asks for nobody's leave. */
  async #answersUnseen(name: string, attempt: Attempt): Promise<boolean> {
    const init: RequestInit = { method: "HEAD", mode: "no-cors", signal: attempt.signal };
    try {
      await attempt.until(this.#send(fileUrl(this.#base, name), init));
      return true;
    } catch (error) {
      if (error instanceof GlimtError) throw error;
      return false;
    }
  }

  #followByItself(name: string): void {
    const others = [...this.#headers.keys()].filter((key) => key !== "authorization");
    if (others.length > 0) {
      throw this.#refused(
        name,
        `it redirects, and a page can not see where to, so that the headers ${others.join(", ")} might reach ` +
          "another origin. Give the address that it redirects to, or only Authorization",
      );
    }
    this.#followsItself = true;
  }

  #target(name: string, response: Response, from: URL): URL {
    const location = response.headers.get("location");
    const url = location !== null && URL.canParse(location, from) ? new URL(location, from) : null;
    if (!url || !/^https?:$/.test(url.protocol)) {
      throw this.#refused(name, `it redirects (status ${response.status}) to no http address`);
    }
    // Of another's making: not to be sent.
    url.username = "";
    url.password = "";
    return url;
  }

  #refused(name: string, what: string): GlimtError {
    return new GlimtError("CHECKPOINT_NOT_FOUND", `${this.#base.shown}/${name}: ${what}.`);
  }

  #failed(name: string, attempts: number, reason: string, cause?: unknown): GlimtError {
    const tries = attempts === 1 ? "" : ` in ${attempts} tries`;
    return new GlimtError(
      "CHECKPOINT_NOT_FOUND",
      `${this.#base.shown}/${name} could not be read${tries}: ${reason}.`,
      cause === undefined ? {} : { cause },
    );
  }
}

/** @throws OPTION_INVALID for what can be no headers, naming them without their values */
export function checkedHeaders(headers: HttpOptions["headers"]): Headers {
  try {
    return new Headers(headers);
  } catch {
    // Without its cause, which shows the value: it may be a secret.
    const names = typeof headers === "object" && headers ? Object.keys(headers).join(", ") : typeof headers;
    throw new GlimtError("OPTION_INVALID", `headers (${names}) are not names with values that HTTP allows.`);
  }
}

/** Another's fetch may give anything. */
function requireResponse(response: unknown): asserts response is Response {
  const { status, headers } = (response ?? {}) as Partial<Record<keyof Response, unknown>>;
  const isOne = typeof status === "number" && typeof (headers as Headers | undefined)?.get === "function";
  if (!isOne) throw new GlimtError("OPTION_INVALID", `fetch gave ${shown(response)}, expected a Response.`);
}

async function* chunks(response: Response, attempt: Attempt): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      const { done, value } = await attempt.until(reader.read());
      if (done) return;
      attempt.heard();
      yield value;
    }
  } finally {
    // Not awaited: a stalled body may never say that it ended.
    reader.cancel().catch(() => undefined);
  }
}

/** Milliseconds that the server asks to wait; 0 when it does not. */
function retryAfter(response: Response): number {
  const value = response.headers.get("retry-after");
  if (value === null) return 0;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? 0 : Math.max(0, date - Date.now());
}

function statusReason(status: number, asked: number): string {
  const patience = asked > 0 ? `, and the server asks to wait ${Math.ceil(asked / 1000)} s` : "";
  return `status ${status}${patience}`;
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener("abort", end);
  });
}
