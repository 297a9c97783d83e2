/** A loaded model beside what transformers made of the same checkpoint, case by case. */
import type { TensorStorage } from "../checkpoint/tensor-storage.ts";
import { GlimtError } from "../errors.ts";
import type { Processor } from "../prompt/processor.ts";
import type { ModelCore } from "../serving/model-core.ts";
import type { Check } from "./check.ts";
import type { Expected, ExpectedValues } from "./expected.ts";
import type { CaseReport } from "./report.ts";
import { verifyAnswer } from "./verify-answer.ts";
import { verifyPrompt } from "./verify-prompt.ts";

export interface VerifyOptions {
  readonly signal?: AbortSignal | undefined;
  /** How far it is, from 0 to 1. */
  readonly onProgress?: ((what: string, share: number) => void) | undefined;
}

/** @param core of the model; null compares its processor alone. @throws OUT_OF_MEMORY, CHECKPOINT_INVALID, ABORTED, DISPOSED */
export async function verifyModel(
  {
    core,
    processor,
    weights,
  }: { core: ModelCore | null; processor: Processor; weights: readonly TensorStorage[] },
  { cases, dtype }: Expected,
  { signal, onProgress }: VerifyOptions = {},
): Promise<CaseReport[]> {
  const reports: CaseReport[] = [];
  for (const [index, one] of cases.entries()) {
    const { name, skipped: reason } = one;
    if (reason !== null) {
      reports.push({ name, skipped: reason, checks: [] });
      continue;
    }
    const tell = (share: number) => onProgress?.(name, (index + share) / cases.length);
    tell(0);
    const values = await one.read(signal);
    const unread = whyUnread(processor, values);
    if (unread !== null) {
      reports.push({ name, skipped: unread, checks: [] });
      continue;
    }
    const checks = await asChecks(() => verifyPrompt(processor, values, signal));
    if (core) {
      const { engine, pool } = core.parts;
      const computed = {
        judge: dtype,
        activations: engine.backend.activationDType,
        kvCache: pool.layout.dtype,
        isOtherFile: processor.checkpoint.weightFiles.some((file) => /\.gguf$/i.test(file.name)),
      };
      const onStep = (step: number) => tell(step / (values.answer?.greedyIds.length ?? 1));
      checks.push(
        ...(await asChecks(() => verifyAnswer(core, values, { computed, weights, signal, onStep }))),
      );
    }
    reports.push({ name, skipped: null, checks });
  }
  return reports;
}

function whyUnread({ checkpoint }: Processor, { imageGridThw, videoGridThw }: ExpectedValues): string | null {
  return imageGridThw.length + videoGridThw.length > 0 ? checkpoint.config.textOnly : null;
}

/** What the judge could process and we refuse is wrong; what says nothing of the model ends the comparison. */
async function asChecks(compare: () => Promise<Check[]>): Promise<Check[]> {
  try {
    return await compare();
  } catch (error) {
    if (!(error instanceof GlimtError) || ENDING.includes(error.code)) throw error;
    return [{ stage: "ids", verdict: "wrong", detail: `${error.message} [${error.code}]` }];
  }
}

const ENDING: readonly GlimtError["code"][] = [
  "ABORTED",
  "CHECKPOINT_INVALID",
  "DEVICE_FAILED",
  "DISPOSED",
  "OUT_OF_MEMORY",
];
