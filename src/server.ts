/** glimt/server: a model behind the APIs that clients speak, wherever there are Requests and Responses. */
import { GlimtError } from "./errors.ts";
import type { Listener, ListeningServer, ListenOptions } from "./server/listening.ts";

export type { ServedModel } from "./protocols/served-model.ts";
export type { Listener, ListeningServer, ListenOptions } from "./server/listening.ts";
export type { LogEntry } from "./server/log.ts";
export type { AdapterLocation, ServerLimits, ServerOptions } from "./server/options.ts";
export { type CloseOptions, createServer, type GlimtServer } from "./server/server.ts";

/** @throws OPTION_INVALID: there are no sockets here */
export async function listen(_server: Listener, _options?: ListenOptions): Promise<ListeningServer> {
  throw new GlimtError(
    "OPTION_INVALID",
    "There are no sockets here: hand server.fetch to what answers requests.",
  );
}
