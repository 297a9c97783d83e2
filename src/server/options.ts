/** What a host may say about its server, checked and complete. */
import type { ModelLocation } from "../checkpoint/location.ts";
import type { ReadDocument } from "../documents/read-document.ts";
import { GlimtError } from "../errors.ts";
import { checkTimeLimit, readOptions, shown } from "../given.ts";
import { PUBLIC_SOURCES, type Sources, sourceRule } from "../media/sources/source-rule.ts";
import type { AskedPolicy } from "../protocols/asked.ts";
import type { GenerateOptions } from "../serving/generation-options.ts";
import { SPECULATIONS } from "../serving/speculation.ts";
import type { LogEntry } from "./log.ts";

/** What a host says about its server. */
export interface ServerOptions {
  /** What the model is called in requests and answers; further names mean the same. Default "glimt". */
  readonly name?: string | readonly string[] | undefined;
  /** Requests need one of them, as a bearer token or in `x-api-key`. Default: none is asked for. */
  readonly apiKeys?: readonly string[] | undefined;
  /** Where pictures and videos of requests may be read from (default PUBLIC_SOURCES: inline, and public hosts). */
  readonly sources?: Sources | undefined;
  /** How text of messages that spells control tokens is read: as text (default), or as these tokens ("parse"). */
  readonly specialTokensInText?: "parse" | "text" | undefined;
  /** Take what a request leaves out from the checkpoint's generation_config.json, as vLLM does (default true). */
  readonly checkpointSampling?: boolean | undefined;
  /** Whether tokens are guessed, as `generate` takes it (default "off"): answers stay the same. */
  readonly speculation?: GenerateOptions["speculation"];
  /** What a request may take. */
  readonly limits?: ServerLimits | undefined;
  /** Origins of pages that may ask from browsers: a list of them, or "*". Default: none. */
  readonly cors?: "*" | readonly string[] | undefined;
  /**
   * Lets requests load adapters (`/v1/load_lora_adapter`), and says where one lies by the path that a request gives; in Node
   * `adaptersWithin` makes one of some folders. Default: requests load and unload none.
   */
  readonly adapterLocation?: AdapterLocation | undefined;
  /**
   * Reads documents for `/glmocr/parse` and `/api/paas/v4/layout_parsing`: `readDocument` of glimt/ocr, or a function around it
   * that gives it a layout model. Default: none are read.
   */
  readonly readDocument?: ReadDocument | undefined;
  /** Told of what happens, a request at a time. Prompts, answers and keys are in no entry. */
  readonly log?: ((entry: LogEntry) => void) | undefined;
}

/** @throws whatever is told to who asked, where there is none */
export type AdapterLocation = (path: string) => ModelLocation | Promise<ModelLocation>;

/** What requests may take. */
export interface ServerLimits {
  /** Bytes of a request's body (default 64 MiB). */
  readonly bodyBytes?: number | undefined;
  /** Bytes of the bodies of all requests under way together (default 1 GiB). */
  readonly allBodyBytes?: number | undefined;
  /** Levels of lists and objects in a body (default 100). */
  readonly bodyDepth?: number | undefined;
  /** Lists and objects of a body together (default 32,768). */
  readonly bodyObjects?: number | undefined;
  /** Tokens of an answer; default: what the context has room for. */
  readonly maxTokens?: number | undefined;
  /** Answers under way at a time (default 32); further requests wait. */
  readonly concurrency?: number | undefined;
  /** Requests that wait (default 256); further ones are refused with 429. */
  readonly queue?: number | undefined;
  /** Milliseconds from the request to its last byte (default 600,000). */
  readonly requestTimeout?: number | undefined;
}

const OPTION_NAMES: readonly (keyof ServerOptions)[] = [
  "name",
  "apiKeys",
  "sources",
  "specialTokensInText",
  "checkpointSampling",
  "speculation",
  "limits",
  "cors",
  "adapterLocation",
  "readDocument",
  "log",
];
export const DEFAULT_LIMITS = {
  bodyBytes: 64 * 2 ** 20,
  allBodyBytes: 2 ** 30,
  bodyDepth: 100,
  bodyObjects: 2 ** 15,
  concurrency: 32,
  queue: 256,
  requestTimeout: 600_000,
};
const LIMIT_NAMES = [...Object.keys(DEFAULT_LIMITS), "maxTokens"] as (keyof ServerLimits)[];

export interface ResolvedOptions {
  readonly names: readonly string[];
  readonly apiKeys: readonly string[];
  readonly policy: AskedPolicy;
  readonly limits: typeof DEFAULT_LIMITS;
  readonly cors: "*" | readonly string[];
  /** Null: requests load none. */
  readonly adapterLocation: AdapterLocation | null;
  /** Null: documents are not read. */
  readonly readDocument: ReadDocument | null;
  readonly log: (entry: LogEntry) => void;
}

/** @param contextLength of the model. @throws OPTION_INVALID naming the option */
export function resolveOptions(given: ServerOptions | undefined, contextLength: number): ResolvedOptions {
  const options = readOptions(given, "createServer", OPTION_NAMES, {
    checkpointSampling: "boolean",
    adapterLocation: "function",
    readDocument: "function",
    log: "function",
  });
  const { name = "glimt", apiKeys = [], sources = PUBLIC_SOURCES, checkpointSampling = true } = options;
  const { specialTokensInText = "text", speculation = "off", cors = [], log = () => {} } = options;
  const names = texts("name", typeof name === "string" ? [name] : name);
  if (names.length === 0) throw invalid("name is an empty list, expected at least one name.");
  if (specialTokensInText !== "text" && specialTokensInText !== "parse") {
    throw invalid(`specialTokensInText is ${shown(specialTokensInText)}, expected "text" or "parse".`);
  }
  if (!SPECULATIONS.includes(speculation)) {
    throw invalid(`speculation is ${shown(speculation)}, expected ${SPECULATIONS.join(", ")}.`);
  }
  // Throws what is wrong with it now, and not with the first request.
  sourceRule(sources);
  const { maxTokens = contextLength, ...limits } = readLimits(options.limits);
  return {
    names,
    apiKeys: texts("apiKeys", apiKeys),
    policy: { maxTokens, checkpointSampling, specialTokensInText, sources, speculation },
    limits: { ...DEFAULT_LIMITS, ...limits },
    adapterLocation: options.adapterLocation ?? null,
    readDocument: options.readDocument ?? null,
    cors: cors === "*" ? cors : texts("cors", cors),
    log,
  };
}

function readLimits(given: ServerLimits | undefined) {
  const limits = readOptions(given, "limits", LIMIT_NAMES) as Partial<Record<keyof ServerLimits, number>>;
  for (const [name, value] of Object.entries(limits)) {
    const least = name === "queue" ? 0 : 1;
    if (Number.isSafeInteger(value) && value >= least) continue;
    throw invalid(`limits.${name} is ${shown(value)}, expected a whole number from ${least}.`);
  }
  checkTimeLimit("limits.requestTimeout", limits.requestTimeout);
  return limits;
}

function texts(option: string, given: readonly string[]): readonly string[] {
  if (Array.isArray(given) && given.every((text) => typeof text === "string" && text !== "")) return given;
  throw invalid(`${option} must be a list of texts that are not empty.`);
}

function invalid(message: string): GlimtError {
  return new GlimtError("OPTION_INVALID", message);
}
