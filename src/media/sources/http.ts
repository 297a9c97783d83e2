/** The bytes behind an http(s) address: each address on the way is allowed, the body is counted as it comes. */

import { GlimtError } from "../../errors.ts";
import { explainFailure } from "../../http/failure.ts";
import { isRedirect, MOST_REDIRECTS } from "../../http/redirects.ts";
import { mayBePublic } from "./ip-address.ts";
import { checkSize, moreThanLimit, type Reading, refused } from "./reading.ts";
import { hostDecision } from "./source-rule.ts";

/** What of a fetch response is read. */
export type HttpAnswer = Pick<Response, "status" | "statusText" | "headers" | "body">;

export interface HttpRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** Asks a host all of whose addresses are public, following no redirect; null for another one. */
export type RequestPublic = (url: URL, request: HttpRequest) => Promise<HttpAnswer | null>;

/**
 * @throws SOURCE_REFUSED, SOURCE_TOO_LARGE; Error saying what went wrong
 */
export async function readHttp(
  { url, authorization }: { readonly url: URL; readonly authorization: string | null },
  reading: Reading,
  requestPublic: RequestPublic | undefined,
): Promise<Uint8Array> {
  const { answer, from } = await follow(url, authorization, reading, requestPublic);
  if (answer.status < 200 || answer.status > 299) {
    await answer.body?.cancel();
    throw new Error(`the server answered ${answer.status} ${answer.statusText}`.trim());
  }
  return explained(from, () => readBody(answer, reading));
}

/** What went wrong between here and the host of `url`, in words. */
async function explained<T>(url: URL, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    if (error instanceof GlimtError) throw error;
    throw new Error(explainFailure(error, url).reason, { cause: error });
  }
}

/** The last answer and who gave it, when every address on the way may be read. */
async function follow(
  first: URL,
  authorization: string | null,
  reading: Reading,
  requestPublic: RequestPublic | undefined,
): Promise<{ readonly answer: HttpAnswer; readonly from: URL }> {
  let url = first;
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    const headers =
      authorization !== null && url.origin === first.origin ? { Authorization: authorization } : {};
    const request = { headers, signal: reading.signal };
    const answer = await explained(url, () => ask(url, request, reading, requestPublic));
    reading.progress();
    const location = isRedirect(answer) ? answer.headers.get("location") : null;
    if (location === null) return { answer, from: url };
    await answer.body?.cancel();
    url = nextAddress(location, url, reading);
  }
  throw new Error(`it redirects more than ${MOST_REDIRECTS} times`);
}

async function ask(
  url: URL,
  request: HttpRequest,
  { rule, what }: Reading,
  requestPublic: RequestPublic | undefined,
): Promise<HttpAnswer> {
  if (rule.type === "any") {
    const answer = await fetch(url, { ...request, redirect: "manual" });
    // A browser hides where it leads.
    return answer.type === "opaqueredirect" ? fetch(url, { ...request, redirect: "follow" }) : answer;
  }
  const decision = await hostDecision(rule, url);
  if (decision === "no" || (decision === "public" && !mayBePublic(url.hostname))) throw refused(what, "http");
  if (decision === "public" && requestPublic) {
    const answer = await requestPublic(url, request);
    if (answer === null) throw refused(what, "http");
    return answer;
  }
  const answer = await fetch(url, { ...request, ...withoutCookies(), redirect: "manual" });
  if (answer.type === "opaqueredirect") throw refused(what, "http");
  return answer;
}

/** The address is a stranger's. Runtimes that keep no cookies refuse to be told. */
function withoutCookies(): RequestInit {
  return "credentials" in Request.prototype ? { credentials: "omit" } : {};
}

/** @throws SOURCE_REFUSED for one that is not followed; Error for what is none */
function nextAddress(location: string, from: URL, { rule, what }: Reading): URL {
  let url: URL;
  try {
    url = new URL(location, from);
  } catch {
    throw new Error("it redirects to no valid address");
  }
  if (rule.type === "any") {
    if (!/^https?:$/.test(url.protocol)) throw new Error("it redirects to no http address");
  } else if (url.protocol !== "https:" && url.protocol !== from.protocol) {
    throw refused(what, "http");
  }
  url.username = "";
  url.password = "";
  return url;
}

/** A server's word for its length is taken so far; beyond it the buffer grows. */
const MOST_BELIEVED = 2 ** 26;
const SMALLEST_BUFFER = 2 ** 12;

/** Into one buffer: pieces may be single bytes, and each has costs of its own. */
async function readBody({ headers, body }: HttpAnswer, reading: Reading): Promise<Uint8Array> {
  const announced = Number(headers.get("content-length") ?? 0);
  let bytes = new Uint8Array(Math.min(announced > 0 ? announced : SMALLEST_BUFFER, MOST_BELIEVED));
  let length = 0;
  const reader = body?.getReader();
  try {
    checkSize(announced, reading);
    for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
      const piece = next.value;
      reading.progress();
      if (length + piece.length > reading.maxBytes) throw moreThanLimit(reading);
      if (length + piece.length > bytes.length) {
        const grown = new Uint8Array(Math.max(bytes.length * 2, length + piece.length));
        grown.set(bytes.subarray(0, length));
        bytes = grown;
      }
      bytes.set(piece, length);
      length += piece.length;
    }
  } finally {
    await reader?.cancel().catch(() => {});
  }
  return length === bytes.length ? bytes : bytes.slice(0, length);
}
