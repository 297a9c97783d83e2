/** Which pages may ask from a browser: the option `cors`. */

const METHODS = "GET, POST, DELETE, OPTIONS";
const LONGEST_KNOWN_SECONDS = "3600";

/** The headers that let the request's page read the answer; none for pages that may not. */
export function corsHeaders(request: Request, allowed: "*" | readonly string[]): Record<string, string> {
  const origin = request.headers.get("origin");
  if (allowed !== "*" && allowed.length === 0) return {};
  const isAllowed = origin !== null && (allowed === "*" || allowed.includes(origin));
  if (!isAllowed) return { vary: "origin" };
  return {
    "access-control-allow-origin": allowed === "*" ? "*" : origin,
    "access-control-expose-headers": "x-request-id, request-id, retry-after",
    ...(allowed !== "*" && { vary: "origin" }),
  };
}

/**
 * Whether it is of a page that may not ask. Without keys every page that somebody on this machine opens could ask a server
 * that only this machine reaches: browsers send such requests, though they keep the answers from the page.
 */
export function isOfStrangePage(request: Request, allowed: "*" | readonly string[]): boolean {
  const origin = request.headers.get("origin");
  return origin !== null && allowed !== "*" && !allowed.includes(origin);
}

/** The answer to a browser that asks before it asks; null for another request. */
export function preflight(request: Request, allowed: "*" | readonly string[]): Response | null {
  const isPreflight = request.method === "OPTIONS" && request.headers.has("access-control-request-method");
  if (!isPreflight || (allowed !== "*" && allowed.length === 0)) return null;
  const headers = corsHeaders(request, allowed);
  if (headers["access-control-allow-origin"] === undefined) return new Response(null, { status: 403 });
  const asked = request.headers.get("access-control-request-headers");
  return new Response(null, {
    status: 204,
    headers: {
      ...headers,
      "access-control-allow-methods": METHODS,
      ...(asked !== null && { "access-control-allow-headers": asked }),
      "access-control-max-age": LONGEST_KNOWN_SECONDS,
    },
  });
}
