/** What is said of sockets, where there are some. */
import type { CloseOptions, GlimtServer } from "./server.ts";

/** What answers requests behind sockets: a server of `createServer`, or something around one that has its `fetch` and `close`. Without a
 * `requestTimeout` it has the server's default. */
export type Listener = Pick<GlimtServer, "fetch" | "close"> & Partial<Pick<GlimtServer, "requestTimeout">>;

/** Where a server is asked. */
export interface ListenOptions {
  /** 0, the default: one that is free. */
  readonly port?: number | undefined;
  /** Default "127.0.0.1": asked from this machine alone; "0.0.0.0" or "::" from others too. */
  readonly host?: string | undefined;
}

/** A server that listens. */
export interface ListeningServer {
  /** What it listens at. */
  readonly host: string;
  /** The port; the one that was found where 0 was asked for. */
  readonly port: number;
  /** Where it is asked, without a slash at the end. */
  readonly url: string;
  /** What comes is refused with 503. Resolves when requests under way have ended, and nothing is listened at any more. */
  close(options?: CloseOptions): Promise<void>;
}
