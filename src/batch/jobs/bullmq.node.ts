/** BullMQ, which only those who have workers over Redis install; and what of it is used here. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { GlimtError } from "../../errors.ts";
import { shown } from "../../given.ts";

/** A variable, so that no bundler looks for it. */
const PACKAGE: string = "bullmq";
/** In which Redis has to answer first. Later BullMQ connects again for as long as it takes. */
const CONNECT_MS = 10_000;
/** And at last. */
const LEAVE_MS = 2000;

/** An address such as "redis://127.0.0.1:6379", options of ioredis, or a connection of its own. */
export type RedisConnection = string | URL | object;

export interface Job {
  readonly id: string;
  readonly name: string;
  readonly data: unknown;
  readonly parent?: { readonly id: string };
  /** Unset until it is done, or has failed for good. */
  readonly finishedOn?: number;
  readonly failedReason?: string;
  readonly returnvalue: unknown;
  updateProgress(progress: object): Promise<void>;
  getChildrenValues(): Promise<Record<string, unknown>>;
  getIgnoredChildrenFailures(): Promise<Record<string, string>>;
  getDependenciesCount(): Promise<{
    processed?: number;
    unprocessed?: number;
    ignored?: number;
    failed?: number;
  }>;
  moveToWait(token: string): Promise<unknown>;
}

interface Connected {
  on(event: "error", listener: (error: Error) => void): unknown;
  waitUntilReady(): Promise<unknown>;
  close(force?: boolean): Promise<void>;
  disconnect(): Promise<void>;
}

export type Queue = Connected;

export interface QueueEvents extends Connected {
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: string, listener: () => void): unknown;
  off(event: string, listener: () => void): unknown;
  setMaxListeners(count: number): unknown;
}

export interface Flows extends Connected {
  add(flow: object): Promise<unknown>;
}

export interface Worker extends Connected {
  concurrency: number;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "completed" | "failed", listener: (job: Job | undefined) => void): unknown;
  run(): Promise<void>;
}

export type JobTask = (job: Job, token: string) => Promise<unknown>;

export interface Bullmq {
  readonly Queue: new (name: string, options: object) => Queue;
  readonly QueueEvents: new (name: string, options: object) => QueueEvents;
  readonly FlowProducer: new (options: object) => Flows;
  readonly Worker: new (name: string, task: JobTask, options: object) => Worker;
  readonly Job: { fromId(queue: Queue | Worker, id: string): Promise<Job | undefined> };
  readonly UnrecoverableError: new (message: string) => Error;
  readonly WaitingError: new () => Error;
}

/** @throws BACKEND_UNAVAILABLE when it is not installed */
export async function loadBullmq(): Promise<Bullmq> {
  try {
    return (await import(PACKAGE).catch(() => import(inProject()))) as Bullmq;
  } catch (cause) {
    const [reason] = (cause as Error).message.split("\n");
    throw new GlimtError(
      "BACKEND_UNAVAILABLE",
      `Queues need the packages bullmq and ioredis, which can not be loaded: npm i bullmq ioredis (${reason}).`,
      { cause },
    );
  }
}

/** Of the project that runs, for a command that is installed elsewhere. */
function inProject(): string {
  return pathToFileURL(createRequire(join(process.cwd(), "package.json")).resolve(PACKAGE)).href;
}

/** As BullMQ takes it. @throws OPTION_INVALID */
export function connectionOptions(connection: RedisConnection): object {
  if (typeof connection !== "string" && !(connection instanceof URL)) {
    if (typeof connection === "object" && connection !== null) return connection;
    throw new GlimtError(
      "OPTION_INVALID",
      `connection is ${shown(connection)}, expected an address or an object.`,
    );
  }
  const url = String(connection);
  if (/^(rediss?|unix):\/\//.test(url) && URL.canParse(url)) return { url };
  // What was given may hold a password.
  throw new GlimtError("OPTION_INVALID", "connection is no address such as redis://127.0.0.1:6379.");
}

/** @throws TIMED_OUT when Redis does not answer */
export async function ready(connected: Connected): Promise<void> {
  let last: Error | null = null;
  connected.on("error", (error) => {
    last = error;
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const why = last ? `: ${last.message || (last as { code?: string }).code}` : "";
      reject(new GlimtError("TIMED_OUT", `Redis does not answer${why}.`, { cause: last }));
    }, CONNECT_MS);
  });
  try {
    await Promise.race([connected.waitUntilReady(), late]);
  } catch (error) {
    await connected.close(true).catch(() => undefined);
    if (error instanceof GlimtError) throw error;
    throw new GlimtError("TIMED_OUT", `Redis does not answer: ${(error as Error).message}.`, {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
  }
}

/** Closes it. BullMQ waits for Redis to say goodbye, and would for ever for one that is gone. @param closing that of `close` */
export async function leave(connected: Connected, closing = connected.close()): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const cut = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      connected.disconnect().catch(() => {});
      resolve();
    }, LEAVE_MS);
  });
  try {
    await Promise.race([closing, cut]);
  } finally {
    clearTimeout(timer);
  }
}
