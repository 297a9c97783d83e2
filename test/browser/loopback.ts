/** A file server on the loopback interface that honours byte ranges and remembers what it was asked for. */
import { createReadStream, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

export interface Loopback {
  readonly origin: string;
  readonly requests: readonly { readonly path: string; readonly range: string | undefined }[];
  close(): void;
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".png": "image/png",
};

/** @param folders address prefix -> directory; @param pages address -> HTML; @param headers of every answer */
export async function serveLoopback(
  folders: Readonly<Record<string, string>>,
  pages: Readonly<Record<string, string>> = {},
  headers: Readonly<Record<string, string>> = {},
): Promise<Loopback> {
  const requests: { path: string; range: string | undefined }[] = [];
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? "/", "http://x").pathname));
    requests.push({ path, range: request.headers.range });
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    const page = pages[path];
    if (page !== undefined) return response.setHeader("content-type", "text/html").end(page);
    const prefix = Object.keys(folders).find((folder) => path.startsWith(folder));
    if (prefix === undefined) return response.writeHead(404).end();
    return sendFile(join(folders[prefix]!, path.slice(prefix.length)), request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    requests,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function sendFile(file: string, request: IncomingMessage, response: ServerResponse): void {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (!stats?.isFile()) return void response.writeHead(404).end();
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  const start = from === undefined ? 0 : Number(from);
  const end = to === undefined || to === "" ? stats.size - 1 : Math.min(Number(to), stats.size - 1);
  response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream");
  response.setHeader("accept-ranges", "bytes");
  response.setHeader("content-length", end - start + 1);
  if (from !== undefined) response.setHeader("content-range", `bytes ${start}-${end}/${stats.size}`);
  response.writeHead(from === undefined ? 200 : 206);
  if (request.method === "HEAD" || stats.size === 0) return void response.end();
  createReadStream(file, { start, end }).pipe(response);
}
