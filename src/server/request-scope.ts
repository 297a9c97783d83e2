/** One HTTP request, from its first byte to the last of its response: what it holds, what ends it, what is told of it. */
import { GlimtError } from "../errors.ts";
import type { Asked } from "../protocols/asked.ts";
import { type Problem, problemOf, RequestError } from "../protocols/errors.ts";
import { type Answer, openAnswer } from "./answer.ts";
import type { ServerContext } from "./context.ts";
import { type Dialect, dialectOf } from "./dialects.ts";
import { causeOf, type LogEntry } from "./log.ts";
import { type StreamFormat, streamBody } from "./stream-body.ts";

/** What the log says beside what it always does. */
type Details = Partial<Omit<LogEntry, "level" | "event" | "requestId" | "method" | "path" | "status">>;

export class RequestScope {
  readonly id: string;
  readonly request: Request;
  readonly path: string;
  readonly #context: ServerContext;
  readonly #dialect: Dialect;
  readonly #stop = new AbortController();
  readonly #start = performance.now();
  readonly #releases: (() => void)[] = [];
  #details: Details = {};
  /** Its response goes on behind what the handler returned. */
  #isStreaming = false;
  #hasEnded = false;

  constructor(request: Request, context: ServerContext) {
    this.request = request;
    this.path = new URL(request.url).pathname;
    this.id = requestId(request.headers);
    this.#context = context;
    this.#dialect = dialectOf(this.path);
    context.requests.add(this);
    const { requestTimeout } = context.options.limits;
    const timer = setTimeout(() => {
      this.stop(new RequestError("timedOut", `The request took longer than ${requestTimeout} ms.`));
    }, requestTimeout);
    const gone = () => this.stop(new RequestError("clientGone", "The client has gone."));
    if (request.signal.aborted) gone();
    request.signal.addEventListener("abort", gone, { once: true });
    this.onEnd(() => {
      clearTimeout(timer);
      request.signal.removeEventListener("abort", gone);
    });
  }

  /** Fires when the client goes, when time is up, and when the server ends before its requests. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  stop(reason: RequestError): void {
    this.#stop.abort(reason);
    // Whoever reads no more would hold what it has.
    if (this.#isStreaming) this.#end(reason.problem.status, reason.problem);
  }

  /** Called when the request has ended, however it did; at once when it has. */
  onEnd(release: () => void): void {
    if (this.#hasEnded) release();
    else this.#releases.push(release);
  }

  /** Adds to what the log says of the request. */
  note(details: Details): void {
    this.#details = { ...this.#details, ...details };
  }

  /** The headers that tell its id, for who is asked to report it. */
  get idHeaders(): Record<string, string> {
    const { idHeader } = this.#dialect;
    return { "x-request-id": this.id, ...(idHeader !== undefined && { [idHeader]: this.id }) };
  }

  get milliseconds(): number {
    return performance.now() - this.#start;
  }

  /** The body. @throws RequestError for what is no JSON, too large or too deep */
  json(): Promise<unknown> {
    return this.#context.bodies.json(this.request, this.signal, (release) => this.onEnd(release));
  }

  /** Waits for its turn, and for the first token: what is wrong with the request is thrown before there is a response. */
  answer(asked: Asked): Promise<Answer> {
    return openAnswer(asked, this, this.#context);
  }

  reply(body: object, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
    return this.replyText(JSON.stringify(body), status, headers);
  }

  /** @param json text */
  replyText(json: string, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
    return new Response(json, {
      status,
      headers: { "content-type": "application/json", ...headers },
    });
  }

  /** A response that goes on as chunks come; they are returned when nobody reads on. */
  stream(chunks: AsyncGenerator<object, void, void>, format: StreamFormat): Response {
    this.#isStreaming = true;
    const body = streamBody(chunks, format, {
      failed: (error) => {
        const problem = this.#problemOf(error);
        this.#end(problem.status, problem);
        const { writeError, writeStreamError = writeError } = this.#dialect;
        return writeStreamError(problem, this.id);
      },
      left: () => this.stop(new RequestError("clientGone", "The client has gone.")),
      done: () => this.#end(200, null),
    });
    return new Response(body, {
      headers: {
        "content-type": format.contentType,
        "cache-control": "no-cache",
        // What stands before a server may keep a response until it is whole.
        "x-accel-buffering": "no",
      },
    });
  }

  /** What the client is told of an error that ended the request. */
  fail(error: unknown): Response {
    const problem = this.#problemOf(error);
    const { retryAfterSeconds: retry, status, kind } = problem;
    this.#end(status, problem);
    return this.reply(this.#dialect.writeError(problem, this.id), status, {
      ...(retry !== null && { "retry-after": String(retry) }),
      ...(kind === "unauthorized" && { "www-authenticate": "Bearer" }),
    });
  }

  /** The handler has returned. */
  handled({ status }: Response): void {
    if (!this.#isStreaming) this.#end(status, null);
  }

  /** An abort is told as what aborted. */
  #problemOf(error: unknown): Problem {
    const isAborted = error instanceof GlimtError ? error.code === "ABORTED" : error === this.signal.reason;
    const problem = problemOf(isAborted && this.signal.aborted ? this.signal.reason : error);
    if (problem.status >= 500) {
      this.#log({ level: "error", event: "failure", status: problem.status, cause: causeOf(error) });
    }
    return problem;
  }

  #end(status: number, problem: Problem | null): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    // One answer of several failed: the others would be given to nobody.
    if (problem) this.#stop.abort(new RequestError("clientGone", "The request has ended."));
    for (const release of this.#releases) release();
    this.#context.requests.delete(this);
    this.#log({
      level: status >= 500 ? "error" : "info",
      event: "request",
      status,
      ...this.#details,
      // Its message may quote the request.
      ...(problem && { error: problem.code ?? problem.kind }),
      ...(problem?.param && { param: problem.param }),
    });
  }

  #log(entry: Pick<LogEntry, "level" | "event" | "status"> & Details): void {
    const { method } = this.request;
    const milliseconds = Math.round(this.milliseconds);
    const { level, event, ...rest } = entry;
    this.#context.options.log({
      level,
      event,
      requestId: this.id,
      method,
      path: this.path,
      milliseconds,
      ...rest,
    });
  }
}

/** The client's own, where it is one that may stand in a header and a log. */
function requestId(headers: Headers): string {
  const given = headers.get("x-request-id");
  return given !== null && /^[\w.:-]{1,128}$/.test(given) ? given : crypto.randomUUID();
}
