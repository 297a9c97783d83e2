/** Documents for workers to read: adding them, and waiting for what they become. */
import { createHash } from "node:crypto";
import { GlimtError, throwIfAborted, unlessAborted } from "../../errors.ts";
import { readFields, readOptions } from "../../given.ts";
import {
  type Bullmq,
  connectionOptions,
  type Flows,
  type Job,
  leave,
  loadBullmq,
  type Queue,
  type QueueEvents,
  type RedisConnection,
  ready,
} from "./bullmq.node.ts";
import {
  type DocumentData,
  type DocumentRequest,
  type DocumentResult,
  documentFlow,
  documentJobId,
} from "./documents.ts";

/** Which queue of which Redis. */
export interface QueueAddress {
  /** Where Redis is: an address, or what ioredis takes. */
  readonly connection: RedisConnection;
  /** Of BullMQ's queue (default "glimt"). */
  readonly queue?: string | undefined;
}

export const DEFAULT_QUEUE = "glimt";
/** How long an event that was missed delays a result. */
const LOOK_MS = 2000;

/** Documents of one queue. */
export interface DocumentQueue {
  /**
   * Adds a document, once: it is there when this resolves, whatever becomes of this process.
   *
   * @returns false when it was there
   * @throws INPUT_INVALID for what is no document, or when another one has its id; OPTION_INVALID
   */
  add(document: DocumentRequest): Promise<boolean>;
  /**
   * What became of its pages, when all are done.
   *
   * @throws INPUT_INVALID for a document that is not there, OPTION_INVALID, ABORTED, DISPOSED when the queue was closed meanwhile. These
   * two at once, whether Redis answers or not
   */
  result(id: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<DocumentResult>;
  /** Leaves Redis, which has two seconds to say goodbye; documents that were added stay there. */
  close(): Promise<void>;
}

/** @throws BACKEND_UNAVAILABLE without the packages bullmq and ioredis, OPTION_INVALID, TIMED_OUT when Redis does not answer */
export async function openDocuments(given: QueueAddress): Promise<DocumentQueue> {
  const { connection, queue: name = DEFAULT_QUEUE } = readOptions(
    given,
    "openDocuments",
    ["connection", "queue"],
    {
      queue: "string",
    },
  );
  const options = { connection: connectionOptions(connection) };
  const bullmq = await loadBullmq();
  const queue = new bullmq.Queue(name, options);
  await ready(queue);
  const flows = new bullmq.FlowProducer(options);
  flows.on("error", () => {});
  return new Documents(bullmq, name, queue, flows, () => new bullmq.QueueEvents(name, options));
}

class Documents implements DocumentQueue {
  readonly #bullmq: Bullmq;
  readonly #name: string;
  readonly #queue: Queue;
  readonly #flows: Flows;
  readonly #listen: () => QueueEvents;
  readonly #closed = new AbortController();
  #events: QueueEvents | null = null;

  constructor(bullmq: Bullmq, name: string, queue: Queue, flows: Flows, listen: () => QueueEvents) {
    this.#bullmq = bullmq;
    this.#name = name;
    this.#queue = queue;
    this.#flows = flows;
    this.#listen = listen;
  }

  async add(given: DocumentRequest): Promise<boolean> {
    const document = readFields(given, "document", ["id", "pages", "attempts", "keep"]);
    const flow = documentFlow(this.#name, document, (text) =>
      createHash("sha256").update(text).digest("hex"),
    );
    const there = await this.#job(document.id);
    if (!there) {
      await this.#flows.add(flow);
      return true;
    }
    if ((there.data as DocumentData).hash === flow.data.hash) return false;
    throw new GlimtError(
      "INPUT_INVALID",
      `There is another document ${JSON.stringify(document.id)} in the queue.`,
    );
  }

  async result(
    id: string,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<DocumentResult> {
    const { signal } = readOptions(options, "result", ["signal"], { signal: "signal" });
    const names = ["completed", "failed"].map((event) => `${event}:${documentJobId(id)}`);
    const events = this.#listening();
    const ended = signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal;
    // Events wake it, what is in Redis is believed: BullMQ misses events until its first question has reached Redis.
    let wake = () => {};
    const heard = () => wake();
    for (const name of names) events.on(name, heard);
    ended.addEventListener("abort", heard);
    try {
      for (let known: Job | undefined; ; ) {
        const woken = new Promise<void>((resolve) => {
          wake = resolve;
        });
        // A Redis that is gone or paused answers when it is back.
        known = await unlessAborted(this.#job(id), ended).catch((error) => {
          if (!known && !ended.aborted) throw error;
          return known;
        });
        throwIfAborted(signal);
        if (ended.aborted)
          throw new GlimtError("DISPOSED", "The queue was closed before the document was done.");
        if (!known)
          throw new GlimtError("INPUT_INVALID", `There is no document ${JSON.stringify(id)} in the queue.`);
        if (known.finishedOn) {
          if (!known.returnvalue) throw new Error(known.failedReason || "The document's job failed.");
          return known.returnvalue as DocumentResult;
        }
        const timer = setTimeout(heard, LOOK_MS);
        await woken;
        clearTimeout(timer);
      }
    } finally {
      for (const name of names) events.off(name, heard);
      ended.removeEventListener("abort", heard);
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await Promise.all(
      [this.#queue, this.#flows, this.#events].map((connected) => connected && leave(connected)),
    );
  }

  #listening(): QueueEvents {
    if (this.#events === null) {
      this.#events = this.#listen();
      this.#events.on("error", () => {});
      // Of each document that is waited for.
      this.#events.setMaxListeners(0);
    }
    return this.#events;
  }

  #job(id: string): Promise<Job | undefined> {
    return this.#bullmq.Job.fromId(this.#queue, documentJobId(id));
  }
}
