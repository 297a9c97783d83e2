/**
 * Judges a backend by the reference backend, which has float32 activations here, on whole models of each family:
 * seeded weights in the type of the activations under judgement or in another format, no checkpoint.
 */
import type { Backend, BackendName, EngineOptions } from "../backends/backend.ts";
import { createReferenceBackend } from "../backends/reference/backend.ts";
import type { ModelConfig } from "../config/types.ts";
import { mropePositions, textPositions } from "../mrope/positions.ts";
import { type GridThw, numMergedTokens, numPatches } from "../processor/grid.ts";
import { answerOf } from "../runtime/decoder.ts";
import { Sequence } from "../runtime/kv-pool.ts";
import { GREEDY } from "../runtime/sampling-rows.ts";
import { toFloat32 } from "../tensor/elements.ts";
import { isBlockFormat, type WeightFormat } from "../tensor/storage.ts";
import { compareRuns, TOLERANCES } from "./compare.ts";
import { type ActivationDType, judgeOf } from "./conformance.ts";
import { MODEL_CONFIGS } from "./model-configs.ts";
import { Random } from "./random.ts";
import { openSeededStages } from "./seeded-stages.ts";

export interface ModelResult {
  readonly model: string;
  readonly backend: BackendName;
  readonly activation: ActivationDType;
  /** Largest differences over vision features and the logits of every step. */
  readonly maxAbs: number;
  readonly maxRel: number;
  /** Steps whose largest logit is the same token. */
  readonly greedyAgreement: number;
  readonly steps: number;
  readonly ok: boolean;
  readonly failure?: string;
}

const STEPS = 12;
const GRIDS: readonly GridThw[] = [
  [1, 4, 6],
  [1, 2, 2],
];
const TEXT_TOKENS = 5;

/** One result a family. With f32 activations every greedy choice must agree; narrower types are only reported. */
export async function runModelConformance(
  backend: Backend,
  {
    engine = {},
    configs = MODEL_CONFIGS,
    weights = backend.activationDType as ActivationDType,
    onModel,
  }: {
    readonly engine?: EngineOptions;
    readonly configs?: Readonly<Record<string, ModelConfig>>;
    /** Default: the type of activations. */
    readonly weights?: WeightFormat;
    /** Called before each, with its place among them. */
    readonly onModel?: (model: string, index: number, count: number) => void;
  } = {},
): Promise<ModelResult[]> {
  const activation = backend.activationDType as ActivationDType;
  const judge = judgeOf(backend);
  const results: ModelResult[] = [];
  const models = Object.entries(configs);
  for (const [index, [model, config]] of models.entries()) {
    onModel?.(model, index, models.length);
    const about = { model, backend: backend.name, activation, steps: STEPS };
    try {
      const expected = await answer(judge, config, weights);
      const found = await answer(backend, config, weights, expected.tokens, engine);
      const tolerance = await allowedDifference(backend, config, weights, expected);
      const difference = compareRuns(run(expected), run(found), tolerance);
      const greedyAgreement = found.tokens.filter((token, step) => token === expected.tokens[step]).length;
      const disagrees = activation === "f32" && greedyAgreement < STEPS;
      const failure =
        difference.failure ?? (disagrees ? `${STEPS - greedyAgreement} greedy tokens differ` : undefined);
      results.push({
        ...about,
        ...difference,
        greedyAgreement,
        ok: failure === undefined,
        ...(failure && { failure }),
      });
    } catch (error) {
      const failed = {
        maxAbs: Number.NaN,
        maxRel: Number.NaN,
        greedyAgreement: 0,
        ok: false,
        failure: String(error),
      };
      results.push({ ...about, ...failed });
    }
  }
  return results;
}

/**
 * What a backend may differ from float32: the tolerance of an op, or, for narrower activations, which add up over a
 * model, twice what storing them costs the reference backend itself. Of activations that are rounded to meet weights in
 * blocks, what the rounding costs: where two backends' values lie on both sides of half a step, which is seldom, a whole
 * step is between them, which moves others over the half.
 */
