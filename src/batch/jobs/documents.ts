/** Documents as jobs: a flow of one parent, and a child for each page. They hold references, no pixels. */
import { GlimtError } from "../../errors.ts";
import { readPlain, shown } from "../../given.ts";
import { RequestError } from "../../protocols/errors.ts";

/** A page: what a worker's task is given. Without a task of its own, a request of OpenAI's API. */
export type PageRequest = object;

/** A document to read: its pages, and how they are tried and kept. */
export interface DocumentRequest {
  /** What the document is known by: one that was added before is not added again. */
  readonly id: string;
  /** Plain data each, at most 256 KiB as JSON; pictures by address or path, not as data. */
  readonly pages: readonly PageRequest[];
  /** How often a page is tried where what failed may pass (default 3). */
  readonly attempts?: number | undefined;
  /** Seconds for which the finished document is kept in Redis (default a day). */
  readonly keep?: number | undefined;
}

/** What became of a page. */
export type PageResult =
  | {
      /** From 1. */
      readonly page: number;
      /** What its task gave. */
      readonly answer: unknown;
    }
  | {
      /** From 1. */
      readonly page: number;
      /** Why it has no answer. */
      readonly error: {
        /** As of `GlimtError`. */
        readonly code: string;
        /** What was wrong. */
        readonly message: string;
      };
    };

/** What became of a document. */
export interface DocumentResult {
  /** In their order, from page 1. */
  readonly pages: readonly PageResult[];
}

/** Names of jobs. */
export const DOCUMENT = "document";
export const PAGE = "page";

const MOST_PAGES = 10_000;
const MOST_PAGE_BYTES = 256 * 1024;
const FIRST_RETRY_MS = 1000;
const DAY = 24 * 60 * 60;

/** Of a document's job: its pages are known by it too. */
export function documentJobId(id: string): string {
  if (typeof id === "string" && id !== "" && id.length <= 256) return `document-${encodeURIComponent(id)}`;
  throw new GlimtError(
    "INPUT_INVALID",
    `A document's id is ${shown(id)}, expected a text of 1 to 256 characters.`,
  );
}

/** What a document's job holds. */
export interface DocumentData {
  readonly pages: number;
  /** Tells another document of the same id. */
  readonly hash: string;
}

/**
 * BullMQ's flow of a document.
 *
 * @throws INPUT_INVALID, OPTION_INVALID
 */
export function documentFlow(
  queueName: string,
  { id, pages, attempts = 3, keep = DAY }: DocumentRequest,
  hashOf: (text: string) => string,
) {
  const jobId = documentJobId(id);
  if (!Array.isArray(pages) || pages.length === 0 || pages.length > MOST_PAGES) {
    throw new GlimtError("INPUT_INVALID", `pages is ${shown(pages)}, expected a list of 1 to ${MOST_PAGES}.`);
  }
  for (const [name, value] of Object.entries({ attempts, keep })) {
    if (Number.isSafeInteger(value) && value >= 1) continue;
    throw new GlimtError("OPTION_INVALID", `${name} is ${shown(value)}, expected a whole number from 1.`);
  }
  const data = pages.map((page, index) => pageData(page, `pages[${index}]`));
  const backoff = { type: "exponential", delay: FIRST_RETRY_MS, jitter: 0.5 };
  return {
    name: DOCUMENT,
    queueName,
    data: { pages: pages.length, hash: hashOf(JSON.stringify(data)) } satisfies DocumentData,
    opts: { jobId, attempts, backoff, removeOnComplete: { age: keep }, removeOnFail: { age: keep } },
    children: data.map((page, index) => ({
      name: PAGE,
      queueName,
      data: page,
      // What became of it is kept with the document, which goes on without it where it fails.
      opts: {
        jobId: pageJobId(jobId, index + 1),
        attempts,
        backoff,
        ignoreDependencyOnFailure: true,
        removeOnComplete: true,
        removeOnFail: true,
      },
    })),
  };
}

function pageData(given: unknown, path: string): object {
  const page = readPlain(given, path);
  if (typeof page !== "object" || page === null || Array.isArray(page) || page instanceof Map) {
    throw new GlimtError("INPUT_INVALID", `${path} is ${shown(given)}, expected an object.`);
  }
  const bytes = new TextEncoder().encode(JSON.stringify(page)).length;
  if (bytes <= MOST_PAGE_BYTES) return page;
  throw new GlimtError(
    "INPUT_INVALID",
    `${path} has ${bytes} bytes, more than ${MOST_PAGE_BYTES}: name its picture by an address or a path; queues hold no pixels.`,
  );
}

function pageJobId(documentId: string, page: number): string {
  return `${documentId}.page-${page}`;
}

/** The page that a job's key in Redis is of. */
function pageOf(key: string): number {
  return Number(/\.page-(\d+)$/.exec(key)?.[1]);
}

/** As a failed job keeps it, in one text. */
export function failureText(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  const own = error instanceof RequestError ? "INPUT_INVALID" : "UNEXPECTED";
  return `${typeof code === "string" ? code : own}: ${String(message ?? error)}`;
}

/** @param answers by key of the page's job; `failures` too */
export function documentResult(
  { pages }: DocumentData,
  answers: Readonly<Record<string, unknown>>,
  failures: Readonly<Record<string, string>>,
): DocumentResult {
  const results: (PageResult | undefined)[] = new Array(pages).fill(undefined);
  for (const [key, answer] of Object.entries(answers))
    results[pageOf(key) - 1] = { page: pageOf(key), answer };
  for (const [key, text] of Object.entries(failures)) {
    results[pageOf(key) - 1] = { page: pageOf(key), error: failureOf(text) };
  }
  return {
    pages: results.map(
      (result, i) =>
        result ?? { page: i + 1, error: { code: "LOST", message: "The page's job was removed." } },
    ),
  };
}

/** One that BullMQ gave up itself has no code of ours. */
function failureOf(text: string): { code: string; message: string } {
  const [, code = "STALLED", message = text] = /^([A-Z][A-Z_]+): (.*)$/s.exec(text) ?? [];
  return { code, message };
}
