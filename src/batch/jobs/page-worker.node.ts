/** A worker that reads pages of documents from a queue with one model, as many at once as it has room for. */
import { createHash } from "node:crypto";
import { GlimtError } from "../../errors.ts";
import { checkTimeLimit, readOptions, shown } from "../../given.ts";
import { PUBLIC_SOURCES, type Sources } from "../../media/sources/source-rule.ts";
import { RequestError } from "../../protocols/errors.ts";
import type { ServedModel } from "../../protocols/served-model.ts";
import {
  ANSWER_OPTION_KINDS,
  ANSWER_OPTION_NAMES,
  type AnswerOptions,
  answerPolicy,
  checkCount,
} from "../answer-policy.ts";
import { OpenaiAnswerer, type OpenaiRequest } from "../openai-answerer.ts";
import { endsModel, mayPass } from "../passing-errors.ts";
import { LOOK_MS, nextConcurrency } from "./back-pressure.ts";
import {
  type Bullmq,
  connectionOptions,
  type Job,
  leave,
  loadBullmq,
  ready,
  type Worker,
} from "./bullmq.node.ts";
import { DEFAULT_QUEUE, type QueueAddress } from "./document-queue.node.ts";
import { DOCUMENT, type DocumentData, documentResult, failureText, type PageRequest } from "./documents.ts";

/** What a task is told beside its page. */
export interface PageContext {
  /** Of the page's job: the same whenever it is tried. */
  readonly id: string;
  /** The same whenever it is tried. */
  readonly seed: number;
  /** Fires when the worker is closed at once. */
  readonly signal: AbortSignal;
  /** Told to whoever watches the job: `progress` of BullMQ. */
  readonly onProgress: (progress: object) => void;
}

/** What a page becomes: plain data. An error of a code that may pass is tried again, others are not. */
export type PageTask = (page: PageRequest, context: PageContext) => Promise<unknown>;

/** Which queue is worked on, and how. */
export interface PageWorkerOptions extends QueueAddress, AnswerOptions {
  /** What is done with a page; default: it is `{ url, body }`, a request of OpenAI's API, and becomes its response. */
  readonly task?: PageTask | undefined;
  /** Most pages under way (default: as many as a step of the model is shared by). */
  readonly concurrency?: number | undefined;
  /** Milliseconds: a worker that says nothing so long is gone, and its pages are for others (default 30,000). */
  readonly stallTimeout?: number | undefined;
  /** Where pictures of requests may be read from (default PUBLIC_SOURCES: what is in them, and public hosts). */
  readonly sources?: Sources | undefined;
  /** Told of what goes wrong outside of pages: Redis that went away, a page that another worker has by now. */
  readonly onError?: ((error: Error) => void) | undefined;
}

/** A worker that takes pages of a queue as its model has room. */
export interface PageWorker {
  /** Pages under way. */
  readonly running: number;
  /** When the worker has ended. @throws what ended the model, where that was why */
  readonly ended: Promise<void>;
  /** Takes no page any more and finishes those under way; with `now` they go back to the queue, or stay there where Redis does not answer. */
  close(options?: { readonly now?: boolean | undefined }): Promise<void>;
}

const OPTION_NAMES: readonly (keyof PageWorkerOptions)[] = [
  "connection",
  "queue",
  "task",
  "concurrency",
  "stallTimeout",
  "sources",
  ...ANSWER_OPTION_NAMES,
  "onError",
];
const OPTION_KINDS = {
  ...ANSWER_OPTION_KINDS,
  queue: "string",
  task: "function",
  onError: "function",
} as const;
const STALL_MS = 30_000;
/** A page that ended so many workers is not tried again. */
const MOST_STALLS = 3;
/** Nor one that was begun so often: it may be what ends the models. */
const MOST_STARTS = 10;
/** From one word of progress to the next. */
const PROGRESS_MS = 1000;

/**
 * Begins to read pages. A page whose worker is killed is read by another one, and answered once.
 *
 * @throws BACKEND_UNAVAILABLE without the packages bullmq and ioredis, OPTION_INVALID, TIMED_OUT when Redis does not answer
 */
export async function createPageWorker(model: ServedModel, given: PageWorkerOptions): Promise<PageWorker> {
  const options = readWorkerOptions(given);
  const { connection, queue = DEFAULT_QUEUE, stallTimeout = STALL_MS, onError = () => {}, task } = options;
  const worker = new Pages(model, task ?? requestTask(model, options), options.concurrency);
  const workerOptions = {
    connection: connectionOptions(connection),
    lockDuration: stallTimeout,
    stalledInterval: stallTimeout / 2,
  };
  await worker.open(await loadBullmq(), queue, workerOptions, onError);
  return worker;
}

/** Throws what `createPageWorker` would, before a model is loaded for it; nothing is taken from the queue. */
export async function checkPageWorker(given: PageWorkerOptions): Promise<void> {
  const { connection, queue: name = DEFAULT_QUEUE } = readWorkerOptions(given);
  const options = { connection: connectionOptions(connection) };
  const { Queue } = await loadBullmq();
  const queue = new Queue(name, options);
  await ready(queue);
  await queue.close();
}

