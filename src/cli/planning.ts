/** What planning a request takes beside its sizes: the checkpoint's programs for a backend, and how they are run. */
import { checkFormats } from "../api/check-formats.ts";
import { type CacheStorage, compileCheckpoint } from "../api/compile-checkpoint.ts";
import { resolveBudgets } from "../api/encoder-token-budgets.ts";
import type { WeightStorage } from "../api/weight-dtype.ts";
import type { Backend } from "../backends/backend.ts";
import type { Processor } from "../index.ts";
import { DEFAULT_PAGE_SIZE, stagePrograms } from "../runtime/compile-stages.ts";
import type { PlanOptions } from "../runtime/request-plan.ts";

interface PlanningOptions extends WeightStorage, CacheStorage, Pick<PlanOptions, "maxTokens"> {
  readonly prefillChunk?: number | undefined;
}

/** For a backend that was probed. Reads no weights. @throws OPTION_INVALID, GRAPH_INVALID */
export function planningOf(backend: Backend, processor: Processor, asked: PlanningOptions) {
  const { checkpoint } = processor;
  checkFormats(backend, checkpoint.config.text, asked);
  const compiled = compileCheckpoint(backend, checkpoint, { ...asked, mtp: true });
  const options: PlanOptions = {
    maxTokens: asked.maxTokens,
    prefillChunk: asked.prefillChunk ?? backend.prefillChunk,
    pageSize: DEFAULT_PAGE_SIZE,
    activationDType: backend.activationDType,
    kvCacheDType: compiled.kvCacheDType,
    encoderBudgets: resolveBudgets(undefined, backend, processor),
  };
  return { programs: stagePrograms(compiled), options };
}
