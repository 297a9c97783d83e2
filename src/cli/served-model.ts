/** Flags of commands that answer many requests with a model, and the model that they ask for. */
import { type Command, Option } from "commander";
import type { GenerateOptions, Model } from "../index.ts";
import { type EngineFlags, engineLine, withEngineOptions } from "./engine-flags.ts";
import { loadByFlags } from "./load-by-flags.ts";
import {
  collect,
  type LoadFlags,
  type MediaFlags,
  wholeNumber,
  withLoadOptions,
  withMediaOptions,
} from "./model-options.ts";
import { type ParallelFlags, withDataParallelOption, withParallelOptions } from "./parallel-flags.ts";
import { nameOf } from "./server-flags.ts";
import { type ServingFlags, withServingOptions } from "./serving-flags.ts";
import { type SourceFlags, sourceOptions } from "./source-flags.ts";

export interface ServedModelFlags
  extends SourceFlags,
    MediaFlags,
    LoadFlags,
    EngineFlags,
    ServingFlags,
    ParallelFlags {
  readonly maxSequences?: number;
  readonly maxImages?: number;
  readonly maxVideos?: number;
  readonly adapter: readonly string[];
  readonly specialTokensInText?: "parse" | "text";
  readonly checkpointSampling: boolean;
  readonly maxTokens?: number;
}

/** Of commands whose requests know one name of the model. */
export interface NamedModelFlags extends ServedModelFlags {
  readonly servedModelName?: string;
}

export function withServedModelOptions(command: Command): Command {
  const loading = withEngineOptions(withLoadOptions(withMediaOptions(command)));
  return withServingOptions(withDataParallelOption(withParallelOptions(loading)))
    .option("--max-sequences <n>", "most requests that a step is shared by (default: 32)", wholeNumber)
    .option(
      "--max-images <n>",
      "most pictures of a request (default: what the context has room for)",
      wholeNumber,
    )
    .option(
      "--max-videos <n>",
      "most videos of a request (default: what the context has room for)",
      wholeNumber,
    )
    .option(
      "--adapter <dir[:scale]>",
      "answer with this LoRA adapter too, under its folder's name; may be repeated",
      collect,
      [],
    )
    .addOption(
      new Option(
        "--special-tokens-in-text <how>",
        "text: what spells a control token in a message is plain characters (default); parse: it is one",
      ).choices(["parse", "text"]),
    )
    .option(
      "--no-checkpoint-sampling",
      "greedy where a request says nothing, whatever generation_config.json says",
    )
    .option(
      "--max-tokens <n>",
      "most new tokens of an answer (default: what the context leaves)",
      wholeNumber,
    );
}

export function withModelName(command: Command): Command {
  return command.option(
    "--served-model-name <name>",
    "what requests call the model (default: the last part of its location)",
  );
}

/** How requests are answered, in the shape that runBatch takes. */
export function answerOptions(location: string, flags: NamedModelFlags) {
  const {
    servedModelName: name = nameOf(location),
    specialTokensInText,
    checkpointSampling,
    maxTokens,
  } = flags;
  return { name, specialTokensInText, checkpointSampling, maxTokens, sources: sourceOptions(flags).sources };
}

/** What is told of it stands on stderr. @param asked what all answers will be asked with */
export async function loadServedModel(
  location: string,
  flags: ServedModelFlags,
  signal: AbortSignal,
  asked?: GenerateOptions,
): Promise<Model> {
  const { maxSequences, maxImages: images, maxVideos: videos } = flags;
  const model = await loadByFlags(location, flags, signal, {
    asked,
    maxSequences,
    limits: { images, videos },
  });
  console.error(engineLine(model.backend));
  return model;
}