async function allowedDifference(
  { activationDType, weightOnly }: Pick<Backend, "activationDType" | "weightOnly">,
  config: ModelConfig,
  weights: WeightFormat,
  expected: Answer,
): Promise<number> {
  const activation = activationDType as ActivationDType;
  const isRounded = isBlockFormat(weights) && !weightOnly;
  if (activation === "f32" && !isRounded) return TOLERANCES.f32;
  const judge = createReferenceBackend(activation, { weightOnly: weightOnly || isRounded });
  const narrow = await answer(judge, config, weights, expected.tokens);
  const { maxRel } = compareRuns(run(expected), run(narrow), Number.POSITIVE_INFINITY);
  return Math.max(TOLERANCES[activation], isRounded ? maxRel : 2 * maxRel);
}

interface Answer {
  readonly features: Float32Array;
  readonly logits: readonly Float32Array[];
  /** Chosen greedily in each step. */
  readonly tokens: readonly number[];
}

function run({ features, logits }: Answer) {
  const steps = logits.map((values, step) => [`logits after ${step} tokens`, values] as const);
  return { outputs: { features, ...Object.fromEntries(steps) }, strayWrites: [] };
}

/** Two pictures, some text, then steps that follow `forced` where given: each step is judged by itself. */
async function answer(
  backend: Backend,
  config: ModelConfig,
  weights: WeightFormat,
  forced?: readonly number[],
  engineOptions: EngineOptions = {},
): Promise<Answer> {
  const { engine, encoder, decoder, pool, slab } = await openSeededStages(backend, config, weights, {
    engine: engineOptions,
  });
  try {
    const random = new Random(`prompt ${config.family}`);
    const features = await encoder.encode(GRIDS.map((gridThw) => picture(gridThw, config, random)));
    const { inputIds, types } = prompt(config, random);
    const { spatialMergeSize } = config.vision;
    const { positionIds, ropeDelta } = mropePositions(types, { imageGridThw: GRIDS, spatialMergeSize });
    const rows = Int32Array.from([...types.keys()].filter((row) => types[row] === 1));
    const sequence = new Sequence(pool);
    const logits: Float32Array[] = [];
    const tokens: number[] = [];
    let slice: Parameters<typeof decoder.forward>[0][number] = {
      sequence,
      inputIds,
      positionIds,
      features: { sources: rows.map((_, index) => features.firstRow + index), rows },
      wantsLogits: true,
      sampling: [GREEDY],
    };
    for (let step = 0; step < STEPS; step++) {
      const answer = answerOf((await decoder.forward([slice]))[0]);
      logits.push(answer.logits[0] as Float32Array);
      tokens.push(answer.tokens[0] as number);
      const next = (forced ?? tokens)[step] as number;
      slice = {
        sequence,
        inputIds: [next],
        positionIds: textPositions(sequence.length, 1, ropeDelta),
        wantsLogits: true,
        sampling: [GREEDY],
      };
    }
    const { tensor, firstRow } = features.deviceRows();
    const values = await engine.read(tensor, firstRow, features.rows);
    return { features: toFloat32(slab.dtype, values), logits, tokens };
  } finally {
    engine.dispose();
  }
}

function picture(gridThw: GridThw, { vision }: ModelConfig, random: Random) {
  const patchElements = vision.inChannels * vision.temporalPatchSize * vision.patchSize ** 2;
  const length = numPatches(gridThw) * patchElements;
  return { gridThw, pixelValues: Float32Array.from({ length }, () => random.normal()) };
}

/** Each picture's tokens between text. */
function prompt(config: ModelConfig, random: Random) {
  const word = () => random.integer(config.text.vocabSize);
  const text = () => Array.from({ length: TEXT_TOKENS }, () => ({ id: word(), type: 0 }));
  const pictures = GRIDS.map((grid) =>
    Array.from({ length: numMergedTokens(grid, config.vision.spatialMergeSize) }, () => ({
      id: config.tokens.image,
      type: 1,
    })),
  );
  const tokens = [...text(), ...pictures.flatMap((tokens) => [...tokens, ...text()])];
  return { inputIds: tokens.map(({ id }) => id), types: tokens.map(({ type }) => type) };
}
