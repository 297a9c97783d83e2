/** Generation: encode the pictures, read the prompt in chunks, then one token a step until something ends it. */
import type { RunOptions } from "../backends/backend.ts";
import { GlimtError, throwIfAborted } from "../errors.ts";
import { type PositionIds, textPositions } from "../mrope/positions.ts";
import type { DecoderPrompt } from "../prompt/prompt-inputs.ts";
import { answerOf, type SequenceSlice } from "../runtime/decoder.ts";
import type { FeatureRange } from "../runtime/feature-slab.ts";
import { Sequence } from "../runtime/kv-pool.ts";
import type { SamplingRow } from "../runtime/sampling-rows.ts";
import { IncrementalDetokenizer } from "../text/detokenizer.ts";
import { StopMatcher } from "../text/stop-matcher.ts";
import type { StagesLease } from "./adapters.ts";
import { type GenerateOptions, resolveGeneration } from "./generation-options.ts";
import type { ModelCore } from "./model-core.ts";
import { Sampler } from "./sampler.ts";
import { topLogits } from "./top-logits.ts";

/** One token, and the text that became certain with it (it may be empty, or hold several characters). */
export interface GeneratedPiece {
  readonly text: string;
  readonly tokenId: number;
  /** 0 for the first new token. */
  readonly index: number;
}

export type FinishReason = "stop" | "length";

export interface GenerationResult {
  readonly text: string;
  /** Every new token, the one that ended the text included. */
  readonly tokenIds: readonly number[];
  /** "stop": an end-of-sequence token or a stop string; "length": maxTokens or the context was reached. */
  readonly finishReason: FinishReason;
  readonly usage: {
    readonly promptTokens: number;
    /** Of the prompt: tokens that stand for pictures. */
    readonly visionTokens: number;
    readonly completionTokens: number;
  };
  readonly timings: GenerationTimings;
  readonly seed: number;
  /** The ten largest logits at the last prompt position. */
  readonly topLogits: readonly (readonly [tokenId: number, logit: number])[];
}

/** Milliseconds. */
export interface GenerationTimings {
  readonly vision: number;
  readonly prefill: number;
  readonly decode: number;
  readonly total: number;
}

const TOP_LOGITS = 10;

/** @throws CONTEXT_OVERFLOW, OPTION_INVALID, OUT_OF_MEMORY, ABORTED; the model stays usable. */
export async function* generate(
  core: ModelCore,
  inputs: DecoderPrompt,
  asked: GenerateOptions,
): AsyncGenerator<GeneratedPiece, GenerationResult, void> {
  const options = { ...asked, signal: core.stopSignal(asked.signal) };
  const { maxTokens, sampling, stop } = resolveGeneration(options, core.parts.generation);
  const room = core.parts.config.text.maxPositionEmbeddings - inputs.inputIds.length;
  if (room < 1) throw contextOverflow(core, inputs);
  const limit = Math.min(maxTokens, room);
  const sampler = new Sampler(sampling, inputs.history);
  const detokenizer = new IncrementalDetokenizer(core.parts.tokenizer);
  const stops = new StopMatcher(stop);
  const clock = new StageClock();
  const tokenIds: number[] = [];
  let text = "";
  let finishReason: FinishReason | null = null;

  const stages = await core.adapters.acquire(options.adapters);
  const sequence = new Sequence(core.parts.pool);
  try {
    const prompt = await readPrompt(core, stages, sequence, inputs, sampler.next(), options, clock);
    const first = topLogits(prompt.logits, TOP_LOGITS);
    let tokenId = prompt.token;
    for (;;) {
      throwIfAborted(options.signal);
      sampler.accept(tokenId);
      tokenIds.push(tokenId);
      const ended = core.parts.generation.eosTokenIds.includes(tokenId);
      let piece = stops.push(ended ? "" : detokenizer.push(tokenId));
      if (ended || stops.matched) finishReason = "stop";
      else if (tokenIds.length === limit) finishReason = "length";
      if (finishReason && !stops.matched) piece += stops.push(detokenizer.flush()) + stops.flush();
      text += piece;
      yield { text: piece, tokenId, index: tokenIds.length - 1 };
      if (finishReason) break;
      tokenId = await step(core, stages, sequence, tokenId, inputs.ropeDelta, sampler.next(), options);
    }
    clock.end("decode");
    return {
      text,
      tokenIds,
      finishReason,
      usage: {
        promptTokens: inputs.inputIds.length,
        visionTokens: inputs.visionTokens,
        completionTokens: tokenIds.length,
      },
      timings: clock.timings(),
      seed: sampling.seed,
      topLogits: first,
    };
  } catch (error) {
    // What the disposal stopped was not aborted by the caller.
    core.throwIfDisposed();
    throw error;
  } finally {
    sequence.release();
    await stages.release();
  }
}

