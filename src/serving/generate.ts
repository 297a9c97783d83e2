/** Generation: one request, asked for step by step, beside others, until something ends it. */
import { throwIfAborted } from "../errors.ts";
import { mediaIdentities } from "../prompt/media-identity.ts";
import type { SequenceSlice } from "../runtime/decoder.ts";
import type { StagesLease } from "./adapters.ts";
import type { GenerateOptions } from "./generation-options.ts";
import type { GeneratedPiece, RequestResult } from "./generation-result.ts";
import type { ModelCore } from "./model-core.ts";
import type { GenerationRequest } from "./request.ts";
import type { Place } from "./step-batcher.ts";

/** What a generation holds of its model: pages, features, an adapter's programs. It knows nothing of the generator. */
class Holding {
  readonly place: Place;
  readonly #leaveModel: () => void;
  /** Fires when the caller's does, and when the model is disposed. */
  readonly signal: AbortSignal;
  #stages: StagesLease | null;

  constructor(
    core: ModelCore,
    request: GenerationRequest,
    stages: StagesLease,
    { priority = 0, signal: given }: GenerateOptions,
  ) {
    this.#stages = stages;
    this.place = core.steps.join(request, stages, priority);
    const { signal, leave } = core.enter(given);
    this.signal = signal;
    this.#leaveModel = leave;
  }

  /** May be called again. Nobody who gave up waits for what it takes: that goes behind the step that runs. */
  async release(): Promise<void> {
    const stages = this.#stages;
    this.#stages = null;
    this.place.leave();
    this.#leaveModel();
    const released = stages?.release();
    if (this.signal.aborted) released?.catch(() => undefined);
    else await released;
  }
}

/** Takes back what a generator holds that was neither finished nor returned, and that nobody can reach any more. */
const forgotten = new FinalizationRegistry<Holding>((holding) => {
  // There is nobody left to tell of an error.
  holding.release().catch(() => undefined);
});

/**
 * @param stages to run it on; released when it ends
 * @throws OUT_OF_MEMORY, ABORTED, DISPOSED; the model stays usable.
 */
export function generate(
  core: ModelCore,
  request: GenerationRequest,
  stages: StagesLease,
  options: GenerateOptions,
): AsyncGenerator<GeneratedPiece, RequestResult, void> {
  const holding = new Holding(core, request, stages, options);
  const pieces = answer(core, request, stages, options, holding);
  forgotten.register(pieces, holding, holding);
  return pieces;
}

async function* answer(
  core: ModelCore,
  request: GenerationRequest,
  { adapters }: StagesLease,
  { onProgress }: GenerateOptions,
  holding: Holding,
): AsyncGenerator<GeneratedPiece, RequestResult, void> {
  const { place, signal } = holding;
  const onEncoding = (share: number) => onProgress?.({ stage: "vision", share });
  const reportOf = (slice: SequenceSlice) => prefillReport(request, slice, onProgress);
  try {
    const { prefixCache, encoderCache } = core.parts;
    if (prefixCache || encoderCache.isOn) {
      request.identify({ adapters, media: await mediaIdentities(request.visionItems, signal) }, prefixCache);
    }
    while (!request.finished) {
      await request.prepare();
      const result = await place.next({ signal, onEncoding, reportOf });
      for (const piece of request.accept(result)) {
        throwIfAborted(signal);
        yield piece;
      }
    }
    return request.result();
  } catch (error) {
    // What the disposal stopped was not aborted by the caller.
    core.throwIfDisposed();
    throw error;
  } finally {
    forgotten.unregister(holding);
    await holding.release();
  }
}

/** Tells how much of the prompt is read while a slice of it runs. */
function prefillReport(
  { tokensRead, promptTokens }: GenerationRequest,
  { inputIds }: SequenceSlice,
  onProgress: GenerateOptions["onProgress"],
): ((share: number) => void) | undefined {
  if (tokensRead >= promptTokens) return undefined;
  return (share) =>
    onProgress?.({ stage: "prefill", share: (tokensRead + share * inputIds.length) / promptTokens });
}
