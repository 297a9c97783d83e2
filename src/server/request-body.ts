/** Bodies of requests: counted while they come, of JSON, and no deeper and of no more parts than what reads them can take. */
import { RequestError } from "../protocols/errors.ts";
import { parseBody } from "../protocols/read-body.ts";

export interface BodyLimits {
  readonly bodyBytes: number;
  readonly allBodyBytes: number;
  readonly bodyDepth: number;
  readonly bodyObjects: number;
}

export class RequestBodies {
  readonly #limits: BodyLimits;
  /** Bytes of all bodies under way. */
  #held = 0;

  constructor(limits: BodyLimits) {
    this.#limits = limits;
  }

  /**
   * @param onEnd is given what lets the bytes go, when the request has ended
   * @throws RequestError "tooLarge" before the rest is read, "overloaded", "invalid" for what is no JSON; the signal's reason
   */
  async json(request: Request, signal: AbortSignal, onEnd: (release: () => void) => void): Promise<unknown> {
    const { bodyBytes } = this.#limits;
    const announced = Number(request.headers.get("content-length") ?? 0);
    if (announced > bodyBytes) throw tooLarge(bodyBytes);
    let own = 0;
    onEnd(() => {
      this.#held -= own;
      own = 0;
    });
    const chunks: Uint8Array[] = [];
    for await (const chunk of chunksOf(request, signal)) {
      own += chunk.length;
      this.#held += chunk.length;
      if (own > bodyBytes) throw tooLarge(bodyBytes);
      if (this.#held > this.#limits.allBodyBytes) throw tooMany();
      chunks.push(chunk);
    }
    return parse(joined(chunks, own), this.#limits);
  }
}

async function* chunksOf(request: Request, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
  const reader = request.body?.getReader();
  if (!reader) return;
  const stop = () => reader.cancel(signal.reason).catch(() => undefined);
  signal.addEventListener("abort", stop, { once: true });
  try {
    for (;;) {
      const { value, done } = await reader.read().catch((cause) => {
        throw new RequestError("clientGone", "The client has gone before its request was whole.", { cause });
      });
      signal.throwIfAborted();
      if (done) return;
      yield value;
    }
  } finally {
    signal.removeEventListener("abort", stop);
    reader.cancel().catch(() => undefined);
  }
}

function joined(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const [only] = chunks;
  if (only && chunks.length === 1) return only;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function parse(bytes: Uint8Array, { bodyDepth, bodyObjects }: BodyLimits): unknown {
  if (bytes.length === 0) throw notJson("it is empty");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw notJson("it is no UTF-8");
  }
  const { depth, count } = bracketsOf(text);
  if (depth > bodyDepth) throw notJson(`it lies deeper than ${bodyDepth} lists and objects`);
  if (count > bodyObjects) throw notJson(`it has more than ${bodyObjects} lists and objects`);
  try {
    return parseBody(text);
  } catch (cause) {
    throw notJson((cause as Error).message.replace(/, ".*|\.\.\.".*/s, ""));
  }
}

/** Most brackets that are open at a time, and all that are opened; what is within strings is none. */
function bracketsOf(text: string): { readonly depth: number; readonly count: number } {
  let [depth, most, count] = [0, 0, 0];
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 0x22) at = endOfString(text, at);
    else if (unit === 0x5b || unit === 0x7b) {
      most = Math.max(most, ++depth);
      count++;
    } else if (unit === 0x5d || unit === 0x7d) depth--;
  }
  return { depth: most, count };
}

/** Where the string ends that begins at `start`: most of a body is in them, and is passed over fast. */
function endOfString(text: string, start: number): number {
  let end = start;
  for (;;) {
    end = text.indexOf('"', end + 1);
    if (end < 0) return text.length;
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes++;
    if (slashes % 2 === 0) return end;
  }
}

function notJson(why: string): RequestError {
  return new RequestError("invalid", `The request's body is not JSON that can be read: ${why}.`, {
    code: "invalid_json",
  });
}

function tooLarge(bytes: number): RequestError {
  return new RequestError("tooLarge", `The request's body is larger than ${bytes} bytes.`, {
    code: "request_too_large",
  });
}

function tooMany(): RequestError {
  return new RequestError("overloaded", "Too much is being sent at a time; try again later.", {
    code: "bodies_full",
    retryAfterSeconds: 1,
  });
}
