/** From a checkpoint to a model that answers: graphs, programs, weights on the device. */
import type { BackendName, DeviceTensor, Engine } from "../backends/backend.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { resolveWeights } from "../checkpoint/resolve-weights.ts";
import type { WeightReader } from "../checkpoint/weight-reader.ts";
import { compileGraph } from "../compiler/compile.ts";
import type { Program } from "../compiler/program.ts";
import { GlimtError, throwIfAborted } from "../errors.ts";
import type { OpName } from "../graph/ops.ts";
import { buildDecoder } from "../models/decoder.ts";
import { buildVisionTower } from "../models/vision-tower.ts";
import type { WeightDType } from "../tensor/dtype.ts";
import { chooseBackend } from "./choose-backend.ts";
import { Decoder } from "./decoder.ts";
import { rejectUnknownOptions } from "./generation-options.ts";
import { KvPool } from "./kv-pool.ts";
import { MEDIA_OPTION_NAMES, type MediaOptions } from "./media-options.ts";
import { Model } from "./model.ts";
import { ModelCore } from "./model-core.ts";
import type { ModelLocation, Platform } from "./platform.ts";
import { Processor } from "./processor.ts";
import { VisionEncoder } from "./vision-encoder.ts";
import { storedWeightDType } from "./weight-dtype.ts";

export const DEFAULT_PAGE_SIZE = 16;
const DEFAULT_PREFILL_CHUNK = 512;

export interface LoadOptions extends MediaOptions {
  /** "auto" takes the best that works here. */
  readonly backend?: BackendName | "auto" | undefined;
  /** Storage of the weights; default: as in the checkpoint. */
  readonly dtype?: WeightDType | undefined;
  /** Worker threads of a CPU backend. */
  readonly threads?: number | undefined;
  /** Most prompt tokens read in one go (default 512): memory and the time to cancel grow with it, results do not change. */
  readonly prefillChunk?: number | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface LoadProgress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
  /** The weight that was just loaded. */
  readonly weight: string;
}

const LOAD_OPTION_NAMES = [
  ...MEDIA_OPTION_NAMES,
  "backend",
  "dtype",
  "threads",
  "prefillChunk",
  "onProgress",
  "signal",
];
const WEIGHT_DTYPES: readonly string[] = ["f32", "bf16", "f16"];

export async function loadModelOn(
  platform: Platform,
  location: ModelLocation,
  options: LoadOptions = {},
): Promise<Model> {
  const start = performance.now();
  const prefillChunk = checkOptions(options);
  const { backend, refused } = await chooseBackend(platform.backends, options.backend ?? "auto");
  const checkpoint = await openCheckpoint(await platform.openFiles(location), { signal: options.signal });
  const { media, rounding, maxImagePixels, maxDecodedPixels } = options;
  const processor = await Processor.open(checkpoint, platform, {
    media,
    rounding,
    maxImagePixels,
    maxDecodedPixels,
  });

  const { activationDType } = backend;
  const graphOptions = { activationDType, weightDType: storedWeightDType(checkpoint, options.dtype) };
  const weight = options.dtype ?? checkpoint.mainDType;
  const compileOptions = {
    hasOp: (op: OpName) => backend.supports(op, { activation: activationDType, weight }).ok,
  };
  const vision = compileGraph(buildVisionTower(checkpoint.config.vision, graphOptions), compileOptions);
  const decoderGraph = buildDecoder(checkpoint.config, { ...graphOptions, pageSize: DEFAULT_PAGE_SIZE });
  const decoder = compileGraph(decoderGraph, compileOptions);
  const resolved = resolveWeights(checkpoint, [...vision.weights, ...decoder.weights]);

  const engine = await backend.open(options.threads === undefined ? {} : { threads: options.threads });
  try {
    const weights = await uploadWeights(engine, [vision, decoder], resolved.weights, options);
    const { numHiddenLayers, numKeyValueHeads, headDim } = checkpoint.config.text;
    const pool = new KvPool(engine, {
      numLayers: numHiddenLayers,
      pageSize: DEFAULT_PAGE_SIZE,
      pageElements: 2 * numKeyValueHeads * DEFAULT_PAGE_SIZE * headDim,
      dtype: activationDType,
    });
    const core = new ModelCore({
      config: checkpoint.config,
      generation: checkpoint.generation,
      engine,
      encoder: new VisionEncoder(engine, engine.compile(vision, weights), checkpoint.config.vision),
      decoder: new Decoder(engine, engine.compile(decoder, weights), checkpoint.config.text, pool),
      pool,
      tokenizer: processor.tokenizer,
      prefillChunk,
    });
    return new Model(core, processor, {
      dtype: weight,
      refused,
      loadMilliseconds: performance.now() - start,
    });
  } catch (error) {
    engine.dispose();
    throw error;
  }
}

/** Uploads in the order of the files, so that each is read once from front to back. */
async function uploadWeights(
  engine: Engine,
  programs: readonly Program[],
  weights: readonly WeightReader[],
  { signal, onProgress }: LoadOptions,
): Promise<Map<string, DeviceTensor>> {
  const roles = new Map(
    programs.flatMap(({ buffers }) => buffers.map(({ name, role }) => [name, role] as const)),
  );
  const totalBytes = weights.reduce((sum, { bytes }) => sum + bytes, 0);
  const uploaded = new Map<string, DeviceTensor>();
  let loadedBytes = 0;
  for (const weight of [...weights].sort((a, b) => a.position - b.position)) {
    throwIfAborted(signal);
    const { name } = weight.spec;
    uploaded.set(name, await engine.uploadWeight(weight, roles.get(name) ?? "data"));
    loadedBytes += weight.bytes;
    onProgress?.({ loadedBytes, totalBytes, weight: name });
  }
  return uploaded;
}

function checkOptions(options: LoadOptions): number {
  rejectUnknownOptions(options, LOAD_OPTION_NAMES, "loadModel");
  if (options.dtype !== undefined && !WEIGHT_DTYPES.includes(options.dtype)) {
    throw new GlimtError(
      "OPTION_INVALID",
      `dtype is "${options.dtype}", expected ${WEIGHT_DTYPES.join(", ")}.`,
    );
  }
  for (const name of ["threads", "prefillChunk"] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isInteger(value) && value >= 1)) {
      throw new GlimtError("OPTION_INVALID", `${name} is ${value}, expected a whole number from 1.`);
    }
  }
  return options.prefillChunk ?? DEFAULT_PREFILL_CHUNK;
}
