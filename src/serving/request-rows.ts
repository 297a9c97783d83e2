/**
 * The rows that a request has the decoder read: those of its prompt, and behind them the tokens of its answer. Row i of
 * both together is the i-th in the KV cache.
 */
import { type PositionIds, textPositions } from "../mrope/positions.ts";
import type { PromptRows } from "../prompt/layout.ts";
import type { FeatureRange } from "../runtime/feature-slab.ts";
import type { SliceFeatures } from "../runtime/step-inputs.ts";

export interface MediaFeature {
  /** Its number among those of the prompt. */
  readonly media: number;
  readonly feature: number;
}

export class RequestRows {
  readonly promptTokens: number;
  readonly #answer: readonly number[];
  readonly #firstFeatures: readonly number[];
  #known: PromptRows | null = null;

  /**
   * @param promptTokens rows of the prompt: their number is known before they are
   * @param answer the tokens so far; it grows
   * @param firstFeatures of each image and video of the prompt, ascending
   */
  constructor(promptTokens: number, answer: readonly number[], firstFeatures: readonly number[]) {
    this.promptTokens = promptTokens;
    this.#answer = answer;
    this.#firstFeatures = firstFeatures;
  }

  /** Whether it is known which rows the prompt has. */
  get areKnown(): boolean {
    return this.#known !== null;
  }

  /** Says, once, what the rows of the prompt are: at once, or when features have told which are left. */
  know(prompt: PromptRows): void {
    if (prompt.inputIds.length !== this.promptTokens) {
      throw new Error(`A prompt of ${this.promptTokens} rows has ${prompt.inputIds.length}.`);
    }
    this.#known = prompt;
  }

  /** Of the prompt and of the answer. */
  get length(): number {
    return this.promptTokens + this.#answer.length;
  }

  ids(start: number, end: number): number[] {
    const length = this.promptTokens;
    const answer = this.#answer.slice(Math.max(0, start - length), Math.max(0, end - length));
    return start < length ? [...this.#prompt.inputIds.slice(start, end), ...answer] : answer;
  }

  /** Three axes of end - start. */
  positions(start: number, end: number): PositionIds {
    const { positionIds, ropeDelta } = this.#prompt;
    const length = this.promptTokens;
    if (end <= length) return positionIds.map((axis) => axis.subarray(start, end)) as PositionIds;
    const behind = Math.max(start, length);
    const answer = textPositions(behind, end - behind, ropeDelta);
    if (start >= length) return answer;
    return positionIds.map((axis, index) =>
      Int32Array.from([...axis.subarray(start), ...(answer[index] as Int32Array)]),
    ) as PositionIds;
  }

  /** Of each row, the image or video and which of its features it takes; null where it takes none. */
  mediaFeatures(start: number, end: number): (MediaFeature | null)[] {
    const features = this.#prompt.features.subarray(start, end);
    return Array.from(features, (feature) => {
      if (feature < 0) return null;
      const media = this.#firstFeatures.findLastIndex((first) => first <= feature);
      return { media, feature: feature - (this.#firstFeatures[media] as number) };
    });
  }

  /** Whether a row from `start` on takes a feature. */
  hasFeaturesFrom(start: number): boolean {
    return this.#prompt.features.subarray(start).some((feature) => feature >= 0);
  }

  /** Which of the rows take features, and from where; undefined when none does. */
  features(start: number, end: number, range: FeatureRange | null): SliceFeatures | undefined {
    if (start >= this.promptTokens) return undefined;
    const features = this.#prompt.features.subarray(start, end);
    const rows = Int32Array.from(features.keys()).filter((row) => (features[row] as number) >= 0);
    if (rows.length === 0) return undefined;
    if (!range) throw new Error("A request was asked for rows of pictures before it had their features.");
    return { sources: rows.map((row) => range.firstRow + (features[row] as number)), rows };
  }

  get #prompt(): PromptRows {
    if (this.#known) return this.#known;
    throw new Error("A request was asked for rows before it was known which are left of its videos.");
  }
}
