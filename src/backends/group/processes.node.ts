/**
 * Processes of a group over TCP, each of which reaches every other. What is sent is not encrypted: for networks of one's own.
 */
import { GlimtError } from "../../errors.ts";
import { checkTimeLimit, readOptions, shown } from "../../given.ts";
import type { Peer } from "./frames.node.ts";
import { Joining, type Meeting } from "./joining.node.ts";
import type { GroupLink } from "./link.ts";
import { TcpLink } from "./tcp-link.node.ts";

/** Which process this is, and how the others are found. */
export interface JoinOptions {
  /** "host:port" of the first process, which listens there. */
  readonly address: string;
  /** Which process this is: 0 is the first. */
  readonly index: number;
  /** How many there are. */
  readonly count: number;
  /** What all of them know and nobody else, best long and random: who does not is not let in. It is not sent. */
  readonly key: string;
  /** Milliseconds until all must be there; default 60000. */
  readonly timeout?: number | undefined;
}

const DEFAULT_TIMEOUT = 60_000;

/**
 * Waits until all processes are there.
 * @throws OPTION_INVALID; GROUP_FAILED when one is not there in time, or has another key or count
 */
export async function joinProcesses(given: JoinOptions): Promise<GroupLink> {
  const options = readJoinOptions(given);
  const { index, count, timeout } = options;
  const peers: (Peer | undefined)[] = new Array(count).fill(undefined);
  const joining = new Joining(options, peers);
  const late = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => {
      const missing = [...peers.keys()].filter((other) => other !== index && !peers[other]);
      reject(
        new GlimtError(
          "GROUP_FAILED",
          `Of ${count} processes ${missing.join(", ") || "the first did not say where the others are, and they"} did not join within ${timeout} ms.`,
        ),
      );
    }, timeout);
    joining.onEnd(() => clearTimeout(timer));
  });
  try {
    await Promise.race([joining.run(), late]);
    return new TcpLink(index, peers);
  } catch (error) {
    for (const peer of peers) peer?.socket.destroy();
    throw error;
  } finally {
    joining.end();
  }
}

function readJoinOptions(given: JoinOptions): Meeting & { readonly timeout: number } {
  const options = readOptions(given, "joinProcesses", ["address", "index", "count", "key", "timeout"], {
    address: "string",
    index: "number",
    count: "number",
    key: "string",
    timeout: "number",
  });
  const { index, count, key, timeout = DEFAULT_TIMEOUT } = options;
  const invalid = (message: string) => new GlimtError("OPTION_INVALID", `joinProcesses: ${message}.`);
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(options.address ?? "") ?? [];
  if (!host || Number(port) < 1 || Number(port) > 65535) {
    throw invalid(`address is ${shown(options.address)}, expected a host and a port, such as 10.0.0.1:29500`);
  }
  if (!(Number.isInteger(count) && count >= 1 && count <= 1024)) {
    throw invalid(`count is ${shown(count)}, expected a whole number from 1`);
  }
  if (!(Number.isInteger(index) && index >= 0 && index < count)) {
    throw invalid(`index is ${shown(index)}, expected one of 0..${count - 1}`);
  }
  if (!key) throw invalid("key is missing: what all processes know and nobody else");
  checkTimeLimit("timeout", timeout);
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(port), index, count, key, timeout };
}
