/** Flags of commands that answer requests: memory of the KV cache, what of it is kept, how much a step holds. */
import { type Command, InvalidArgumentError } from "commander";
import type { KvCacheSize, LoadOptions } from "../index.ts";
import { kvCacheSize, memorySizeOrNone, wholeNumber } from "./model-options.ts";

export interface ServingFlags {
  readonly kvCache?: KvCacheSize;
  readonly mtp: boolean;
  readonly prefillChunk?: number;
  readonly maxBatchedTokens?: number;
  readonly prefixCache: boolean;
  readonly encoderCache?: number;
  readonly encoderTokenBudgets?: readonly number[] | "auto";
}

export function withServingOptions(command: Command): Command {
  return command
    .option("--no-mtp", "leave out the checkpoint's layer that predicts several tokens")
    .option(
      "--kv-cache <size>",
      "memory to take for the KV cache: 512MiB, 4GiB, or 50% of what is free (default: it grows)",
      kvCacheSize,
    )
    .option(
      "--prefill-chunk <n>",
      "most tokens of a prompt in a step (default: 512, on CUDA 2048)",
      wholeNumber,
    )
    .option("--no-prefix-cache", "share no pages of the KV cache between answers, and keep none")
    .option(
      "--encoder-cache <size>",
      "most features of pictures to keep: 64MiB (default), 0MiB",
      memorySizeOrNone,
    )
    .option(
      "--encoder-token-budgets <list>",
      "tokens that pictures are padded to, so that few sizes run: 64,128,256 (default on CUDA; none elsewhere) or auto",
      tokenBudgets,
    )
    .option("--max-batched-tokens <n>", "most tokens of a step (default: as --prefill-chunk)", wholeNumber);
}

export function servingOptions(flags: ServingFlags): LoadOptions {
  const { kvCache, mtp, prefillChunk, maxBatchedTokens, prefixCache, encoderCache } = flags;
  const { encoderTokenBudgets } = flags;
  return {
    kvCache,
    // Not asked for: pipelines can not have it.
    mtp: mtp ? undefined : false,
    prefillChunk,
    maxBatchedTokens,
    prefixCache,
    encoderCacheBytes: encoderCache,
    encoderTokenBudgets,
  };
}

function tokenBudgets(text: string): readonly number[] | "auto" {
  if (text === "auto") return text;
  if (/^\d+(,\d+)*$/.test(text)) return text.split(",").map(Number);
  throw new InvalidArgumentError("It must be auto, or numbers such as 64,128,256.");
}
