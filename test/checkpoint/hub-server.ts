/** A server that speaks as Hugging Face's Hub does, and one for its large files, of another origin; both misbehave when asked. */
import { createHash } from "node:crypto";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { requestedRange, serve, withServer } from "./server.ts";

export interface HubRepository {
  /** By path. Those that end in .safetensors, .gguf or .bin are large files (LFS). */
  files: ReadonlyMap<string, Uint8Array>;
  commit: string;
  /** Revision -> its commit; "main" is always there. */
  readonly revisions?: ReadonlyMap<string, string>;
  readonly gated?: boolean;
  readonly private?: boolean;
}

export interface HubRequest {
  readonly at: "api" | "resolve" | "cdn";
  readonly path: string;
  readonly method: string;
  readonly authorization: string | null;
  readonly range: readonly [number, number] | null;
}

export interface TestHub {
  readonly endpoint: string;
  readonly requests: HubRequest[];
  readonly repositories: Map<string, HubRepository>;
  /** Asked before each answer; true: it was answered. */
  misbehave: ((request: HubRequest, response: ServerResponse) => boolean) | null;
  /** Milliseconds before each answer. */
  latency: number;
  /** Says the sizes and hashes of files, as most mirrors do. */
  tellsFiles: boolean;
}

export const TOKEN = "hf_test_s3cret";
export const COMMIT = "0123456789abcdef0123456789abcdef01234567";
export const LATER = "fedcba9876543210fedcba9876543210fedcba98";

export const isLarge = (name: string): boolean => /\.(safetensors|gguf|bin)$/.test(name);

export const sha256 = remembered((bytes) => createHash("sha256").update(bytes).digest("hex"));

export const gitHash = remembered((bytes) =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex"),
);

function remembered(hash: (bytes: Uint8Array) => string): (bytes: Uint8Array) => string {
  const known = new WeakMap<Uint8Array, string>();
  return (bytes) => {
    const found = known.get(bytes) ?? hash(bytes);
    known.set(bytes, found);
    return found;
  };
}

const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-headers": "authorization, range",
  "access-control-expose-headers":
    "x-repo-commit, x-error-code, x-linked-size, x-linked-etag, etag, content-range, content-length",
};

/** Runs both servers while `use` does. */
export async function withHub<T>(
  repositories: Readonly<Record<string, HubRepository>>,
  use: (hub: TestHub) => Promise<T>,
): Promise<T> {
  const hub = {
    endpoint: "",
    requests: [] as HubRequest[],
    repositories: new Map(Object.entries(repositories)),
    misbehave: null,
    latency: 0,
    tellsFiles: true,
  } as TestHub & { endpoint: string };
  const blobs = new Map<string, Uint8Array>();
  let cdn = "";
  const listener =
    (
      answer: (request: HubRequest, raw: IncomingMessage, response: ServerResponse) => void,
    ): RequestListener =>
    (raw, response) => {
      for (const [name, value] of Object.entries(CORS)) response.setHeader(name, value);
      if (raw.method === "OPTIONS") return void response.writeHead(204).end();
      const path = decodeURIComponent((raw.url ?? "").split("?")[0] ?? "");
      const at =
        raw.headers.host === new URL(hub.endpoint).host
          ? path.startsWith("/api/")
            ? "api"
            : "resolve"
          : "cdn";
      const { authorization = null } = raw.headers;
      const request: HubRequest = {
        at,
        path,
        method: raw.method ?? "",
        authorization,
        range: requestedRange(raw),
      };
      hub.requests.push(request);
      setTimeout(() => {
        if (response.destroyed || hub.misbehave?.(request, response)) return;
        answer(request, raw, response);
      }, hub.latency);
    };
  const serveHub = listener((request, raw, response) => {
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/(.+)$/.exec(request.path);
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(request.path);
    const [, name = "", revision = "", path = ""] = api ?? file ?? [];
    const repository = hub.repositories.get(name);
    const refuse = (status: number, code: string) =>
      response
        .writeHead(status, { "x-error-code": code, "x-error-message": code })
        .end(JSON.stringify({ error: code }));
    const isLetIn = request.authorization === `Bearer ${TOKEN}`;
    if (!repository || (repository.private && !isLetIn)) return refuse(401, "RepoNotFound");
    const { files, commit, revisions } = repository;
    const known = new Map([["main", commit], [commit, commit], ...(revisions ?? [])]).get(revision);
    if (known === undefined) return refuse(404, "RevisionNotFound");
    if (api) {
      const siblings = [...files].map(([rfilename, bytes]) => describe(rfilename, bytes, hub.tellsFiles));
      const body = JSON.stringify({
        id: name,
        sha: known,
        gated: repository.gated ? "auto" : false,
        siblings,
      });
      return response.writeHead(200, { "content-type": "application/json" }).end(body);
    }
    if (repository.gated && !isLetIn) return refuse(request.authorization ? 403 : 401, "GatedRepo");
    const bytes = files.get(path);
    const headers = { "x-repo-commit": known };
    if (!bytes) return response.writeHead(404, { ...headers, "x-error-code": "EntryNotFound" }).end();
    if (!isLarge(path)) {
      const served = new Map([[path.split("/").at(-1) ?? "", bytes]]);
      return serve(served, raw, response, { headers: { ...headers, etag: `"${gitHash(bytes)}"` } });
    }
    const hash = sha256(bytes);
    blobs.set(hash, bytes);
    return response
      .writeHead(302, {
        ...headers,
        location: `${cdn}/${hash}?signature=s3cret`,
        "x-linked-size": bytes.length,
        "x-linked-etag": `"${hash}"`,
      })
      .end();
  });
  const serveBlobs = listener((_, raw, response) =>
    serve(blobs, raw, response, { headers: { etag: '"opaque"' } }),
  );
  return withServer(serveBlobs, (blobUrl) =>
    withServer(serveHub, (url) => {
      // By another name, since Python takes all ports of a host for one.
      cdn = blobUrl.replace("127.0.0.1", "localhost");
      hub.endpoint = url;
      return use(hub);
    }),
  );
}

function describe(rfilename: string, bytes: Uint8Array, isTold: boolean) {
  if (!isTold) return { rfilename };
  const pointer = { rfilename, blobId: gitHash(new TextEncoder().encode(rfilename)) };
  if (!isLarge(rfilename)) return { ...pointer, size: bytes.length, blobId: gitHash(bytes) };
  return {
    ...pointer,
    size: bytes.length,
    lfs: { sha256: sha256(bytes), size: bytes.length, pointerSize: 134 },
  };
}
