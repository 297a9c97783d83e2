/** `glimt run`: ask a model and stream what it says. */

import { Command, InvalidArgumentError } from "commander";
import { loadPrepared } from "../api/load-model.ts";
import { prepareModelOn } from "../api/prepare-model.ts";
import { GlimtError } from "../errors.ts";
import type {
  AdapterSource,
  GenerateOptions,
  GenerationResult,
  KvCacheSize,
  Model,
  ProcessedInputs,
  SessionProgress,
} from "../index.ts";
import { nodeFiles } from "../node-files.ts";
import { decoderPrompt } from "../prompt/prompt-inputs.ts";
import { type AnswerContext, checkRequest } from "../serving/answer-context.ts";
import { sessionFiles } from "../serving/session/files.node.ts";
import { adapterSources } from "./adapter-flags.ts";
import { AnswerOutput } from "./answer-output.ts";
import {
  type EngineFlags,
  engineFacts,
  engineLine,
  engineOptions,
  withEngineOptions,
} from "./engine-flags.ts";
import { interruptible } from "./interruption.ts";
import { memoryLine } from "./memory-line.ts";
import {
  backendsFor,
  collect,
  conversation,
  decimal,
  kvCacheSize,
  type LoadFlags,
  loadOptions,
  type MediaFlags,
  memorySizeOrNone,
  type PromptFlags,
  processOptions,
  wholeNumber,
  withLoadOptions,
  withMediaOptions,
  withPromptOptions,
} from "./model-options.ts";
import { type ParallelFlags, parallelOptions, withParallelOptions } from "./parallel-flags.ts";
import { downloadShown, progressLine } from "./progress-line.ts";
import { JSON_HELP } from "./report.ts";
import { type SourceFlags, sourceOptions, withSourceOptions } from "./source-flags.ts";
import { structuredOptions, toolChoice } from "./structured-flags.ts";

interface RunFlags extends PromptFlags, SourceFlags, MediaFlags, LoadFlags, EngineFlags, ParallelFlags {
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly logitBias: Readonly<Record<number, number>>;
  readonly badWord: readonly string[];
  readonly allowToken?: readonly number[];
  readonly minTokens?: number;
  readonly ignoreEos?: true;
  readonly thinkingBudget?: number;
  readonly stopRepetition?: true;
  readonly logprobs?: number;
  readonly speculation?: NonNullable<GenerateOptions["speculation"]>;
  readonly jsonSchema?: string;
  readonly regex?: string;
  readonly choice?: readonly string[];
  readonly grammar?: string;
  readonly toolChoice?: string;
  readonly seed?: number;
  readonly n?: number;
  readonly kvCache?: KvCacheSize;
  readonly mtp: boolean;
  readonly prefillChunk?: number;
  readonly maxBatchedTokens?: number;
  readonly prefixCache: boolean;
  readonly encoderCache?: number;
  readonly cacheSalt?: string;
  readonly restoreSession?: string;
  readonly saveSession?: string;
  readonly checkpointSampling?: true;
  readonly stop: readonly string[];
  readonly stopToken: readonly number[];
  readonly adapter: readonly string[];
  readonly json?: true;
}

