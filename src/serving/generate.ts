/** Generation: one request, encoded, then read and answered step by step, beside others, until something ends it. */
import { throwIfAborted } from "../errors.ts";
import type { SequenceSlice } from "../runtime/decoder.ts";
import { isOutOfMemory } from "../runtime/out-of-memory.ts";
import type { StagesLease } from "./adapters.ts";
import type { GenerateOptions } from "./generation-options.ts";
import type { GeneratedPiece, RequestResult } from "./generation-result.ts";
import type { ModelCore } from "./model-core.ts";
import type { GenerationRequest } from "./request.ts";

/** What a generation holds of its model: pages, features, an adapter's programs. It knows nothing of the generator. */
class Holding {
  readonly #core: ModelCore;
  readonly #request: GenerationRequest;
  readonly #leaveSteps: () => void;
  readonly #leaveModel: () => void;
  /** Fires when the caller's does, and when the model is disposed. */
  readonly signal: AbortSignal;
  #stages: StagesLease | null;

  constructor(
    core: ModelCore,
    request: GenerationRequest,
    stages: StagesLease,
    given: AbortSignal | undefined,
  ) {
    this.#core = core;
    this.#request = request;
    this.#stages = stages;
    this.#leaveSteps = core.steps.join(request);
    const { signal, leave } = core.enter(given);
    this.signal = signal;
    this.#leaveModel = leave;
  }

  /** May be called again. */
  async release(): Promise<void> {
    const stages = this.#stages;
    this.#stages = null;
    this.#leaveSteps();
    this.#leaveModel();
    // An engine that was disposed has freed everything.
    if (!this.#core.disposed) this.#request.release();
    await stages?.release();
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
  const holding = new Holding(core, request, stages, options.signal);
  const pieces = answer(core, request, stages, options, holding);
  forgotten.register(pieces, holding, holding);
  return pieces;
}

async function* answer(
  core: ModelCore,
  request: GenerationRequest,
  stages: StagesLease,
  asked: GenerateOptions,
  holding: Holding,
): AsyncGenerator<GeneratedPiece, RequestResult, void> {
  const { signal } = holding;
  const options = { ...asked, signal };
  try {
    await reserve(core, stages, request);
    await encode(core, stages, request, options);
    const reportOf = (slice: SequenceSlice) => prefillReport(request, slice, options);
    while (!request.finished) {
      const result = await core.steps.step(stages.decoder, request, { signal, reportOf }).catch((error) => {
        throw isOutOfMemory(error) ? request.outgrown(error) : error;
      });
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

/** What does not fit memory is refused before anything is computed. */
async function reserve(core: ModelCore, { decoder }: StagesLease, request: GenerationRequest): Promise<void> {
  const { prefillChunk } = core.parts;
  await core.runWithMemory(async () => decoder.reserve({ ...request.promptSizes, prefillChunk }));
}

async function encode(
  core: ModelCore,
  { encoder }: StagesLease,
  request: GenerationRequest,
  { signal, onProgress }: GenerateOptions,
): Promise<void> {
  const visionItems = request.takeVisionItems();
  const report = (share: number) => onProgress?.({ stage: "vision", share });
  const encodeAll = () =>
    core.runWithMemory(async () =>
      visionItems.length === 0 ? null : encoder.encode(visionItems, { signal, onProgress: report }),
    );
  request.takeFeatures(await request.encoded(encodeAll));
}

/** Tells how much of the prompt is read while a slice of it runs. */
function prefillReport(
  { tokensRead, promptTokens }: GenerationRequest,
  { inputIds }: SequenceSlice,
  { onProgress }: GenerateOptions,
): ((share: number) => void) | undefined {
  if (tokensRead >= promptTokens) return undefined;
  return (share) =>
    onProgress?.({ stage: "prefill", share: (tokensRead + share * inputIds.length) / promptTokens });
}