/** @throws OPTION_INVALID */
function readWorkerOptions(given: PageWorkerOptions) {
  const options = readOptions(given ?? (null as never), "createPageWorker", OPTION_NAMES, OPTION_KINDS);
  checkCount("concurrency", options.concurrency);
  checkTimeLimit("stallTimeout", options.stallTimeout);
  answerPolicy(options, options.sources ?? PUBLIC_SOURCES);
  return options;
}

/** Pages are requests of OpenAI's API. */
function requestTask(model: ServedModel, options: PageWorkerOptions): PageTask {
  const policy = answerPolicy(options, options.sources ?? PUBLIC_SOURCES);
  const answerer = new OpenaiAnswerer(model, policy.name, policy.of(model));
  return async (page, context) => {
    const { url = "/v1/chat/completions", body } = page as Partial<OpenaiRequest>;
    if (typeof body !== "object" || body === null) {
      throw new GlimtError(
        "INPUT_INVALID",
        `The page's body is ${shown(body)}, expected the request's object.`,
      );
    }
    return (await answerer.answer({ url, body }, context)).body;
  };
}

class Pages implements PageWorker {
  readonly ended: Promise<void>;
  readonly #model: ServedModel;
  readonly #task: PageTask;
  readonly #most: number | undefined;
  readonly #stop = new AbortController();
  #bullmq!: Bullmq;
  #worker!: Worker;
  #closing: Promise<void> | null = null;
  #settle!: { resolve: () => void; reject: (error: unknown) => void };
  #running = 0;

  constructor(model: ServedModel, task: PageTask, most: number | undefined) {
    this.#model = model;
    this.#task = task;
    this.#most = most;
    this.ended = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.ended.catch(() => undefined);
  }

  get running(): number {
    return this.#running;
  }

  async open(bullmq: Bullmq, queue: string, options: object, onError: (error: Error) => void): Promise<void> {
    this.#bullmq = bullmq;
    this.#worker = new bullmq.Worker(queue, (job, token) => this.#run(job, token), {
      ...options,
      concurrency: 1,
      maxStalledCount: MOST_STALLS,
      maxStartedAttempts: MOST_STARTS,
      autorun: false,
    });
    const told = (job: Job | undefined) => this.#tellDocument(job).catch(onError);
    this.#worker.on("completed", told);
    this.#worker.on("failed", told);
    // Until then what goes wrong is thrown.
    await ready(this.#worker);
    this.#worker.on("error", onError);
    const looking = setInterval(() => this.#look(), LOOK_MS);
    this.ended.catch(() => undefined).finally(() => clearInterval(looking));
    this.#worker.run().catch((error) => this.#end(error));
  }

  async close({ now = false }: { readonly now?: boolean | undefined } = {}): Promise<void> {
    if (now) this.#stop.abort();
    this.#closing ??= this.#worker.close();
    try {
      // Where Redis is gone its pages are for others when their time is up.
      await (now ? leave(this.#worker, this.#closing) : this.#closing);
    } finally {
      this.#settle.resolve();
    }
  }

  /** The model answers no more: its pages are for others. */
  #end(error: unknown): void {
    this.#settle.reject(error);
    this.close({ now: true }).catch(() => undefined);
  }

  #look(): void {
    try {
      const stats = this.#model.stats();
      const maxSequences = this.#most ?? stats.maxSequences;
      this.#worker.concurrency = nextConcurrency({ ...stats, maxSequences }, this.#worker.concurrency);
    } catch (error) {
      this.#end(error);
    }
  }

  /** How many of its pages are done, when one is. */
  async #tellDocument(job: Job | undefined): Promise<void> {
    const parent = job?.parent && (await this.#bullmq.Job.fromId(this.#worker, job.parent.id));
    if (!parent) return;
    const { pages } = parent.data as DocumentData;
    const { unprocessed = 0 } = await parent.getDependenciesCount();
    await parent.updateProgress({ done: pages - unprocessed, pages });
  }

  async #run(job: Job, token: string): Promise<unknown> {
    if (job.name === DOCUMENT) {
      const [answers, failures] = await Promise.all([
        job.getChildrenValues(),
        job.getIgnoredChildrenFailures(),
      ]);
      return documentResult(job.data as DocumentData, answers, failures);
    }
    this.#running++;
    const { signal } = this.#stop;
    try {
      return await this.#task(job.data as object, {
        id: job.id,
        seed: seedOf(job.id),
        signal,
        onProgress: progressOf(job),
      });
    } catch (error) {
      if (endsModel(error)) this.#end(error);
      if (endsModel(error) || signal.aborted) {
        // Another worker has it by now where this fails, and answers it.
        await job.moveToWait(token);
        throw new this.#bullmq.WaitingError();
      }
      const failure = failureText(error);
      throw isWorthATry(error) ? new Error(failure) : new this.#bullmq.UnrecoverableError(failure);
    } finally {
      this.#running--;
    }
  }
}

/** What may pass; and what a task's own throws, of which nobody knows. */
function isWorthATry(error: unknown): boolean {
  return mayPass(error) || !(error instanceof GlimtError || error instanceof RequestError);
}

/** So that a page that is read again becomes the same. */
function seedOf(id: string): number {
  return createHash("sha256").update(id).digest().readUInt32BE() >>> 1;
}

/** Tells a job's progress, not too often. */
function progressOf(job: Job): (progress: object) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (progress) => {
    const now = performance.now();
    if (now - last < PROGRESS_MS) return;
    last = now;
    job.updateProgress(progress).catch(() => undefined);
  };
}