export function runCommand(): Command {
  return withParallelOptions(
    withEngineOptions(
      withLoadOptions(withMediaOptions(withSourceOptions(withPromptOptions(new Command("run"))))),
    ),
  )
    .description("ask a model about pictures and stream its answer")
    .option("--max-tokens <n>", "most new tokens (default: 2048, or what the context leaves)", wholeNumber)
    .option("--temperature <t>", "0 takes the most probable token (default)", decimal)
    .option("--top-k <n>", "sample from the n most probable tokens", wholeNumber)
    .option("--top-p <p>", "sample from the most probable tokens that reach p", decimal)
    .option("--min-p <p>", "drop tokens below p times the most probable", decimal)
    .option("--repetition-penalty <x>", "above 1: avoid tokens already used", decimal)
    .option("--seed <n>", "same seed, same answer", wholeNumber)
    .option("--n <count>", "so many answers, number k with seed + k (default: 1)", wholeNumber)
    .option("--checkpoint-sampling", "sample as the checkpoint's generation_config.json says")
    .option("--stop <text>", "end at this text; may be repeated", collect, [])
    .option("--stop-token <id>", "end at this token; may be repeated", tokenId, [])
    .option("--presence-penalty <x>", "above 0: avoid tokens that the answer has", decimal)
    .option("--frequency-penalty <x>", "above 0: avoid tokens the more often the answer has them", decimal)
    .option("--logit-bias <id:bias>", "add to a token's logit, -100 bans it; may be repeated", tokenBias, {})
    .option("--bad-word <text>", "never say this; may be repeated", collect, [])
    .option("--allow-token <id>", "say no other tokens; may be repeated", tokenId)
    .option("--min-tokens <n>", "do not end before as many tokens", wholeNumber)
    .option("--ignore-eos", "go on where the model would end")
    .option("--thinking-budget <n>", "end thinking behind as many tokens", wholeNumber)
    .option("--stop-repetition", "end an answer that repeats itself as pages never do")
    .option(
      "--logprobs <n>",
      "with --json: how probable each token was, and the n most probable",
      wholeNumber,
    )
    .option(
      "--speculation <how>",
      "guess tokens and read several a step: mtp (the checkpoint's layer), lookup (what followed the same words), auto, off (default)",
    )
    .option("--json-schema <file.json>", "answer in JSON that this schema holds for")
    .option("--regex <expression>", "answer in a text that matches, in JavaScript's syntax")
    .option("--choice <a,b,...>", "answer with one of these texts", (texts: string) => texts.split(","))
    .option("--grammar <file>", "answer in a text of this grammar's rule root (EBNF)")
    .option(
      "--tool-choice <how>",
      "auto: calls of --tools are well formed; none: no call; required: calls alone; or the name of the tool to call",
    )
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
    .option("--cache-salt <text>", "share what is cached only with requests of the same salt")
    .option(
      "--restore-session <file>",
      "begin with what a session holds of the prompt, in place of reading it",
    )
    .option(
      "--save-session <file>",
      "save what the answer was read from, for --restore-session of a later run",
    )
    .option("--max-batched-tokens <n>", "most tokens of a step (default: as --prefill-chunk)", wholeNumber)
    .option("--adapter <dir[:scale]>", "answer with this LoRA adapter; may be repeated", collect, [])
    .option("--json", JSON_HELP)
    .action(run);
}

async function run(location: string, prompt: string | undefined, flags: RunFlags): Promise<void> {
  if (flags.logprobs !== undefined && !flags.json) {
    throw new GlimtError("OPTION_INVALID", "--logprobs is told of in the JSON alone: add --json.");
  }
  await checkSessions(flags);
  const messages = await conversation(prompt, flags);
  const asked = await processOptions(flags);
  const structured = await structuredOptions(flags);
  const adapters = adapterSources(flags.adapter);
  const progress = progressLine(flags.json !== true);
  const signal = interruptible();
  const platform = { ...nodeFiles, backends: backendsFor(flags) };
  const prepared = await prepareModelOn(platform, location, {
    ...loadOptions(flags),
    ...engineOptions(flags),
    ...parallelOptions(flags),
    ...sourceOptions(flags),
    kvCache: flags.kvCache,
    // Not asked for: pipelines can not have it.
    mtp: flags.mtp ? undefined : false,
    prefillChunk: flags.prefillChunk,
    maxBatchedTokens: flags.maxBatchedTokens,
    prefixCache: flags.prefixCache,
    encoderCacheBytes: flags.encoderCache,
    adapters,
    signal,
    onDownload: (download) => progress.show(...downloadShown(download)),
    onProgress: ({ loadedBytes, totalBytes, weight, memory }) => {
      const needs = weight === undefined ? memoryLine(memory) : null;
      if (needs) console.error(needs);
      progress.show("loading", loadedBytes / totalBytes);
    },
  });
  const onProgress = ({ stage, share }: SessionProgress) => progress.show(stage, share);
  const options: GenerateOptions = {
    ...generateOptions(flags),
    structured,
    toolChoice: toolChoice(flags.toolChoice),
    signal,
  };
  // Reading the weights takes longest: what is wrong is told before.
  const { answers: context, processor } = prepared;
  const inputs = await checkedInputs(
    () => processor.process(messages, { ...asked, signal, onProgress }),
    options,
    context,
  ).finally(() => progress.clear());
  const model = await loadPrepared(prepared);
  try {
    if (!flags.json && process.stderr.isTTY) {
      progress.clear();
      console.error(engineLine(model.backend));
    }
    const showing = { signal, onProgress };
    if (flags.restoreSession !== undefined) await model.restoreSession(flags.restoreSession, showing);
    const names = adapters.map(({ name }) => name);
    const answers = model.generate(inputs, { ...options, adapters: names, onProgress });
    const output = new AnswerOutput(process.stdout);
    for await (const event of answers) {
      progress.clear();
      if (!flags.json) output.show(event);
    }
    const result = await answers.result;
    if (flags.json) process.stdout.write(`${JSON.stringify(jsonResult(model, inputs, adapters, result))}\n`);
    else output.end(result);
    const { saveSession: path, cacheSalt, speculation } = flags;
    if (path !== undefined) await model.saveSession(inputs, { path, cacheSalt, speculation, ...showing });
  } finally {
    progress.clear();
    await model.dispose();
  }
}

