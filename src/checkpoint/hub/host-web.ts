/** The Hub in browsers and workers: the caller's settings alone, and the origin's own storage. */
import { GlimtError } from "../../errors.ts";
import type { HubCache } from "./cache.ts";
import type { OpenHub } from "./host.ts";
import { opfsCache } from "./opfs.ts";
import { hubAccess, readHubOptions } from "./options.ts";

let cache: Promise<HubCache | null> | undefined;

export const openHub: OpenHub = async (given) => {
  const { token, endpoint, cacheDir, offline = false } = readHubOptions(given);
  if (cacheDir !== undefined) {
    throw new GlimtError(
      "OPTION_INVALID",
      "hub.cacheDir is for Node: a browser keeps files in its own storage.",
    );
  }
  const access = hubAccess(token || null, endpoint, offline);
  cache ??= opfsCache();
  return { access, cache: await cache };
};
