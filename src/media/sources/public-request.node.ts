/** Requests to public hosts only: names are looked up here, and the address that was checked is the one connected to. */
import { lookup } from "node:dns/promises";
import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { isIP } from "node:net";
import { pipeline, Readable, type Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import type { HttpAnswer, HttpRequest } from "./http.ts";
import { isPublicAddress } from "./ip-address.ts";

/** Milliseconds until the next of several addresses is tried. */
const CONNECT_TIMEOUT = 5000;
/** Lookups hold threads that files are read with, as long as a stranger's DNS server wants: some stay free. */
const MOST_LOOKUPS = 2;

/** A Map, since a server may name anything: "constructor" is no encoding. */
const DECODERS: ReadonlyMap<string, () => Transform> = new Map<string, () => Transform>([
  ["gzip", createGunzip],
  ["x-gzip", createGunzip],
  ["deflate", createInflate],
  ["br", createBrotliDecompress],
]);

/** The addresses of a host; throws for a name that has none. */
export type Resolve = (hostname: string, signal: AbortSignal) => Promise<readonly string[]>;

/** Null for a host that has another address than public ones, or none. @throws Error of the network */
export async function requestPublic(
  url: URL,
  request: HttpRequest,
  resolve: Resolve = addressesOf,
): Promise<HttpAnswer | null> {
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  const addresses = isIP(hostname) ? [hostname] : await resolve(hostname, request.signal).catch(() => []);
  if (addresses.length === 0 || !addresses.every(isPublicAddress)) return null;
  return requestAt(url, addresses, request);
}

/** Asks the host of `url` at the first of its addresses that can be connected to. */
export async function requestAt(
  url: URL,
  addresses: readonly string[],
  request: HttpRequest,
): Promise<HttpAnswer> {
  for (const [index, address] of addresses.entries()) {
    const isLast = index === addresses.length - 1;
    try {
      return answerOf(await send(url, address, request, isLast ? undefined : CONNECT_TIMEOUT));
    } catch (error) {
      if (isLast || request.signal.aborted) throw error;
    }
  }
  throw new Error("its host has no address");
}

function send(
  url: URL,
  address: string,
  { headers, signal }: HttpRequest,
  connectTimeout: number | undefined,
): Promise<IncomingMessage> {
  const isTls = url.protocol === "https:";
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  return new Promise((resolve, reject) => {
    const sent = (isTls ? requestHttps : requestHttp)({
      host: address,
      port: url.port || (isTls ? 443 : 80),
      path: `${url.pathname}${url.search}`,
      headers: {
        Host: url.host,
        Accept: "*/*",
        "Accept-Encoding": "identity",
        "User-Agent": "glimt",
        ...headers,
      },
      // A connection of its own: none that a proxy or an agent of the app's would make elsewhere.
      agent: false,
      signal,
      // The certificate is the name's, not the address's.
      ...(isTls && !isIP(hostname) ? { servername: hostname.replace(/\.$/, "") } : {}),
    });
    sent.on("response", resolve).on("error", reject).end();
    if (connectTimeout === undefined) return;
    const timer = setTimeout(
      () => sent.destroy(Object.assign(new Error("connect"), { code: "ETIMEDOUT" })),
      connectTimeout,
    );
    sent.on("socket", (socket) => socket.on("connect", () => clearTimeout(timer)));
    sent.on("close", () => clearTimeout(timer));
  });
}

function answerOf(message: IncomingMessage): HttpAnswer {
  const headers = new Headers();
  for (const [name, value] of Object.entries(message.headers)) {
    if (value !== undefined) headers.set(name, String(value));
  }
  const encoding = (message.headers["content-encoding"] ?? "identity").trim().toLowerCase();
  const decoder = DECODERS.get(encoding)?.();
  if (!decoder && encoding !== "identity" && encoding !== "") {
    message.on("error", () => {}).destroy();
    throw new Error(
      `the server sends it in the encoding "${encoding.slice(0, 20)}", which is not known here`,
    );
  }
  // What goes wrong at either end is heard at the other, and in the end by who reads.
  if (decoder) pipeline(message, decoder, () => {});
  return {
    status: message.statusCode ?? 0,
    statusText: message.statusMessage ?? "",
    headers,
    body: Readable.toWeb(decoder ?? message) as ReadableStream<Uint8Array<ArrayBuffer>>,
  };
}

async function addressesOf(hostname: string, signal: AbortSignal): Promise<readonly string[]> {
  await turn();
  try {
    if (signal.aborted) return [];
    return (await lookup(hostname, { all: true })).map(({ address }) => address);
  } finally {
    lookups -= 1;
    waiting.shift()?.();
  }
}

let lookups = 0;
const waiting: (() => void)[] = [];

async function turn(): Promise<void> {
  while (lookups >= MOST_LOOKUPS) await new Promise<void>((resolve) => waiting.push(resolve));
  lookups += 1;
}
