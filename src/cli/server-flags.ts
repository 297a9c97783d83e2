/** Flags that say whom a server answers, under which name, and within which limits. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { GenerateOptions } from "../index.ts";
import type { ServerOptions } from "../server/options.ts";
import { SPECULATIONS } from "../serving/speculation.ts";
import { collect, memorySize, wholeNumber } from "./model-options.ts";
import type { ServedModelFlags } from "./served-model.ts";
import { sourceOptions } from "./source-flags.ts";

export interface HttpFlags extends ServedModelFlags {
  readonly servedModelName: readonly string[];
  readonly apiKey: readonly string[];
  readonly cors?: readonly string[];
  readonly concurrency?: number;
  readonly queue?: number;
  readonly maxBody?: number;
  readonly requestTimeout?: number;
  readonly speculation?: NonNullable<GenerateOptions["speculation"]>;
}

export function withHttpOptions(command: Command): Command {
  return command
    .option(
      "--served-model-name <name>",
      "what requests call the model (default: the last part of its location); may be repeated",
      collect,
      [],
    )
    .option(
      "--api-key <key>",
      "what requests have to show; may be repeated (also GLIMT_API_KEY, where commas part several)",
      collect,
      [],
    )
    .option("--cors <origins>", "pages that may ask from browsers: https://a.org,https://b.org or *", origins)
    .option("--concurrency <n>", "answers under way at a time (default: 32)", wholeNumber)
    .option("--queue <n>", "requests that wait for their turn; others get 429 (default: 256)", wholeNumber)
    .option("--max-body <size>", "largest body of a request (default: 64MiB)", memorySize)
    .option("--request-timeout <ms>", "in which a request has to be answered (default: 600000)", wholeNumber)
    .addOption(
      new Option(
        "--speculation <how>",
        "guess tokens and read several a step: mtp (the checkpoint's layer), lookup, auto, off (default)",
      ).choices(SPECULATIONS),
    );
}

type Named = ServerOptions & { readonly name: readonly string[]; readonly apiKeys: readonly string[] };

export function httpOptions(location: string, flags: HttpFlags): Named {
  const { servedModelName: names, cors, specialTokensInText, checkpointSampling, speculation } = flags;
  const { maxTokens, concurrency, queue, maxBody: bodyBytes, requestTimeout } = flags;
  const { sources } = sourceOptions(flags);
  return {
    name: names.length > 0 ? names : [nameOf(location)],
    apiKeys: [...flags.apiKey, ...keysOf(process.env.GLIMT_API_KEY)],
    cors: cors?.includes("*") ? "*" : cors,
    specialTokensInText,
    checkpointSampling,
    speculation,
    sources,
    limits: { maxTokens, concurrency, queue, bodyBytes, requestTimeout },
  };
}

/** The last part of a path, an address or a model of the Hub, without what says which of its kind it is. */
export function nameOf(location: string): string {
  const path = /^https?:/i.test(location) && URL.canParse(location) ? new URL(location).pathname : location;
  const last = path.replace(/[\\/]+$/, "").replace(/^.*[\\/]/, "");
  return last.replace(/@[^@]*$/, "").replace(/\.gguf$/i, "") || "glimt";
}

function keysOf(variable: string | undefined): string[] {
  return (variable ?? "").split(",").flatMap((key) => key.trim() || []);
}

function origins(text: string): string[] {
  const list = text.split(",").map((origin) => origin.trim());
  const isOrigin = (origin: string) =>
    origin === "*" || (URL.canParse(origin) && new URL(origin).origin === origin);
  if (list.every(isOrigin)) return list;
  throw new InvalidArgumentError("It must be origins such as https://example.org, or *.");
}
