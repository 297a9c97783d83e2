/**
 * Several answers to one prompt. Its pictures are read and encoded once; the first answer reads it, and when it has its first
 * token the others begin, which find what is cached of it. Answer k is the one that seed + k gives alone.
 */

import type { CompiledGrammar } from "../grammar/compiled-grammars.ts";
import type { DecoderPrompt } from "../prompt/prompt-inputs.ts";
import { AnswerParser } from "../text/answer/answer-parser.ts";
import type { StagesLease } from "./adapters.ts";
import { AnswerGrammar } from "./answer-grammar.ts";
import { choiceEvents } from "./choice-events.ts";
import { generate } from "./generate.ts";
import type { GenerateOptions, ResolvedGeneration } from "./generation-options.ts";
import type { ModelCore } from "./model-core.ts";
import { PromptLookup } from "./prompt-lookup.ts";
import { GenerationRequest } from "./request.ts";
import type { GenerationChoice, GenerationEvent } from "./run-result.ts";
import { type FeatureShare, featureShares } from "./shared-features.ts";
import { ThinkingTokens } from "./thinking.ts";

export type ChoiceEvents = AsyncGenerator<GenerationEvent, GenerationChoice, void>;

/** What answers are made by, and what they share. */
export interface ResolvedChoices extends ResolvedGeneration {
  readonly grammar: CompiledGrammar | null;
  /** The prompt, to look drafts up in; null where nobody does. */
  readonly lookup: PromptLookup | null;
}

export interface OpenedChoices {
  readonly first: ChoiceEvents;
  /** Begins the others: once, when the first has an event, which may be its last. */
  readonly others: () => ChoiceEvents[];
  /** Gives back what others hold that have not begun. */
  readonly leave: () => Promise<void>;
}

/**
 * @param leases one for each answer; all are released with the first where it ends before it has an answer
 * @throws CONTEXT_OVERFLOW, INPUT_INVALID for an empty prompt, OPTION_INVALID for what an option can not be with it
 */
export function openChoices(
  core: ModelCore,
  prompt: DecoderPrompt,
  resolved: ResolvedChoices,
  leases: readonly StagesLease[],
  options: GenerateOptions,
): OpenedChoices {
  const shares = leases.length > 1 ? featureShares(leases.length) : [];
  const { tokenizer, config } = core.parts;
  const { tools = null } = prompt;
  const thinking = new ThinkingTokens(tokenizer);
  const isThinking = thinking.isOpenBehind(prompt.history);
  const { grammar, lookup } = resolved;
  const { endIds } = resolved.tokens;
  const { vocabSize } = config.text;
  const open = (
    index: number,
    leaseOf: (request: GenerationRequest) => StagesLease,
    onProgress: GenerateOptions["onProgress"],
  ): ChoiceEvents => {
    const { sampling } = resolved;
    const seeded = { ...resolved, sampling: { ...sampling, seed: sampling.seed + index } };
    const constraint =
      grammar && new AnswerGrammar({ grammar, thinking, endIds, vocabSize, prompt: prompt.history });
    const drafter = lookup && new PromptLookup(lookup);
    const request = new GenerationRequest(core.parts, prompt, seeded, { drafter, constraint });
    const share = shares[index];
    if (share) request.shareFeatures(share);
    const pieces = generate(core, request, leaseOf(request), { ...options, onProgress });
    const parser = new AnswerParser(tokenizer, { tools, isThinking, newCallId });
    return choiceEvents(pieces, parser, index);
  };
  const [lease, ...others] = leases as [StagesLease, ...StagesLease[]];
  const waiting = new Waiting(others, shares.slice(1));
  // One that has ended at its first token is followed by the others.
  const withOthers = (request: GenerationRequest): StagesLease => ({
    ...lease,
    release: () => (request.finished ? lease.release() : waiting.releaseWith(lease)),
  });
  return {
    first: open(0, withOthers, options.onProgress),
    others: () => waiting.take().map((lease, index) => open(index + 1, () => lease, undefined)),
    leave: () => waiting.release(),
  };
}

/** What answers hold that have not begun: it goes with the first, while the first is all that holds them. */
class Waiting {
  #leases: readonly StagesLease[];
  #shares: readonly FeatureShare[];

  constructor(leases: readonly StagesLease[], shares: readonly FeatureShare[]) {
    this.#leases = leases;
    this.#shares = shares;
  }

  /** They begin. */
  take(): readonly StagesLease[] {
    const leases = this.#leases;
    this.#leases = [];
    this.#shares = [];
    return leases;
  }

  /** May be called again. */
  async release(): Promise<void> {
    for (const share of this.#shares) share.release();
    for (const lease of this.take()) await lease.release();
  }

  async releaseWith(first: StagesLease): Promise<void> {
    await Promise.all([first.release(), this.release()]);
  }
}

/** As OpenAI writes them. */
function newCallId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `call_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
