/** Judges a backend by the reference backend, op by op, over all cases. */
import type { Backend, BackendName, Engine, EngineOptions } from "../backends/backend.ts";
import { unsupported } from "../backends/check-support.ts";
import { createReferenceBackend } from "../backends/reference/backend.ts";
import { throwIfAborted } from "../errors.ts";
import { LOCAL_OPS, type LocalOp } from "../graph/ops.ts";
import type { WeightFormat } from "../tensor/storage.ts";
import { caseName, type OpCase } from "./case.ts";
import { OP_CASES } from "./cases.ts";
import { compareRuns, type Difference, TOLERANCES } from "./compare.ts";
import { caseProgram, runCase } from "./harness.ts";

export type ActivationDType = keyof typeof TOLERANCES;

export interface ConformanceResult extends Difference {
  readonly op: LocalOp;
  /** Finds the case again, and its seed. */
  readonly caseName: string;
  readonly backend: BackendName;
  readonly activation: ActivationDType;
  readonly weight: WeightFormat;
  /** Why the case was not run: the backend's own answer. */
  readonly skippedReason?: string;
}

export interface ConformanceOptions {
  /** All ops when it is left out. */
  readonly ops?: readonly LocalOp[];
  /** The backend's usual type when it is left out. */
  readonly activation?: ActivationDType;
  readonly engine?: EngineOptions;
  readonly signal?: AbortSignal;
  /** Called after each case, with the share of all that are done. */
  readonly onResult?: (result: ConformanceResult, share: number) => void;
}

/**
 * One result a case. A failing case does not stop the others.
 * @throws BACKEND_UNAVAILABLE when the backend can not be opened; ABORTED.
 */
export async function runConformance(
  backend: Backend,
  options: ConformanceOptions = {},
): Promise<ConformanceResult[]> {
  const activation = options.activation ?? (backend.activationDType as ActivationDType);
  const engine = await backend.open(options.engine);
  const judge = await judgeOf(backend).open();
  const results: ConformanceResult[] = [];
  try {
    const cases = (options.ops ?? LOCAL_OPS).flatMap((op) => OP_CASES[op]());
    for (const test of cases) {
      throwIfAborted(options.signal);
      const result = await judgeCase(engine, judge, test, activation);
      results.push(result);
      options.onResult?.(result, results.length / cases.length);
    }
    return results;
  } finally {
    engine.dispose();
    judge.dispose();
  }
}

/** The reference backend, which multiplies weights in blocks as the one under judgement says that it does. */
export function judgeOf({ weightOnly = false }: Pick<Backend, "weightOnly">): Backend {
  return createReferenceBackend("f32", { weightOnly });
}

/** Relative difference that a case allows a backend. */
export function toleranceOf(
  { exact }: Pick<OpCase, "exact">,
  activation: ActivationDType,
  { weightOnly = false }: Pick<Backend, "weightOnly">,
): number {
  return exact === true || (exact === "by integers" && !weightOnly) ? 0 : TOLERANCES[activation];
}

async function judgeCase(
  engine: Engine,
  judge: Engine,
  test: OpCase,
  activation: ActivationDType,
): Promise<ConformanceResult> {
  const { backend } = engine;
  const { op, weight } = test;
  const about = { op, caseName: caseName(test), backend: backend.name, activation, weight };
  try {
    const program = caseProgram(backend, test, activation);
    const lacking = unsupported(program, backend);
    if (lacking) return { ...about, maxAbs: 0, maxRel: 0, ok: true, skippedReason: lacking.reason };
    const expected = await runCase(judge, test, activation);
    const found = await runCase(engine, test, activation, program);
    return { ...about, ...compareRuns(expected, found, toleranceOf(test, activation, backend)) };
  } catch (error) {
    return { ...about, maxAbs: Number.NaN, maxRel: Number.NaN, ok: false, failure: String(error) };
  }
}
