/** Why a source could not be read, in a few words. */

/** What system and network calls say by code, in words for who gave the source. */
const MEANINGS: Readonly<Record<string, string>> = {
  ENOENT: "ENOENT: no such file or directory",
  EACCES: "EACCES: reading it is not permitted",
  EPERM: "EPERM: reading it is not permitted",
  EISDIR: "EISDIR: it is a folder",
  ENOTDIR: "ENOTDIR: a part of its path is no folder",
  ELOOP: "ELOOP: links in its path go round in circles",
  ENAMETOOLONG: "ENAMETOOLONG: the path is too long",
  EMFILE: "EMFILE: too many files are open",
  EIO: "EIO: the system can not read it",
  ENOTFOUND: "its host is not known (DNS)",
  EAI_AGAIN: "its host can not be looked up now (DNS)",
  EAI_FAIL: "its host can not be looked up (DNS)",
  ECONNREFUSED: "its host refuses connections",
  ECONNRESET: "the connection broke",
  EPIPE: "the connection broke",
  UND_ERR_SOCKET: "the connection broke",
  ETIMEDOUT: "its host does not answer",
  UND_ERR_CONNECT_TIMEOUT: "its host does not answer",
  UND_ERR_HEADERS_TIMEOUT: "its host does not answer",
  UND_ERR_BODY_TIMEOUT: "its host stopped sending",
  EHOSTUNREACH: "its host can not be reached",
  ENETUNREACH: "its host can not be reached",
  EADDRNOTAVAIL: "its host can not be reached",
  EPROTO: "its host speaks no TLS that is understood here",
};
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ISSUER/;
/** What Deno says in place of a code. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/dns error|failed to lookup/i, "ENOTFOUND"],
  [/connection refused/i, "ECONNREFUSED"],
  [/certificate/i, "ERR_CERT"],
];
/** What browsers say whatever went wrong. */
const BROWSER =
  /^(Failed to fetch|Load failed|NetworkError when attempting to fetch resource|network error)/i;
/** Deno without a permission. */
const DENO = /^(NotCapable|PermissionDenied)$/;
const LONGEST = 160;

export function reasonOf(thrown: unknown): string {
  const error = causeOf(thrown);
  const { name, message } = error;
  if (DENO.test(name)) {
    const flag = /--allow-[a-z]+/.exec(message)?.[0] ?? "--allow-read or --allow-net";
    return `Deno does not permit it; run it with ${flag}`;
  }
  const code = error.code ?? (error instanceof TypeError ? codeIn(message) : undefined);
  if (typeof code === "string") {
    const known = MEANINGS[code];
    if (known !== undefined) return known;
    if (CERTIFICATE.test(code)) return `its host's TLS certificate is not accepted (${code})`;
    if (/^(ERR_SSL|ERR_TLS)/.test(code)) return `its host speaks no TLS that is understood here (${code})`;
    if (code === "ERR_INVALID_ARG_VALUE") return "its path holds a letter that no path may";
  }
  if (BROWSER.test(message)) {
    return "its host can not be reached, or does not let this page read it (CORS)";
  }
  const line = message.slice(0, 1000).replace(/\s+/g, " ").trim();
  // Addresses in it may hold passwords.
  const safe = line.replace(/\b([a-z][a-z\d+.-]*:\/\/)[^\s/?#]*@/gi, "$1").replace(/[.\s]+$/, "");
  return safe.length > LONGEST ? `${safe.slice(0, LONGEST)}...` : safe;
}

function codeIn(message: string): string | undefined {
  return WORDS.find(([words]) => words.test(message))?.[1];
}

interface Coded {
  readonly code?: unknown;
  readonly name: string;
  readonly message: string;
}

/** What fetch wraps in a TypeError, and what was tried at several addresses in an AggregateError. */
function causeOf(thrown: unknown): Coded {
  let found: Error = thrown instanceof Error ? thrown : new Error(String(thrown));
  while (typeof (found as Coded).code !== "string") {
    const inner =
      found instanceof AggregateError ? found.errors[0] : found instanceof TypeError && found.cause;
    if (!(inner instanceof Error)) break;
    found = inner;
  }
  return found;
}
