/** Nothing is timed that computes something else: a small model of the family, alone and in batches, is judged first. */
import type { Backend } from "../../src/backends/backend.ts";
import type { ModelConfig } from "../../src/config/types.ts";
import { compareRuns, TOLERANCES } from "../../src/conformance/compare.ts";
import { WIDE_BLOCK_MODEL_CONFIGS } from "../../src/conformance/model-configs.ts";
import { type ModelResult, runModelConformance } from "../../src/conformance/models.ts";
import { Random } from "../../src/conformance/random.ts";
import { openSeededStages } from "../../src/conformance/seeded-stages.ts";
import { textPositions } from "../../src/mrope/positions.ts";
import { answerOf, type Decoder, type SequenceSlice } from "../../src/runtime/decoder.ts";
import { type KvPool, Sequence } from "../../src/runtime/kv-pool.ts";
import { isGroupedFormat, type WeightFormat } from "../../src/tensor/storage.ts";

/** Prompt lengths of sequences that are decoded together. */
const LENGTHS = [3, 17, 8, 1];

/** @throws when the backend's results are not those of the reference backend, or depend on the batch. */
export async function checkBackend(
  backend: Backend,
  name: string,
  small: ModelConfig,
  timed: WeightFormat,
): Promise<ModelResult> {
  const activation = backend.activationDType as WeightFormat;
  // Narrow weights and blocks take the kernels that will be timed, where their rows are whole blocks.
  const weights = isGroupedFormat(timed) ? timed : activation;
  const config = isGroupedFormat(timed) ? (WIDE_BLOCK_MODEL_CONFIGS[small.family] as ModelConfig) : small;
  const [result] = await runModelConformance(backend, { configs: { [name]: config }, weights });
  if (!result?.ok)
    throw new Error(`${backend.name} is wrong on a small ${name}: ${result?.failure}; not timing it`);
  await checkBatching(backend, config, weights, result);
  return result;
}

async function checkBatching(
  backend: Backend,
  config: ModelConfig,
  weights: WeightFormat,
  { activation, maxRel }: ModelResult,
): Promise<void> {
  const { engine, decoder, pool } = await openSeededStages(backend, config, weights);
  try {
    const random = new Random("batching");
    const ids = LENGTHS.map((length) => Array.from({ length }, () => random.integer(config.text.vocabSize)));
    const alone: Float32Array[] = [];
    for (const one of ids) alone.push(...(await lastLogits(decoder, pool, [one])));
    const together = await lastLogits(decoder, pool, ids);
    const outputs = (logits: readonly Float32Array[]) => ({
      outputs: Object.fromEntries(logits.map((values, index) => [`logits of sequence ${index}`, values])),
      strayWrites: [],
    });
    // Each of the two may be as far from exact as the model's check found, on either side.
    const tolerance = Math.max(TOLERANCES[activation], 2 * maxRel);
    const { failure } = compareRuns(outputs(alone), outputs(together), tolerance);
    if (failure) throw new Error(`${backend.name} decodes a batch differently: ${failure}; not timing it`);
  } finally {
    engine.dispose();
  }
}

/** All but the last token of each sequence is prefilled by itself; the last ones are one step. */
async function lastLogits(
  decoder: Decoder,
  pool: KvPool,
  ids: readonly (readonly number[])[],
): Promise<readonly Float32Array[]> {
  const sequences = ids.map(() => new Sequence(pool));
  const slice = (index: number, inputIds: readonly number[], wantsLogits: boolean): SequenceSlice => {
    const sequence = sequences[index] as Sequence;
    const positionIds = textPositions(sequence.length, inputIds.length, 0);
    return { sequence, inputIds, positionIds, wantsLogits };
  };
  for (const [index, one] of ids.entries()) {
    if (one.length > 1) await decoder.forward([slice(index, one.slice(0, -1), false)]);
  }
  const results = await decoder.forward(ids.map((one, index) => slice(index, one.slice(-1), true)));
  for (const sequence of sequences) sequence.release();
  return results.map((result) => answerOf(result).logits[0] as Float32Array);
}
