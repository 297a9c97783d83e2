/** The Hub in Node: settings of the environment, and the cache that is shared with Python. */
import { directoryCache } from "./directory.node.ts";
import type { OpenHub } from "./host.ts";
import { hubSettings } from "./settings.node.ts";

export const openHub: OpenHub = async (options) => {
  const { cacheDir, ...access } = await hubSettings(options);
  return { access, cache: directoryCache(cacheDir) };
};
