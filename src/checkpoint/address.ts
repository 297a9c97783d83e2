/** The address of a checkpoint: what may be shown of it, and what of it is sent. */
import { GlimtError } from "../errors.ts";
import { takeCredentials } from "../http/credentials.ts";

const MOST_SHOWN = 200;

export interface BaseAddress {
  /** Ends in a slash; without the name and password, with the query (a signature). */
  readonly url: URL;
  /** Names are one part of the path each: a slash in one is no slash. */
  readonly isFlat?: boolean;
  /** What messages show: neither name, password nor query. */
  readonly shown: string;
  /** The name and password of the address as a header's value: fetch refuses them in addresses. */
  readonly authorization: string | null;
}

/** @throws OPTION_INVALID for what is no http(s) address */
export function parseBase(address: string | URL): BaseAddress {
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    // Without its cause, which holds the address with the password in it.
    throw new GlimtError("OPTION_INVALID", `"${withoutCredentials(String(address))}" is not an address.`);
  }
  if (!/^https?:$/.test(url.protocol)) {
    throw new GlimtError(
      "OPTION_INVALID",
      `"${withoutCredentials(String(address))}": only http and https addresses can be read.`,
    );
  }
  const authorization = takeCredentials(url);
  url.hash = "";
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return { url, shown: url.origin + url.pathname.replace(/\/$/, ""), authorization };
}

/** A location as it may be shown, not longer than a line. */
export function withoutCredentials(address: string): string {
  // Cut at the end: what is a password may be longer than a line.
  const shown = address
    .replace(/^([a-z][\w+.-]*:\/*).*@/is, "$1")
    .replace(/^([a-z][\w+.-]*:[^?]*)\?.*$/is, "$1");
  return shown.length > MOST_SHOWN ? `${shown.slice(0, MOST_SHOWN)}...` : shown;
}

export function fileUrl({ url, isFlat = false }: BaseAddress, name: string): URL {
  const parts = isFlat ? [name] : name.split("/");
  const file = new URL(parts.map(encodeURIComponent).join("/"), url);
  file.search = url.search;
  return file;
}
