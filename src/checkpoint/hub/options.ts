/** How the Hub is reached, as a caller says it and as it is then meant. */
import { GlimtError } from "../../errors.ts";
import { readOptions, shown } from "../../given.ts";
import { withoutCredentials } from "../address.ts";
import { HUB } from "./location.ts";

/** How the Hub is reached, and where its files are kept. */
export interface HubOptions {
  /**
   * For private and gated models; sent to the Hub alone. Default in Node: HF_TOKEN, or what `hf auth login` left in its
   * file; false sends none.
   */
  readonly token?: string | false | undefined;
  /** Another server that speaks as the Hub does. Default: HF_ENDPOINT in Node, else https://huggingface.co. */
  readonly endpoint?: string | undefined;
  /** Node: the cache, which is shared with Python. Default: HF_HUB_CACHE, HF_HOME/hub, or ~/.cache/huggingface/hub. */
  readonly cacheDir?: string | undefined;
  /** Nothing is asked of the Hub: what the cache lacks is not there. Default in Node: HF_HUB_OFFLINE, else false. */
  readonly offline?: boolean | undefined;
}

export const HUB_OPTION_NAMES: readonly (keyof HubOptions)[] = ["token", "endpoint", "cacheDir", "offline"];
const KINDS = [
  ["endpoint", "string"],
  ["cacheDir", "string"],
  ["offline", "boolean"],
] as const;

/** What of it is the same on all platforms. */
export interface HubAccess {
  readonly token: string | null;
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly offline: boolean;
}

/** A copy, checked as far as one can without looking at the machine. @throws OPTION_INVALID, which shows no token */
export function readHubOptions(given: HubOptions | undefined): HubOptions {
  const options = readOptions(given, "hub", HUB_OPTION_NAMES);
  const { token } = options;
  for (const [name, kind] of KINDS) {
    const value = options[name];
    if (value === undefined || typeof value === kind) continue;
    const expected = kind === "string" ? "a string" : "true or false";
    throw new GlimtError("OPTION_INVALID", `hub.${name} is ${shown(value)}, expected ${expected}.`);
  }
  if (token !== undefined && token !== false && typeof token !== "string") {
    throw new GlimtError("OPTION_INVALID", `hub.token is ${shown(token)}, expected text, or false for none.`);
  }
  return options;
}

/** @throws OPTION_INVALID for a token or an endpoint that can be none; the token is not shown */
export function hubAccess(
  token: string | null | undefined,
  endpoint: string | undefined,
  offline: boolean,
): HubAccess {
  const trimmed = token?.trim() || null;
  if (trimmed !== null && !/^[\x21-\x7e]+$/.test(trimmed)) {
    throw new GlimtError("OPTION_INVALID", "The Hub's token (hub.token, HF_TOKEN) holds what no token can.");
  }
  return { token: trimmed, endpoint: checkedEndpoint(endpoint || HUB), offline };
}

function checkedEndpoint(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  const isPlain = url && /^https?:$/.test(url.protocol) && url.username + url.password + url.search === "";
  if (isPlain) return url.href.replace(/\/+$/, "");
  throw new GlimtError(
    "OPTION_INVALID",
    `The Hub's endpoint (hub.endpoint, HF_ENDPOINT) is "${withoutCredentials(endpoint)}", expected an http or https ` +
      "address without a password.",
  );
}
