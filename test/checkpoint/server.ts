/** HTTP servers for tests: a plain file server with ranges, to be wrapped by one that lies. */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type ServedFiles = ReadonlyMap<string, Uint8Array | string>;

/** Runs a server while `use` does; `url` has no slash at its end. */
export async function withServer<T>(listener: RequestListener, use: (url: string) => Promise<T>): Promise<T> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** The name that a request asks for. */
export function nameOf(request: IncomingMessage): string {
  return decodeURIComponent((request.url ?? "").split("?")[0]?.split("/").at(-1) ?? "");
}

export interface Serving {
  /** Headers of every answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers as a good file server does, 404 for what is not there. */
export function serve(
  files: ServedFiles,
  request: IncomingMessage,
  response: ServerResponse,
  { headers = {} }: Serving = {},
): void {
  const found = files.get(nameOf(request));
  if (found === undefined) {
    response.writeHead(404, headers).end("no such file");
    return;
  }
  const content = typeof found === "string" ? new TextEncoder().encode(found) : found;
  const range = requestedRange(request);
  if (!range) {
    response.writeHead(200, { ...headers, "content-length": content.length });
    response.end(request.method === "HEAD" ? undefined : content);
    return;
  }
  const [first, last] = [range[0], Math.min(range[1], content.length - 1)];
  if (first >= content.length) {
    response.writeHead(416, { "content-range": `bytes */${content.length}` }).end();
    return;
  }
  response.writeHead(206, { ...headers, "content-range": `bytes ${first}-${last}/${content.length}` });
  response.end(content.subarray(first, last + 1));
}

/** First and last byte of a Range header. */
export function requestedRange(request: IncomingMessage): readonly [number, number] | null {
  const found = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "");
  return found ? [Number(found[1]), Number(found[2])] : null;
}
