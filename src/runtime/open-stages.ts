/** The two stages of a model on a device: programs compiled, weights uploaded, an empty KV pool. */
import type { Backend, DeviceTensor, Engine, EngineOptions, WeightRows } from "../backends/backend.ts";
import { type CompileOptions, compileGraph } from "../compiler/compile.ts";
import type { ModelConfig } from "../config/types.ts";
import type { Graph } from "../graph/graph.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import { buildDecoder } from "../models/decoder.ts";
import { buildVisionTower } from "../models/vision-tower.ts";
import type { EncoderBudget } from "../mrope/vision-metadata.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import type { WeightDType } from "../tensor/dtype.ts";
import { storageBytes } from "../tensor/storage.ts";
import { chooseBackend } from "./choose-backend.ts";
import { Decoder } from "./decoder.ts";
import { type KvCacheSize, type LoadMemory, loadMemory, storedBytes } from "./device-memory.ts";
import { FeatureSlab } from "./feature-slab.ts";
import { KvPool, pageBytes } from "./kv-pool.ts";
import { VisionEncoder } from "./vision-encoder.ts";

/** Tokens in a page of the KV cache. */
export const DEFAULT_PAGE_SIZE = 16;

export interface Stages extends ModelGraphs {
  readonly engine: Engine;
  readonly encoder: VisionEncoder;
  readonly decoder: Decoder;
  readonly pool: KvPool;
  readonly slab: FeatureSlab;
  /** The model's weights on the device, by the names its programs bind them with. */
  readonly weights: ReadonlyMap<string, DeviceTensor>;
}

/** What the stages' programs are compiled from, and how. */
export interface ModelGraphs {
  readonly graphs: { readonly vision: Graph; readonly decoder: Graph };
  readonly compile: CompileOptions;
}

export interface StageOptions {
  /** Storage type of a weight made of these checkpoint tensors. */
  readonly weightDType: (tensors: readonly string[]) => WeightDType;
  /** Gives the rows of every weight asked for, in the order to upload them; called before an engine is opened. */
  readonly weightRows: (specs: readonly WeightSpec[]) => readonly WeightRows[];
  readonly engine?: EngineOptions;
  /** Before the first weight and after each; may throw to stop. */
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly compile?: CompileOptions;
  /** Memory to take for the KV cache at once. */
  readonly kvCache?: KvCacheSize | undefined;
  /** Sizes that the encoder pads its runs to, ascending; default: none. */
  readonly encoderBudgets?: readonly EncoderBudget[];
}

export interface LoadProgress {
  /** Bytes in the checkpoint. */
  readonly loadedBytes: number;
  readonly totalBytes: number;
  /** The weight that was just loaded; absent in the first report, before any. */
  readonly weight?: string;
  /** What loading takes of the device: it fits, as far as the device can tell. */
  readonly memory: LoadMemory;
}

/** @throws what compiling, `weightRows`, opening and uploading throw; nothing stays allocated then. */
export async function openStages(
  backend: Backend,
  config: ModelConfig,
  options: StageOptions,
): Promise<Stages> {
  // What a backend supports decides which ops are fused, and may be known only once it was probed.
  await chooseBackend([backend], backend.name);
  const model = buildModel(backend, config, options);
  const { vision, decoder } = compileModel(model);
  const rows = options.weightRows([...vision.weights, ...decoder.weights]);
  const engine = await backend.open(options.engine);
  try {
    const { numHiddenLayers, numKeyValueHeads, headDim } = config.text;
    const pool = new KvPool(engine, {
      numLayers: numHiddenLayers,
      pageSize: DEFAULT_PAGE_SIZE,
      pageElements: 2 * numKeyValueHeads * DEFAULT_PAGE_SIZE * headDim,
      dtype: backend.activationDType,
    });
    const stored = storedBytes(rows.map(({ spec }) => spec));
    const memory = loadMemory(engine, stored, pool.layout, options.kvCache);
    const report = (progress: Omit<LoadProgress, "memory">) => options.onProgress?.({ ...progress, memory });
    const weights = await uploadWeights(engine, [vision, decoder], rows, report);
    pool.reserve(memory.kvCacheBytes / pageBytes(pool.layout));
    const slab = new FeatureSlab(engine, backend.activationDType, config.text.hiddenSize);
    const encoder = engine.load(vision, weights);
    return {
      ...model,
      weights,
      engine,
      encoder: new VisionEncoder(engine, encoder, config.vision, slab, options.encoderBudgets),
      decoder: new Decoder(engine, engine.load(decoder, weights), config.text, pool, slab),
      pool,
      slab,
    };
  } catch (error) {
    engine.dispose();
    throw error;
  }
}

/** The graphs that `openStages` compiles; fused ops that the backend, which was probed, lacks will be expanded. */
export function buildModel(
  backend: Pick<Backend, "activationDType" | "supports">,
  config: ModelConfig,
  { weightDType, compile }: Pick<StageOptions, "weightDType" | "compile">,
): ModelGraphs {
  const { activationDType } = backend;
  const graph = { activationDType, weightDType };
  return {
    graphs: {
      vision: buildVisionTower(config.vision, graph),
      decoder: buildDecoder(config, { ...graph, pageSize: DEFAULT_PAGE_SIZE }),
    },
    compile: { supports: (query) => backend.supports(query).ok, ...compile },
  };
}

export function compileModel({ graphs, compile }: ModelGraphs): {
  vision: VerifiedProgram;
  decoder: VerifiedProgram;
} {
  return {
    vision: compileGraph(graphs.vision, compile),
    decoder: compileGraph(graphs.decoder, compile),
  };
}

async function uploadWeights(
  engine: Engine,
  programs: readonly VerifiedProgram[],
  rows: readonly WeightRows[],
  report: (progress: Omit<LoadProgress, "memory">) => void,
): Promise<Map<string, DeviceTensor>> {
  const roles = new Map(
    programs.flatMap(({ buffers }) => buffers.map(({ name, role }) => [name, role] as const)),
  );
  const uploaded = new Map<string, DeviceTensor>();
  const bytesOf = ({ rows, cols, dtype }: WeightRows) => storageBytes(dtype, rows, cols);
  const totalBytes = rows.reduce((sum, weight) => sum + bytesOf(weight), 0);
  let loadedBytes = 0;
  report({ loadedBytes, totalBytes });
  for (const weight of rows) {
    const { name } = weight.spec;
    uploaded.set(name, await engine.uploadWeight(weight, roles.get(name) ?? "data"));
    loadedBytes += bytesOf(weight);
    report({ loadedBytes, totalBytes, weight: name });
  }
  return uploaded;
}
