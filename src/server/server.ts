/** A model behind the APIs that clients speak, as one function from a Request to a Response. */
import { GlimtError } from "../errors.ts";
import { checkTimeLimit, readOptions } from "../given.ts";
import { RequestError } from "../protocols/errors.ts";
import type { ServedModel } from "../protocols/served-model.ts";
import { ApiKeys } from "./api-keys.ts";
import { ServerContext } from "./context.ts";
import { corsHeaders, isOfStrangePage, preflight } from "./cors.ts";
import { resolveOptions, type ServerOptions } from "./options.ts";
import { RequestScope } from "./request-scope.ts";
import { adapterRoutes } from "./routes/adapters.ts";
import { anthropicRoutes } from "./routes/anthropic.ts";
import { documentRoutes } from "./routes/documents.ts";
import { healthRoutes } from "./routes/health.ts";
import { monitoringRoutes } from "./routes/monitoring.ts";
import { ollamaRoutes } from "./routes/ollama.ts";
import { openaiRoutes } from "./routes/openai.ts";
import { newRoutes, type Routes } from "./routes/routes.ts";
import { tokenRoutes } from "./routes/tokens.ts";

/** How a server ends. */
export interface CloseOptions {
  /** Milliseconds in which what runs may finish; what has not is ended then. Default: as long as it takes. */
  readonly timeout?: number | undefined;
}

/** A model behind its APIs. */
export interface GlimtServer {
  /** Answers a request; hand it to what has sockets: `listen` in Node, `Deno.serve`, `Bun.serve`, a service worker. */
  fetch(request: Request): Promise<Response>;
  /** From now on requests are refused with 503. Resolves when those under way have ended. The model stays loaded. */
  close(options?: CloseOptions): Promise<void>;
  /** Milliseconds to the last byte of an answer, which only who has the sockets sees: they end those that take longer. */
  readonly requestTimeout: number;
}

/** Asked for without a key. */
const OPEN_PATHS = ["/health"];

/**
 * Serves a model. It stays the caller's: what else asks it shares its steps, and who disposes of it ends its answers.
 *
 * @throws OPTION_INVALID naming the option
 */
export function createServer(model: ServedModel, given?: ServerOptions): GlimtServer {
  if (typeof model?.generate !== "function") {
    throw new GlimtError("OPTION_INVALID", "createServer needs a model, as loadModel gives it.");
  }
  return new Server(model, given);
}

class Server implements GlimtServer {
  readonly #context: ServerContext;
  readonly #routes: Routes;
  readonly #keys: ApiKeys;
  readonly requestTimeout: number;
  #closed: Promise<void> | null = null;

  constructor(model: ServedModel, given: ServerOptions | undefined) {
    const options = resolveOptions(given, model.config.text.maxPositionEmbeddings);
    this.#context = new ServerContext(model, options);
    this.#keys = new ApiKeys(options.apiKeys);
    this.requestTimeout = options.limits.requestTimeout;
    this.#routes = newRoutes()
      .route("/", healthRoutes(this.#context))
      .route("/", monitoringRoutes(this.#context))
      .route("/", openaiRoutes(this.#context))
      .route("/", anthropicRoutes(this.#context))
      .route("/", ollamaRoutes(this.#context))
      .route("/", tokenRoutes(this.#context))
      .route("/", adapterRoutes(this.#context))
      .route("/", documentRoutes(this.#context))
      .notFound(({ env: scope }) => {
        throw new RequestError("notFound", `There is no ${scope.request.method} ${scope.path} here.`);
      })
      .onError((error, { env: scope }) => scope.fail(error));
    // They are handed on by themselves.
    this.fetch = this.fetch.bind(this);
    this.close = this.close.bind(this);
  }

  async fetch(request: Request): Promise<Response> {
    const { cors } = this.#context.options;
    const asked = preflight(request, cors);
    if (asked) return asked;
    const scope = new RequestScope(request, this.#context);
    const response = await this.#respond(request, scope);
    scope.handled(response);
    const headers = { ...scope.idHeaders, ...corsHeaders(request, cors) };
    for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
    return response;
  }

  close(given?: CloseOptions): Promise<void> {
    const { timeout } = readOptions(given, "close", ["timeout"]);
    checkTimeLimit("timeout", timeout);
    this.#closed ??= this.#finish();
    if (timeout !== undefined) this.#stopIn(timeout);
    return this.#closed;
  }

  async #respond(request: Request, scope: RequestScope): Promise<Response> {
    try {
      if (this.#closed) throw new RequestError("unavailable", "The server is about to end.");
      const mayAsk = OPEN_PATHS.includes(scope.path) || (await this.#keys.allow(request.headers));
      if (!mayAsk) {
        const advice = "Send a key of this server: Authorization: Bearer KEY.";
        throw new RequestError("unauthorized", advice, { code: "invalid_api_key" });
      }
      const { apiKeys, cors } = this.#context.options;
      if (apiKeys.length === 0 && isOfStrangePage(request, cors)) {
        const advice = "Pages of this origin may not ask: name it in the option cors, or ask for a key.";
        throw new RequestError("forbidden", advice, { code: "origin_not_allowed" });
      }
      return await this.#routes.fetch(request, scope);
    } catch (error) {
      return scope.fail(error);
    }
  }

  async #finish(): Promise<void> {
    const { requests } = this.#context;
    while (requests.size > 0) {
      await new Promise<void>((resolve) => {
        for (const scope of requests) scope.onEnd(resolve);
      });
    }
  }

  #stopIn(milliseconds: number): void {
    const timer = setTimeout(() => {
      for (const scope of this.#context.requests) {
        scope.stop(new RequestError("unavailable", "The server has ended."));
      }
    }, milliseconds);
    this.#closed?.then(() => clearTimeout(timer));
  }
}
