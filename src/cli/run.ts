/** `glimt run`: ask a model and stream what it says. */

import { Command } from "commander";
import { loadPrepared } from "../api/load-model.ts";
import { prepareModelOn } from "../api/prepare-model.ts";
import { GlimtError } from "../errors.ts";
import {
  type AdapterSource,
  attentionOverMedia,
  type GenerateOptions,
  type GenerationEvent,
  type GenerationResult,
  type Model,
  type ProcessedInputs,
  type SessionProgress,
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
  filesRead,
  type LoadFlags,
  loadOptions,
  type MediaFlags,
  type PromptFlags,
  processOptions,
  wholeNumber,
  withLoadOptions,
  withMediaOptions,
  withPromptOptions,
} from "./model-options.ts";
import { type ParallelFlags, parallelOptions, withParallelOptions } from "./parallel-flags.ts";
import { requestPage } from "./process/request-page.ts";
import { downloadShown, progressLine } from "./progress-line.ts";
import { JSON_HELP } from "./report.ts";
import { AnswerLooks } from "./run/answer-looks.ts";
import { type SamplingFlags, samplingOptions, withSamplingOptions } from "./sampling-flags.ts";
import { type ServingFlags, servingOptions, withServingOptions } from "./serving-flags.ts";
import { type SourceFlags, sourceOptions, withSourceOptions } from "./source-flags.ts";
import { structuredOptions, toolChoice } from "./structured-flags.ts";
import { checkOutput, checkOutputs, writeOutput } from "./write-output.ts";

interface RunFlags
  extends PromptFlags,
    SourceFlags,
    MediaFlags,
    LoadFlags,
    EngineFlags,
    ServingFlags,
    ParallelFlags,
    SamplingFlags {
  readonly logprobs?: number;
  readonly attention?: true;
  readonly jsonSchema?: string;
  readonly regex?: string;
  readonly choice?: readonly string[];
  readonly grammar?: string;
  readonly toolChoice?: string;
  readonly n?: number;
  readonly restoreSession?: string;
  readonly saveSession?: string;
  readonly adapter: readonly string[];
  readonly html?: string;
  readonly json?: true;
}

export function runCommand(): Command {
  const loading = withServingOptions(
    withParallelOptions(
      withEngineOptions(
        withLoadOptions(withMediaOptions(withSourceOptions(withPromptOptions(new Command("run"))))),
      ),
    ),
  );
  return withSamplingOptions(loading)
    .description("ask a model about pictures and stream its answer")
    .option("--n <count>", "so many answers, number k with seed + k (default: 1)", wholeNumber)
    .option(
      "--logprobs <n>",
      "with --json: how probable each token was, and the n most probable",
      wholeNumber,
    )
    .option("--attention", "with --json: what each token looks at in each picture and video")
    .option("--json-schema <file.json>", "answer in JSON that this schema holds for")
    .option("--regex <expression>", "answer in a text that matches, in JavaScript's syntax")
    .option("--choice <a,b,...>", "answer with one of these texts", (texts: string) => texts.split(","))
    .option("--grammar <file>", "answer in a text of this grammar's rule root (EBNF)")
    .option(
      "--tool-choice <how>",
      "auto: calls of --tools are well formed; none: no call; required: calls alone; or the name of the tool to call",
    )
    .option(
      "--restore-session <file>",
      "begin with what a session holds of the prompt, in place of reading it",
    )
    .option(
      "--save-session <file>",
      "save what the answer was read from, for --restore-session of a later run",
    )
    .option("--adapter <dir[:scale]>", "answer with this LoRA adapter; may be repeated", collect, [])
    .option(
      "--html <file>",
      "write the request and its answer as a page, with what each token looks at in the pictures",
    )
    .option("--json", JSON_HELP)
    .action(run);
}

async function run(location: string, prompt: string | undefined, flags: RunFlags): Promise<void> {
  for (const name of ["logprobs", "attention"] as const) {
    if (flags[name] === undefined || flags.json) continue;
    throw new GlimtError("OPTION_INVALID", `--${name} is told of in the JSON alone: add --json.`);
  }
  await checkSessions(flags);
  await checkFiles(flags);
  const { devices, parallel } = parallelOptions(flags);
  /** The page shows it too, where one device has all that it is made of. */
  const isShown = flags.html !== undefined && devices === undefined && parallel === undefined;
  const attention = flags.attention ?? (isShown || undefined);
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
    ...servingOptions(flags),
    attention,
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
    ...samplingOptions(flags),
    n: flags.n,
    attention,
    ...(flags.logprobs !== undefined && { logprobs: true, topLogprobs: flags.logprobs }),
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
    const attended = new Map<string, TokenAttention>();
    const looks = new AnswerLooks(inputs, processor);
    for await (const event of answers) {
      progress.clear();
      // A token may have several events.
      if (flags.attention) attended.set(`${event.choice}.${event.index}`, tokenAttention(inputs, event));
      if (flags.html !== undefined) looks.add(event);
      if (!flags.json) output.show(event);
    }
    const result = await answers.result;
    const told = flags.attention && { attention: [...attended.values()] };
    const writePage = async () => {
      if (flags.html === undefined) return;
      const page = await requestPage(location, processor, inputs, looks.shown(result));
      await writeOutput("--html", flags.html, page);
    };
    if (flags.json) {
      // First: an error takes the place of the object.
      await writePage();
      const found = { ...jsonResult(model, inputs, adapters, result), ...told };
      process.stdout.write(`${JSON.stringify(found)}\n`);
    } else {
      output.end(result);
      await writePage();
    }
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

/** @throws OPTION_INVALID where something would be lost that the command reads or writes */
async function checkFiles(flags: RunFlags): Promise<void> {
  const { html, saveSession, restoreSession, jsonSchema, grammar } = flags;
  await checkOutputs({ "--html": html, "--save-session": saveSession }, [
    ...filesRead(flags),
    jsonSchema,
    grammar,
  ]);
  // A session may be saved where it was restored from.
  if (html !== undefined) await checkOutput("--html", html, [restoreSession]);
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

/** As JSON has it: the weights of each picture and video in a list. */
function tokenAttention(inputs: ProcessedInputs, { choice, index, tokenId, attention }: GenerationEvent) {
  const media = attentionOverMedia(inputs, attention as Float32Array);
  return {
    choice,
    index,
    tokenId,
    media: media.map((item) => ({ ...item, weights: Array.from(item.weights) })),
  };
}

type TokenAttention = ReturnType<typeof tokenAttention>;

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
