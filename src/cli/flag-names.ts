/** What the SDK says of its options, said of the flags that gave them. */
import type { Command } from "commander";
import { GlimtError } from "../errors.ts";

/** Options that have another name than their flag, by the flag's attribute. */
const NAMED_OTHERWISE: Readonly<Record<string, string>> = {
  "structured.jsonSchema": "jsonSchema",
  "structured.regex": "regex",
  "structured.choice": "choice",
  "structured.grammar": "grammar",
  badWords: "badWord",
  allowedTokenIds: "allowToken",
  stopTokenIds: "stopToken",
  repetitionDetection: "stopRepetition",
  topLogprobs: "logprobs",
  encoderCacheBytes: "encoderCache",
  enableThinking: "thinking",
  connection: "redis",
  apiKeys: "apiKey",
  "kvCache.bytes": "kvCache",
  "kvCache.fraction": "kvCache",
  "parallel.tensor": "tensorParallel",
  "parallel.pipeline": "pipelineParallel",
  "parallel.encoder": "encoderParallel",
  "parallel.cuts": "pipelineCuts",
  "parallel.timeout": "parallelTimeout",
  "limits.images": "maxImages",
  "limits.videos": "maxVideos",
  "limits.bodyBytes": "maxBody",
  "limits.concurrency": "concurrency",
  "limits.queue": "queue",
  "limits.maxTokens": "maxTokens",
  "limits.requestTimeout": "requestTimeout",
};
const STRUCTURED = ["jsonSchema", "regex", "choice", "grammar"];

/** The same error where it names no option that has a flag. @param command the one that failed, as it was called */
export function byFlagNames(error: unknown, command: Command | undefined): unknown {
  if (!(error instanceof GlimtError) || !command) return error;
  const message = messageByFlagNames(error, command);
  return message === error.message ? error : new GlimtError(error.code, message, { cause: error });
}

/** What `byFlagNames` says. */
export function messageByFlagNames(
  error: { readonly code: string; readonly message: string },
  command: Command,
): string {
  return named(error.message, flagsByOption(command), error.code === "OPTION_INVALID");
}

function flagsByOption(command: Command): ReadonlyMap<string, string> {
  const flags: object = command.opts();
  const longs = new Map(command.options.map((option) => [option.attributeName(), option.long as string]));
  const names = new Map(longs);
  for (const [name, attribute] of Object.entries(NAMED_OTHERWISE)) {
    const long = longs.get(attribute);
    if (long !== undefined) names.set(name, long);
  }
  const asked = STRUCTURED.find((attribute) => Object.hasOwn(flags, attribute));
  if (asked !== undefined) names.set("structured", longs.get(asked) as string);
  return names;
}

/** Words that are no English; and what a message about an option begins with. */
function named(message: string, flags: ReadonlyMap<string, string>, isOption: boolean): string {
  return message.replaceAll(/(?<![\w./\\-])[a-zA-Z]+(?:\.[a-zA-Z]+)?/g, (word, at: number) => {
    const [first] = word.split(".") as [string];
    const name = flags.has(word) ? word : first;
    const flag = flags.get(name);
    const isMeant = /[a-z][A-Z]/.test(first) || (isOption && at === 0);
    return flag !== undefined && isMeant ? `${flag}${word.slice(name.length)}` : word;
  });
}
