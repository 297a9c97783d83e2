/** glimt/server for Node, Deno and Bun: the same with sockets. */
export type { ServedModel } from "./protocols/served-model.ts";
export { adaptersWithin } from "./server/adapters-within.node.ts";
export { listen } from "./server/listen.node.ts";
export type { Listener, ListeningServer, ListenOptions } from "./server/listening.ts";
export type { LogEntry } from "./server/log.ts";
export type { AdapterLocation, ServerLimits, ServerOptions } from "./server/options.ts";
export { type CloseOptions, createServer, type GlimtServer } from "./server/server.ts";
