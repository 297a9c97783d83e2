/** What is counted and timed of each answer, under the names that vLLM's dashboards read. */
import type { Asked } from "../../protocols/asked.ts";
import type { Problem, ProblemKind } from "../../protocols/errors.ts";
import type { GenerationEvent, GenerationResult } from "../../serving/run-result.ts";
import type { AnswerObserver } from "../context.ts";
import { Counter, type Family, Histogram, type Labels } from "./families.ts";

/** Seconds; the bounds are vLLM's. */
const FIRST_TOKEN = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640,
  2560,
];
const BETWEEN_TOKENS = [
  0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];
const STAGES = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];
const TOKENS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];

/** Of requests that were ended from outside; those of bad requests count as nothing, as they had no answer. */
const ENDED: Partial<Record<ProblemKind, "abort" | "error">> = {
  clientGone: "abort",
  timedOut: "abort",
  failed: "error",
  unavailable: "error",
};

export class RequestMetrics {
  readonly #promptTokens = new Counter("vllm:prompt_tokens_total", "Tokens of prompts.");
  readonly #generationTokens = new Counter("vllm:generation_tokens_total", "Tokens of answers.");
  readonly #success = new Counter("vllm:request_success_total", "Answers, by what ended them.");
  readonly #firstToken = seconds(
    "time_to_first_token_seconds",
    "From a request to its first token.",
    FIRST_TOKEN,
  );
  readonly #between = seconds("inter_token_latency_seconds", "From a token to the next.", BETWEEN_TOKENS);
  readonly #total = seconds(
    "e2e_request_latency_seconds",
    "From a request to the end of its answer.",
    STAGES,
  );
  readonly #queue = seconds("request_queue_time_seconds", "From a request to its turn.", STAGES);
  readonly #prefill = seconds(
    "request_prefill_time_seconds",
    "Encoding pictures and reading the prompt, and waiting for steps of it.",
    STAGES,
  );
  readonly #decode = seconds("request_decode_time_seconds", "From the first token to the last.", STAGES);
  readonly #promptLengths = new Histogram("vllm:request_prompt_tokens", "Tokens of a prompt.", TOKENS);
  readonly #answerLengths = new Histogram("vllm:request_generation_tokens", "Tokens of an answer.", TOKENS);
  readonly #now: () => number;

  /** @param now milliseconds of a clock */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get families(): readonly Family[] {
    return [
      this.#promptTokens,
      this.#generationTokens,
      this.#success,
      this.#firstToken,
      this.#between,
      this.#total,
      this.#queue,
      this.#prefill,
      this.#decode,
      this.#promptLengths,
      this.#answerLengths,
    ];
  }

  /** Hears of an answer from when its request was read. @param model as it is served */
  observe(_: Asked, model: string): AnswerObserver {
    const labels = { model_name: model };
    const start = this.#now();
    const since = (then: number) => (this.#now() - then) / 1000;
    /** When the last token of each choice came, and which it was. */
    const last = new Map<number, { readonly index: number; readonly time: number }>();
    /** Seconds until its turn; null: it is told, or has not come. */
    let queued: number | null = null;
    const tellQueued = () => {
      if (queued !== null) this.#queue.observe(labels, queued);
      queued = null;
    };
    return {
      // Told when there is an answer: a picture that can not be read is found out when it is its turn.
      began: () => {
        queued = since(start);
      },
      event: ({ choice, index, prompt }: GenerationEvent) => {
        tellQueued();
        const before = last.get(choice);
        if (before && before.index >= index) return;
        // All choices have one prompt.
        if (prompt && last.size === 0) this.#countPrompt(prompt.promptTokens, labels);
        if (before) this.#between.observe(labels, since(before.time));
        else if (last.size === 0) this.#firstToken.observe(labels, since(start));
        last.set(choice, { index, time: this.#now() });
        this.#generationTokens.add(labels);
      },
      ended: (result, problem) => {
        const failure = result ? null : failureOf(problem);
        if (result || failure) {
          tellQueued();
          this.#total.observe(labels, since(start));
        }
        if (result) this.#count(result, labels);
        if (failure) this.#success.add({ ...labels, finished_reason: failure });
      },
    };
  }

  #countPrompt(tokens: number, labels: Labels): void {
    this.#promptTokens.add(labels, tokens);
    this.#promptLengths.observe(labels, tokens);
  }

  #count({ choices }: GenerationResult, labels: Labels): void {
    for (const { finishReason, timings, usage: own } of choices) {
      this.#success.add({ ...labels, finished_reason: finishReason });
      this.#answerLengths.observe(labels, own.completionTokens);
      this.#prefill.observe(labels, (timings.vision + timings.prefill) / 1000);
      this.#decode.observe(labels, timings.decode / 1000);
    }
  }
}

/** @param problem null: it was left. @returns null for what had no answer */
function failureOf(problem: Problem | null): "abort" | "error" | null {
  return problem ? (ENDED[problem.kind] ?? null) : "abort";
}

function seconds(name: string, help: string, bounds: readonly number[]): Histogram {
  return new Histogram(`vllm:${name}`, `${help} Seconds.`, bounds);
}