interface AfterPrompt {
  readonly logits: Float32Array;
  readonly token: number;
}

/** Fills the cache with the prompt. @returns what comes after its last token. */
async function readPrompt(
  core: ModelCore,
  stages: StagesLease,
  sequence: Sequence,
  inputs: DecoderPrompt,
  sampling: SamplingRow,
  options: GenerateOptions,
  clock: StageClock,
): Promise<AfterPrompt> {
  const { signal, onProgress } = options;
  const features = await core.run(() =>
    inputs.visionItems.length === 0
      ? Promise.resolve(null)
      : stages.encoder.encode(inputs.visionItems, {
          signal,
          onProgress: (share) => onProgress?.({ stage: "vision", share }),
        }),
  );
  clock.end("vision");
  try {
    const after = await prefill(core, stages, sequence, inputs, features, sampling, options);
    clock.end("prefill");
    return after;
  } finally {
    if (!core.disposed) features?.release();
  }
}

async function prefill(
  core: ModelCore,
  stages: StagesLease,
  sequence: Sequence,
  inputs: DecoderPrompt,
  features: FeatureRange | null,
  sampling: SamplingRow,
  { signal, onProgress }: GenerateOptions,
): Promise<AfterPrompt> {
  const { inputIds, featureRows, positionIds } = inputs;
  const total = inputIds.length;
  let firstFeature = 0;
  for (let start = 0; start < total; start += core.parts.prefillChunk) {
    const end = Math.min(start + core.parts.prefillChunk, total);
    const rows = Int32Array.from(rowsWithFeatures(featureRows, start, end));
    const sources = features && rows.map((_, index) => features.firstRow + firstFeature + index);
    const slice = {
      sequence,
      inputIds: inputIds.slice(start, end),
      positionIds: positionIds.map((axis) => axis.slice(start, end)) as PositionIds,
      features: sources ? { sources, rows } : undefined,
      ...(end === total && { wantsLogits: true, sampling }),
    };
    firstFeature += rows.length;
    const report = (share: number) =>
      onProgress?.({ stage: "prefill", share: (start + share * (end - start)) / total });
    const after = await forward(core, stages, slice, { signal, onProgress: report });
    if (end === total) return after as AfterPrompt;
  }
  throw new GlimtError("INPUT_INVALID", "The prompt is empty.");
}

async function step(
  core: ModelCore,
  stages: StagesLease,
  sequence: Sequence,
  tokenId: number,
  ropeDelta: number,
  sampling: SamplingRow,
  { signal }: GenerateOptions,
): Promise<number> {
  const slice = {
    sequence,
    inputIds: [tokenId],
    positionIds: textPositions(sequence.length, 1, ropeDelta),
    sampling,
  };
  const { token } = await forward(core, stages, slice, { signal });
  return token as number;
}

/** One step of one sequence. @throws OUT_OF_MEMORY, ABORTED, DISPOSED */
async function forward(core: ModelCore, stages: StagesLease, slice: SequenceSlice, options: RunOptions) {
  const [result] = await core.run(() => stages.decoder.forward([slice], options));
  return answerOf(result);
}

/** Rows of the chunk [start, end) that take a feature, counted from its start. */
function* rowsWithFeatures(featureRows: ArrayLike<number>, start: number, end: number): Iterable<number> {
  for (let token = start; token < end; token++) {
    if (featureRows[token] !== 0) yield token - start;
  }
}

function contextOverflow(core: ModelCore, { inputIds, visionTokens: vision }: DecoderPrompt): GlimtError {
  const limit = core.parts.config.text.maxPositionEmbeddings;
  const advice =
    vision > 0 ? ` ${vision} of them stand for pictures: lower maxImagePixels or send fewer.` : "";
  return new GlimtError(
    "CONTEXT_OVERFLOW",
    `The prompt has ${inputIds.length} tokens and leaves no room in the context of ${limit}.${advice}`,
  );
}

/** Time of each stage: from the end of the one before to its own. */
class StageClock {
  readonly #start = performance.now();
  #last = this.#start;
  readonly #stages = { vision: 0, prefill: 0, decode: 0 };

  end(stage: "vision" | "prefill" | "decode"): void {
    const now = performance.now();
    this.#stages[stage] = now - this.#last;
    this.#last = now;
  }

  timings(): GenerationTimings {
    return { ...this.#stages, total: this.#last - this.#start };
  }
}
