/** What of the Hub differs between Node and browsers; an entry file supplies it. */
import type { HubCache } from "./cache.ts";
import type { HubAccess, HubOptions } from "./options.ts";

export interface OpenedHub {
  readonly access: HubAccess;
  /** Null where nothing can be kept. */
  readonly cache: HubCache | null;
}

/** @throws OPTION_INVALID */
export type OpenHub = (options: HubOptions | undefined) => Promise<OpenedHub>;
