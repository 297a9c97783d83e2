/** Sockets for a server: node:http, as Node, Deno and Bun have it. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { GlimtError } from "../errors.ts";
import { checkTimeLimit, readOptions, shown } from "../given.ts";
import type { Listener, ListeningServer, ListenOptions } from "./listening.ts";
import { DEFAULT_LIMITS } from "./options.ts";

/** Longer than load balancers keep a connection that nothing is sent over, so that it is they who end it. */
const KEEP_ALIVE_MS = 75_000;
/** In which the last bytes of answers have to be taken when a server closes, and what a client still sends is read. */
const GRACE_MS = 2000;

/**
 * Listens for requests.
 *
 * @throws OPTION_INVALID, also where the port is taken or not allowed
 */
export async function listen(server: Listener, given?: ListenOptions): Promise<ListeningServer> {
  const { port = 0, host = "127.0.0.1" } = readOptions(given, "listen", ["port", "host"], { host: "string" });
  checkPort(port);
  if (typeof server?.fetch !== "function" || typeof server.close !== "function") {
    throw new GlimtError("OPTION_INVALID", "listen needs a server, as createServer gives it.");
  }
  checkTimeLimit("requestTimeout", server.requestTimeout);
  const responses = new Set<Promise<void>>();
  const http = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (incoming, outgoing) => {
    const response = respond(server, incoming, outgoing).catch(() => {
      outgoing.destroy();
    });
    responses.add(response);
    response.then(() => responses.delete(response));
  });
  await bind(http, port, host);
  const address = http.address() as AddressInfo;
  const shownHost = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return {
    host: address.address,
    port: address.port,
    url: `http://${shownHost}:${address.port}`,
    async close(options) {
      http.closeIdleConnections();
      // Until then who comes is told so: balancers ask /health by connections of their own.
      await server.close(options);
      const ended = new Promise<void>((resolve) => http.close(() => resolve()));
      await withinGrace(Promise.all(responses));
      // What is left is kept open by its client alone.
      http.closeAllConnections();
      await ended;
    },
  };
}

/**
 * Throws what `listen` would say of the address now: before what takes longer, such as loading the model that will answer.
 *
 * @throws OPTION_INVALID
 */
export async function checkAddress({
  port,
  host,
}: {
  readonly port: number;
  readonly host: string;
}): Promise<void> {
  checkPort(port);
  const probe = createServer();
  await bind(probe, port, host);
  await new Promise((resolve) => probe.close(resolve));
}

function bind(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const message = `${host}:${port} can not be listened at: ${cause.message}.`;
      reject(new GlimtError("OPTION_INVALID", message, { cause }));
    });
    server.listen(port, host, resolve);
  });
}

/** @throws OPTION_INVALID */
function checkPort(port: number): void {
  if (Number.isInteger(port) && port >= 0 && port <= 65535) return;
  throw new GlimtError("OPTION_INVALID", `port is ${shown(port)}, expected a whole number of 0..65535.`);
}

async function respond(server: Listener, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const gone = new AbortController();
  // What a connection that broke makes of further bytes is no error of the process.
  incoming.on("error", () => undefined);
  outgoing.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => {
    outgoing.once("close", () => {
      if (!outgoing.writableFinished) gone.abort();
      resolve();
    });
  });
  closed.then(endIn(server.requestTimeout ?? DEFAULT_LIMITS.requestTimeout, outgoing));
  const request = requestOf(incoming, gone.signal);
  const response = request ? await server.fetch(request) : new Response(null, { status: 400 });
  // What is left of a body would be taken for the next request.
  const isWhole = incoming.complete;
  if (!isWhole) response.headers.set("connection", "close");
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  if (response.body) await writeBody(response.body, outgoing, closed);
  // A client that is still sending hears the answer only when what it sends is taken.
  if (!isWhole) await withinGrace(Promise.race([closed, restOf(incoming)]));
  outgoing.end();
  await closed;
}

/**
 * Whoever takes nothing of an answer would hold it, and its connection, for as long as it likes. The server's own answer to a
 * request whose time is over comes before. @returns what is called when the response has ended
 */
function endIn(milliseconds: number, outgoing: ServerResponse): () => void {
  let timer = setTimeout(() => {
    timer = setTimeout(() => outgoing.destroy(), GRACE_MS);
  }, milliseconds);
  return () => clearTimeout(timer);
}

/** Null for what is no request that fetch could have made. */
function requestOf(incoming: IncomingMessage, signal: AbortSignal): Request | null {
  const { method = "GET", url = "/" } = incoming;
  const headers = new Headers();
  for (let at = 0; at < incoming.rawHeaders.length; at += 2) {
    headers.append(incoming.rawHeaders[at] as string, incoming.rawHeaders[at + 1] as string);
  }
  const hasBody = method !== "GET" && method !== "HEAD";
  try {
    return new Request(new URL(url, "http://localhost"), {
      method,
      headers,
      signal,
      ...(hasBody && { body: Readable.toWeb(incoming) as ReadableStream<Uint8Array>, duplex: "half" }),
    } as RequestInit);
  } catch {
    return null;
  }
}

/** Waits where the client reads slower than there is something to read. */
async function writeBody(
  body: ReadableStream<Uint8Array>,
  outgoing: ServerResponse,
  closed: Promise<void>,
): Promise<void> {
  const reader = body.getReader();
  const left = closed.then(() => reader.cancel().catch(() => undefined));
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    if (outgoing.write(value)) continue;
    const drained = new Promise<void>((resolve) => outgoing.once("drain", resolve));
    await Promise.race([drained, closed]);
  }
  if (outgoing.destroyed) await left;
}

function restOf(incoming: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    incoming.once("end", resolve).once("error", () => resolve());
    incoming.resume();
  });
}

async function withinGrace(work: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, GRACE_MS);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
