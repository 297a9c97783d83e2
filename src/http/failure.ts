/** Why a request got no answer, in words that say what to do; and whether another try may help. */

export interface RequestFailure {
  readonly reason: string;
  /** False when the same would happen again. */
  readonly passing: boolean;
  /** A browser said no more than that it failed: the server may have answered, and not allowed this page to see it. */
  readonly mayBeHidden?: true;
}

const TLS = /^(CERT_|ERR_TLS_|ERR_SSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH$|EPROTO$)/;
const DNS = ["ENOTFOUND", "EAI_AGAIN", "EAI_NODATA", "EAI_NONAME"];
const UNREACHED = ["EHOSTUNREACH", "ENETUNREACH", "EADDRNOTAVAIL", "ETIMEDOUT", "UND_ERR_CONNECT_TIMEOUT"];
/** What Deno says in place of a code. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/^error sending request.*dns error/i, "ENOTFOUND"],
  [/^error sending request.*connection refused/i, "ECONNREFUSED"],
  [/^error sending request.*invalid peer certificate/i, "CERT_INVALID"],
  [/^error sending request.*InvalidContentType/, "ERR_SSL_WRONG_VERSION_NUMBER"],
];
/** Deno's names for what it was not allowed to do. */
const NOT_ALLOWED = ["NotCapable", "PermissionDenied"];
/** All that browsers say of a request that failed: Chrome's, Firefox's, Safari's words. */
const BROWSER = /^(Failed to fetch|NetworkError when attempting|Load failed|network error)/i;

/** `error` is what fetch rejected with, `header` one that was sent and that servers must allow to other origins. */
export function explainFailure(error: unknown, url: URL, header?: string): RequestFailure {
  const chain = causes(error);
  const codes = chain.map(({ code }) => code).filter((code) => code !== undefined);
  const unreached = codes.find((code) => UNREACHED.includes(code));
  const [first] = chain;
  const last = chain.at(-1);
  const denied = chain.find(({ name }) => NOT_ALLOWED.includes(name));
  if (denied) {
    const reason = `the program may not reach ${url.host}: run it with --allow-net=${url.host}`;
    return { reason, passing: false };
  }
  if (codes.some((code) => TLS.test(code))) {
    const code = codes.find((code) => TLS.test(code));
    const reason =
      `the TLS connection to ${url.host} is not trusted or fails (${code}): is it https, and its certificate known ` +
      "here (NODE_EXTRA_CA_CERTS)?";
    return { reason, passing: false };
  }
  if (codes.includes("ECONNREFUSED")) {
    return { reason: `${url.host} refuses the connection; is the server running?`, passing: true };
  }
  const dns = codes.find((code) => DNS.includes(code));
  if (dns) return { reason: `there is no host ${url.hostname} (DNS: ${dns})`, passing: dns === "EAI_AGAIN" };
  if (unreached) return { reason: `${url.host} can not be reached (${unreached})`, passing: true };
  if (first && BROWSER.test(first.message)) {
    const reason =
      `the browser says no more than "${first.message}". Either ${url.host} can not be reached, or it does not allow ` +
      `other origins (CORS: it must send Access-Control-Allow-Origin${header ? `, and allow the header ${header}` : ""})`;
    return { reason, passing: true, mayBeHidden: true };
  }
  const messages = new Set([first?.message, last?.message].filter((message) => message));
  const reason = [...messages].join(": ") || String(error);
  return { reason: oneLine(reason), passing: true };
}

function codeIn(message: string): string | undefined {
  return WORDS.find(([words]) => words.test(message))?.[1];
}

const MOST_SHOWN = 200;

/** Short, and without passwords in addresses, nor what is asked for in them, which may be a signature. */
function oneLine(message: string): string {
  const line = message.slice(0, 4 * MOST_SHOWN).replace(/\s+/g, " ");
  const safe = line.replace(/:\/\/[^\s/?#]*@/g, "://").replace(/(:\/\/[^\s?()]*)\?[^\s()]*/g, "$1");
  return safe.length > MOST_SHOWN ? `${safe.slice(0, MOST_SHOWN)}...` : safe;
}

interface Cause {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
}

/** The error and what it was caused by; of several at once (one an address of the host) the first. */
function causes(error: unknown): Cause[] {
  const chain: Cause[] = [];
  let at = error;
  while (typeof at === "object" && at !== null && chain.length < 8) {
    const { name, message, code, cause, errors } = at as Record<string, unknown>;
    chain.push({
      name: String(name ?? ""),
      message: String(message ?? ""),
      code: typeof code === "string" ? code : codeIn(String(message)),
    });
    at = cause ?? (Array.isArray(errors) ? errors[0] : undefined);
  }
  return chain;
}
