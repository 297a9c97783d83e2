/** What a model makes of texts that are given: the logits of each next token, whatever it would have said itself. */
import { textPositions } from "../../src/mrope/positions.ts";
import { keepMediaRows } from "../../src/prompt/keep-media-rows.ts";
import { decoderPrompt, type PromptInputs } from "../../src/prompt/prompt-inputs.ts";
import { answerOf, type SequenceSlice } from "../../src/runtime/decoder.ts";
import type { FeatureRange } from "../../src/runtime/feature-slab.ts";
import { Sequence } from "../../src/runtime/kv-pool.ts";
import type { Stages } from "../../src/runtime/open-stages.ts";
import { GREEDY } from "../../src/runtime/sampling-rows.ts";

/** A prompt, and how it goes on. */
export interface ForcedText {
  readonly name: string;
  readonly prompt: PromptInputs;
  readonly answer: readonly number[];
}

type RunStages = Pick<Stages, "encoder" | "decoder" | "pool" | "config">;

/** A text that is read: its prompt first, then token by token. */
class Reading {
  readonly #sequence: Sequence;
  readonly #first: Omit<SequenceSlice, "sequence">;
  readonly #ropeDelta: number;
  readonly #features: FeatureRange | null;

  private constructor(
    sequence: Sequence,
    first: Omit<SequenceSlice, "sequence">,
    ropeDelta: number,
    features: FeatureRange | null,
  ) {
    this.#sequence = sequence;
    this.#first = first;
    this.#ropeDelta = ropeDelta;
    this.#features = features;
  }

  static async start({ encoder, pool, config }: RunStages, prompt: PromptInputs): Promise<Reading> {
    const { layout, visionItems } = decoderPrompt(prompt, config);
    const { inputIds, positionIds, ropeDelta, features: ofRows } = keepMediaRows(layout, []);
    const features = visionItems.length === 0 ? null : await encoder.encode(visionItems);
    const rows = Int32Array.from([...ofRows.keys()].filter((row) => (ofRows[row] as number) >= 0));
    const sources = rows.map((row) => (features?.firstRow ?? 0) + (ofRows[row] as number));
    const first = { inputIds, positionIds, ...(features && { features: { sources, rows } }) };
    return new Reading(new Sequence(pool), first, ropeDelta, features);
  }

  /** The prompt, or one token. */
  slice(token: number | null): SequenceSlice {
    const sequence = this.#sequence;
    const about = { sequence, wantsLogits: true, sampling: [GREEDY] };
    if (token === null) return { ...this.#first, ...about };
    return { ...about, inputIds: [token], positionIds: textPositions(sequence.length, 1, this.#ropeDelta) };
  }

  end(): void {
    this.#sequence.release();
    this.#features?.release();
  }
}

/** For each text the logits [vocabSize] of every token of its answer, each seen with the prompt and the tokens before it. */
export async function forcedLogits(
  stages: RunStages,
  texts: readonly ForcedText[],
): Promise<Float32Array[][]> {
  const logits: Float32Array[][] = [];
  for (let first = 0; first < texts.length; first += TOGETHER) {
    logits.push(...(await readTogether(stages, texts.slice(first, first + TOGETHER))));
  }
  return logits;
}

/** What the model itself answers, greedily: up to `most` tokens, with the one of `ends` that ends it. */
export async function greedyAnswer(
  stages: RunStages,
  prompt: PromptInputs,
  most: number,
  ends: readonly number[],
): Promise<number[]> {
  const reading = await Reading.start(stages, prompt);
  const answer: number[] = [];
  let token: number | null = null;
  while (answer.length < most && (token === null || !ends.includes(token))) {
    token = answerOf((await stages.decoder.forward([reading.slice(token)]))[0]).tokens[0] as number;
    answer.push(token);
  }
  reading.end();
  return answer;
}

/** Texts whose steps are one run. */
const TOGETHER = 8;

async function readTogether(stages: RunStages, texts: readonly ForcedText[]): Promise<Float32Array[][]> {
  const logits: Float32Array[][] = [];
  const readings: Reading[] = [];
  for (const { prompt } of texts) {
    const reading = await Reading.start(stages, prompt);
    readings.push(reading);
    const answer = answerOf((await stages.decoder.forward([reading.slice(null)]))[0]);
    logits.push([answer.logits[0] as Float32Array]);
  }
  const longest = Math.max(...texts.map(({ answer }) => answer.length));
  for (let step = 0; step + 1 < longest; step++) {
    const live = texts.flatMap(({ answer }, index) => (step + 1 < answer.length ? [index] : []));
    const slices = live.map((index) =>
      (readings[index] as Reading).slice(texts[index]?.answer[step] as number),
    );
    const answers = await stages.decoder.forward(slices);
    for (const [place, index] of live.entries()) {
      (logits[index] as Float32Array[]).push(answerOf(answers[place]).logits[0] as Float32Array);
    }
  }
  for (const reading of readings) reading.end();
  return logits;
}
