/** What the Hub says of a repository: the commit of a revision, and its files. */
import { GlimtError } from "../../errors.ts";
import { parseJson } from "../../json/plain.ts";
import { parseBase } from "../address.ts";
import { collect } from "../http.ts";
import { type Answer, type HttpOptions, HttpRequests } from "../http-requests.ts";
import { shownName } from "../shown.ts";
import { checkSmall } from "../small-files.ts";
import type { HubFile } from "./cache.ts";
import { type HubLocation, isCommit, isPlainPath, shownHubLocation } from "./location.ts";
import type { HubAccess } from "./options.ts";

export interface HubRevision {
  readonly commit: string;
  /** By path; null for what some mirrors leave out, so that it must be asked for by file. */
  readonly files: ReadonlyMap<string, HubFile | null>;
}

/** The Hub knows the repository and has no such revision; a cache's may be one that was deleted. */
export class NoSuchRevision extends GlimtError {}

/** @throws CHECKPOINT_NOT_FOUND saying what to do; CHECKPOINT_INVALID for an answer that is none */
export async function askRevision(
  location: HubLocation,
  access: HubAccess,
  options: HttpOptions,
  signal?: AbortSignal,
): Promise<HubRevision> {
  const { repository, revision } = location;
  const base = parseBase(`${access.endpoint}/api/models/${repository}/revision?blobs=true`);
  const requests = new HttpRequests({ ...base, isFlat: true }, withToken(access, options));
  return requests.ask(revision, { signal }, async (answer) => {
    if (!answer.response.ok) throw refusal(location, access, answer.response, answer.said);
    return parseRevision(location, access, await jsonOf(location, access, answer));
  });
}

/** The caller's headers, and the token. They go to the Hub's own origin alone (http-requests.ts). */
export function withToken({ token }: HubAccess, options: HttpOptions): HttpOptions {
  const isGiven = Object.keys(options.headers ?? {}).some((name) => name.toLowerCase() === "authorization");
  if (token === null || isGiven) return options;
  return { ...options, headers: { ...options.headers, authorization: `Bearer ${token}` } };
}

/** Why the Hub gives no answer about a model, or no file of it, and what to do. */
export function refusal(
  location: HubLocation,
  { token, endpoint }: HubAccess,
  { status }: Response,
  said: Headers,
): GlimtError {
  const { repository, revision } = location;
  const code = said.get("x-error-code");
  const where = endpoint === "https://huggingface.co" ? "the Hub" : endpoint;
  const give =
    token === null
      ? "give a token that may read it (hub.token, or HF_TOKEN in Node)"
      : "the token that was given may not read it, or is no longer valid";
  if (code === "RevisionNotFound") {
    return new NoSuchRevision(
      "CHECKPOINT_NOT_FOUND",
      `${repository} has no revision ${revision} on ${where}.`,
    );
  }
  const isBehind = said.has("x-linked-etag");
  const what = isBehind
    ? "the server that keeps its large files refuses"
    : code === "GatedRepo" || (status === 403 && code === null)
      ? `access to it must be asked for at ${endpoint}/${repository}; then ${give}`
      : status === 401 || status === 403 || status === 404 || code === "RepoNotFound"
        ? `there is no such model, or it is private: ${give}. A folder of this computer or page is given as ./${repository}`
        : `${where} answered with status ${status}`;
  return new GlimtError(
    "CHECKPOINT_NOT_FOUND",
    `${shownHubLocation(location)} can not be read from ${where} (status ${status}): ${what}.`,
  );
}

async function jsonOf(location: HubLocation, access: HubAccess, answer: Answer): Promise<unknown> {
  const bytes = await collect(answer, (count) => {
    checkSmall(access.endpoint, shownHubLocation(location), count);
    return true;
  });
  try {
    return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw noHub(access, "what it answers is no JSON");
  }
}

function parseRevision(location: HubLocation, access: HubAccess, json: unknown): HubRevision {
  const { sha, siblings } = (json ?? {}) as { sha?: unknown; siblings?: unknown };
  if (typeof sha !== "string" || !isCommit(sha)) {
    // Not shown: a server may answer with what it was sent, the token too.
    throw noHub(access, `it tells no commit of ${shownHubLocation(location)}`);
  }
  if (!Array.isArray(siblings)) throw noHub(access, `it lists no files of ${shownHubLocation(location)}`);
  const files = new Map<string, HubFile | null>();
  for (const entry of siblings as unknown[]) {
    const name = (entry as { rfilename?: unknown } | null)?.rfilename;
    // Names that no file of a checkpoint has are no reason to refuse the others.
    if (typeof name === "string" && isPlainPath(name)) files.set(name, parseFile(access, name, entry));
  }
  return { commit: sha, files };
}

function parseFile(access: HubAccess, name: string, entry: unknown): HubFile | null {
  const { size, blobId, lfs } = entry as Record<string, unknown>;
  if (!lfs && (size === undefined || blobId === undefined)) return null;
  const { sha256, size: lfsSize } = (lfs ?? {}) as Record<string, unknown>;
  const bytes = lfs ? (lfsSize ?? size) : size;
  const wrong = (what: string) => noHub(access, `it tells no ${what} of ${shownName(name)}`);
  if (!Number.isSafeInteger(bytes) || (bytes as number) < 0) throw wrong("size");
  const etag = lfs ? sha256 : blobId;
  const isHash = typeof etag === "string" && (lfs ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/).test(etag);
  if (!isHash) throw wrong(lfs ? "sha256" : "blobId");
  return { name, size: bytes as number, etag, hash: lfs ? "sha256" : "git-sha1" };
}

/** What the answer to a file's HEAD request says of it, on the way or at its end. */
export function fileFacts(access: HubAccess, name: string, said: Headers): HubFile {
  const quoted = said.get("x-linked-etag") ?? said.get("etag") ?? "";
  const etag = quoted.replace(/^(W\/)?"(.*)"$/, "$2");
  const size = Number(said.get("x-linked-size") ?? said.get("content-length") ?? Number.NaN);
  const isPlain = /^[\w-]{8,128}$/.test(etag) && Number.isSafeInteger(size) && size >= 0;
  if (!isPlain) throw noHub(access, `of ${shownName(name)} it tells no ETag or no size`);
  const hash = /^[0-9a-f]{64}$/.test(etag) ? "sha256" : /^[0-9a-f]{40}$/.test(etag) ? "git-sha1" : null;
  return { name, size, etag, hash };
}

function noHub({ endpoint }: HubAccess, what: string): GlimtError {
  return new GlimtError(
    "CHECKPOINT_INVALID",
    `${endpoint} does not answer as the Hub does (hub.endpoint, HF_ENDPOINT): ${what}.`,
  );
}
