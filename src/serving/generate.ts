/** Generation: one request, encoded, then planned, run and applied step by step until something ends it. */
import { throwIfAborted } from "../errors.ts";
import { answerOf, type SequenceSlice } from "../runtime/decoder.ts";
import type { StagesLease } from "./adapters.ts";
import type { GenerateOptions } from "./generation-options.ts";
import type { GeneratedPiece, GenerationResult } from "./generation-result.ts";
import type { ModelCore } from "./model-core.ts";
import type { GenerationRequest } from "./request.ts";

/** @throws OPTION_INVALID for an adapter that is not there; OUT_OF_MEMORY, ABORTED, DISPOSED; the model stays usable. */
export async function* generate(
  core: ModelCore,
  request: GenerationRequest,
  asked: GenerateOptions,
): AsyncGenerator<GeneratedPiece, GenerationResult, void> {
  const options = { ...asked, signal: core.stopSignal(asked.signal) };
  const stages = await core.adapters.acquire(options.adapters);
  try {
    await encode(core, stages, request, options);
    while (!request.finished) {
      const slice = request.nextSlice(core.parts.prefillChunk);
      const running = { signal: options.signal, onProgress: prefillReport(request, slice, options) };
      const [result] = await core.run(() => stages.decoder.forward([slice], running));
      throwIfAborted(options.signal);
      const piece = request.accept(answerOf(result));
      if (piece) yield piece;
    }
    return request.result();
  } catch (error) {
    // What the disposal stopped was not aborted by the caller.
    core.throwIfDisposed();
    throw error;
  } finally {
    // An engine that was disposed has freed everything.
    if (!core.disposed) request.release();
    await stages.release();
  }
}

async function encode(
  core: ModelCore,
  { encoder }: StagesLease,
  request: GenerationRequest,
  { signal, onProgress }: GenerateOptions,
): Promise<void> {
  const visionItems = request.takeVisionItems();
  const report = (share: number) => onProgress?.({ stage: "vision", share });
  const features = await core.run(async () =>
    visionItems.length === 0 ? null : encoder.encode(visionItems, { signal, onProgress: report }),
  );
  request.takeFeatures(features);
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