/** @throws what would stand behind the weights otherwise, or behind the answer */
async function checkSessions(flags: RunFlags): Promise<void> {
  const { restoreSession, saveSession, adapter, prefixCache } = flags;
  if ((restoreSession ?? saveSession) === undefined) return;
  const { devices, parallel } = parallelOptions(flags);
  const others = [
    [adapter.length > 0, "--adapter"],
    [!prefixCache, "--no-prefix-cache"],
    [devices, "--devices"],
    [parallel, "the flags of several devices"],
  ] as const;
  const other = others.find(([isGiven]) => isGiven);
  if (other) {
    throw new GlimtError(
      "OPTION_INVALID",
      `Sessions are of the model on one device, without adapters, and of pages that are kept: leave out ${other[1]}.`,
    );
  }
  if (restoreSession !== undefined) await (await sessionFiles.open(restoreSession)).close();
  if (saveSession !== undefined) await (await sessionFiles.create(saveSession)).discard();
}

/** @throws what the request would */
async function checkedInputs(
  process: () => Promise<ProcessedInputs>,
  options: GenerateOptions,
  context: AnswerContext,
): Promise<ProcessedInputs> {
  let inputs: ProcessedInputs | undefined;
  const read = async () => {
    inputs = await process();
    return decoderPrompt(inputs, context.config);
  };
  await checkRequest(read, options, context);
  return inputs as ProcessedInputs;
}

function generateOptions(flags: RunFlags): GenerateOptions {
  const { maxTokens, temperature, topK, topP, minP, repetitionPenalty, seed, n, checkpointSampling, stop } =
    flags;
  const sampling = { temperature, topK, topP, minP, repetitionPenalty, seed, n, checkpointSampling };
  const { speculation, cacheSalt } = flags;
  return {
    maxTokens,
    ...sampling,
    stop,
    stopTokenIds: flags.stopToken,
    ...tokenOptions(flags),
    speculation,
    cacheSalt,
  };
}

function tokenOptions(flags: RunFlags): GenerateOptions {
  const { presencePenalty, frequencyPenalty, logitBias, minTokens, ignoreEos, thinkingBudget, logprobs } =
    flags;
  return {
    presencePenalty,
    frequencyPenalty,
    logitBias,
    badWords: flags.badWord,
    allowedTokenIds: flags.allowToken,
    minTokens,
    ignoreEos,
    thinkingBudget,
    repetitionDetection: flags.stopRepetition,
    ...(logprobs !== undefined && { logprobs: true, topLogprobs: logprobs }),
  };
}

function tokenBias(text: string, all: Readonly<Record<number, number>>): Record<number, number> {
  const [, id, bias] = /^(\d+):(\S+)$/.exec(text) ?? [];
  if (id === undefined || !Number.isFinite(Number(bias))) {
    throw new InvalidArgumentError("It must be a token id and a number, such as 42:-100.");
  }
  return { ...all, [wholeNumber(id)]: decimal(bias!) };
}

function tokenId(text: string, all: readonly number[] = []): number[] {
  return [...all, wholeNumber(text)];
}

function jsonResult(
  model: Model,
  inputs: ProcessedInputs,
  adapters: readonly AdapterSource[],
  result: GenerationResult,
) {
  const { promptText, inputIds, mmTokenTypeIds, imageGridThw, videoGridThw, positionIds, ropeDelta } = inputs;
  const { text, tokenIds, topLogits, logprobs, finishReason, usage, timings, seed } = result;
  const { reasoning, content, boxed, toolCalls, choices } = result;
  return {
    text,
    reasoning,
    content,
    boxed,
    toolCalls,
    ...(choices.length > 1 && { choices }),
    promptText,
    promptIds: inputIds,
    mmTokenTypeIds,
    imageGridThw,
    videoGridThw,
    positionIds: positionIds.map((axis) => Array.from(axis)),
    ropeDelta,
    tokenIds,
    topLogits,
    logprobs,
    finishReason,
    usage,
    seed,
    adapters,
    backend: model.backend.name,
    engine: engineFacts(model.backend),
    dtype: model.dtype,
    timings: { load: model.loadMilliseconds, process: inputs.milliseconds, ...timings },
  };
}
