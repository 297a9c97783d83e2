/** A checkpoint behind a web address, read by Range requests; passing failures are tried again. */
import { GlimtError, throwIfAborted } from "../errors.ts";
import { type CheckpointFiles, truncated } from "./files.ts";

export interface HttpOptions {
  /** Sent with every request, e.g. an Authorization header for a private repository. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Replaces the global fetch. */
  readonly fetch?: typeof fetch;
  /** How often a request that failed in passing is tried again (default 4). */
  readonly retries?: number;
  /** Milliseconds before the first new try; it doubles each time (default 250). */
  readonly retryDelay?: number;
}

/** Statuses that say "not now": the next try may work. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);
const ABSENT = new Set([404, 410]);

/** Files are `baseUrl/NAME`; the query of `baseUrl` (a signature) is kept. @throws OPTION_INVALID for no http(s) address. */
export function httpFiles(baseUrl: string | URL, options: HttpOptions = {}): CheckpointFiles {
  const base = parseBase(baseUrl);
  const location = base.origin + base.pathname.replace(/\/$/, "");
  const request = requester(base, options);
  return {
    location,
    async size(name, signal) {
      return request(name, { range: () => [0, 1], signal }, async (response) => {
        await response.body?.cancel();
        if (ABSENT.has(response.status)) return null;
        // "Range not satisfiable" for the first byte: the file is empty.
        if (response.status === 416) return 0;
        requireRange(response, location, name);
        return totalOf(response) ?? sizeByHead(request, location, name, signal);
      });
    },
    async readAll(name, signal) {
      return request(name, { signal }, async (response) => {
        if (!ABSENT.has(response.status)) return new Uint8Array(await response.arrayBuffer());
        await response.body?.cancel();
        return null;
      });
    },
    async readInto(name, offset, into, signal) {
      let done = 0;
      while (done < into.length) {
        const before = done;
        // Asked anew for each try, since a connection may break after some bytes have come.
        const range = () => [offset + done, offset + into.length] as const;
        await request(name, { range, signal }, async (response) => {
          if (response.status === 416) throw truncated(location, name, offset, into.length);
          if (ABSENT.has(response.status)) throw missing(location, name, response.status);
          requireRange(response, location, name);
          for await (const piece of chunks(response)) {
            throwIfAborted(signal);
            if (done + piece.length > into.length) throw ignoresRange(location, name);
            into.set(piece, done);
            done += piece.length;
          }
        });
        if (done === before) throw truncated(location, name, offset, into.length);
      }
    },
  };
}

interface RequestOptions {
  /** First byte, and the one past the last. */
  readonly range?: () => readonly [number, number];
  readonly method?: "HEAD";
  readonly signal: AbortSignal | undefined;
}

/** Sends a request and hands the response to `use`; both are tried again when they fail in passing. */
type Request = <T>(
  name: string,
  options: RequestOptions,
  use: (response: Response) => Promise<T>,
) => Promise<T>;

function requester(base: URL, options: HttpOptions): Request {
  const { headers = {}, fetch: send = fetch, retries = 4, retryDelay = 250 } = options;
  return async (name, { range, method, signal }, use) => {
    for (let attempt = 0; ; attempt++) {
      throwIfAborted(signal);
      try {
        const [first, end] = range?.() ?? [];
        const response = await send(fileUrl(base, name), {
          method: method ?? "GET",
          headers: end ? { ...headers, Range: `bytes=${first}-${end - 1}` } : headers,
          signal: signal ?? null,
        });
        if (PASSING.has(response.status)) throw new PassingStatus(response.status);
        if (response.ok || response.status === 416 || ABSENT.has(response.status)) return await use(response);
        throw refused(base, name, response.status);
      } catch (error) {
        throwIfAborted(signal);
        if (error instanceof GlimtError) throw error;
        if (attempt >= retries) throw failed(base, name, attempt + 1, error);
      }
      await pause(retryDelay * 2 ** attempt, signal);
    }
  };
}

class PassingStatus extends Error {
  constructor(status: number) {
    super(`status ${status}`);
  }
}

function parseBase(baseUrl: string | URL): URL {
  let url: URL;
  try {
    url = new URL(baseUrl);
  } catch (cause) {
    throw new GlimtError("OPTION_INVALID", `"${baseUrl}" is not an address.`, { cause });
  }
  if (!/^https?:$/.test(url.protocol)) {
    throw new GlimtError("OPTION_INVALID", `"${baseUrl}": only http and https addresses can be read.`);
  }
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

function fileUrl(base: URL, name: string): URL {
  const url = new URL(encodeURIComponent(name), base);
  url.search = base.search;
  return url;
}

/** The size after the slash of `Content-Range: bytes 0-0/SIZE`; null where a browser hides the header. */
function totalOf(response: Response): number | null {
  const total = /\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1];
  return total === undefined ? null : Number(total);
}

function sizeByHead(request: Request, location: string, name: string, signal: AbortSignal | undefined) {
  return request(name, { method: "HEAD", signal }, async (response) => {
    const length = response.headers.get("content-length");
    if (length !== null) return Number(length);
    throw new GlimtError(
      "CHECKPOINT_INVALID",
      `${location} does not tell the size of ${name}: it must send Content-Range or Content-Length (and, for pages of ` +
        "another origin, list them in Access-Control-Expose-Headers).",
    );
  });
}

function requireRange(response: Response, location: string, name: string): void {
  if (response.status !== 206) throw ignoresRange(location, name);
}

async function* chunks(response: Response): AsyncGenerator<Uint8Array> {
  if (!response.body) return;
  const reader = response.body.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function ignoresRange(location: string, name: string): GlimtError {
  return new GlimtError(
    "CHECKPOINT_INVALID",
    `${location} answers a Range request for ${name} with the whole file; glimt reads weights in parts. ` +
      "Serve the checkpoint from a server that supports HTTP ranges.",
  );
}

function missing(location: string, name: string, status: number): GlimtError {
  return new GlimtError("CHECKPOINT_NOT_FOUND", `${location} has no ${name} (status ${status}).`);
}

function refused(base: URL, name: string, status: number): GlimtError {
  const advice =
    status === 401 || status === 403
      ? " If it is private, give an Authorization header in the option headers."
      : "";
  return new GlimtError(
    "CHECKPOINT_NOT_FOUND",
    `${base.origin}${base.pathname}${name}: the server refused with status ${status}.${advice}`,
  );
}

function failed(base: URL, name: string, attempts: number, cause: unknown): GlimtError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new GlimtError(
    "CHECKPOINT_NOT_FOUND",
    `${base.origin}${base.pathname}${name} could not be read in ${attempts} tries: ${reason}.`,
    { cause },
  );
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
