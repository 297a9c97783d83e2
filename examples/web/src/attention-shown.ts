/** Where the answer's tokens look: kept by token, shown for the one that is looked at, or for all together. */
import { attentionOverMedia, type GenerationEvent, type ProcessedInputs } from "glimt";
import { percent } from "../../../src/views/markup.ts";
import type { AnswerToken } from "./answer.ts";
import { byId } from "./dom.ts";

export class AttentionShown {
  readonly #show: (weights: Float32Array | null) => void;
  readonly #weights = new Map<number, Float32Array>();
  #inputs: ProcessedInputs | null = null;
  #sum: Float32Array | null = null;
  #selected: AnswerToken | null = null;

  /** @param show told the weights over the picture; null: none */
  constructor(show: (weights: Float32Array | null) => void) {
    this.#show = show;
  }

  begin(inputs: ProcessedInputs): void {
    this.clear();
    this.#inputs = inputs;
  }

  clear(): void {
    this.#weights.clear();
    this.#sum = null;
    this.#inputs = null;
    this.select(null);
  }

  add({ index, attention, text }: GenerationEvent): void {
    const [over] = this.#inputs && attention ? attentionOverMedia(this.#inputs, attention) : [];
    if (!over || this.#weights.has(index)) return;
    const { weights } = over;
    this.#weights.set(index, weights);
    // As the answer comes the picture is read along.
    if (!this.#selected) this.#show(weights);
    // What ends an answer looks at no picture.
    if (text === "") return;
    this.#sum ??= new Float32Array(weights.length);
    for (const [patch, weight] of weights.entries()) this.#sum[patch] = (this.#sum[patch] as number) + weight;
  }

  /** The answer is whole. */
  end(): void {
    this.select(this.#selected);
  }

  /** @param token null: the whole answer */
  select(token: AnswerToken | null): void {
    this.#selected = token;
    const detail = byId("token-detail", HTMLElement);
    const weights = token ? this.#weights.get(token.index) : this.#sum;
    this.#show(weights ?? null);
    if (!token || !weights) {
      detail.textContent = this.#sum ? "Point at a token, or tap it, to see where the model looks." : "";
      return;
    }
    const share = weights.reduce((sum, weight) => sum + weight, 0);
    detail.textContent = `Token ${token.index + 1} (id ${token.id}): ${percent(share)} of its attention is on the picture.`;
  }
}
