/** From a checkpoint to a model that answers. */
import type { Backend, BackendName, EngineOptions } from "../backends/backend.ts";
import { checkThreads } from "../backends/check-threads.ts";
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import type { HttpOptions } from "../checkpoint/http.ts";
import type { ModelLocation } from "../checkpoint/location.ts";
import { mergeAdapters } from "../checkpoint/merged-weight.ts";
import { resolveWeights } from "../checkpoint/resolve-weights.ts";
import { GlimtError, throwIfAborted } from "../errors.ts";
import type { EncoderBudget } from "../mrope/vision-metadata.ts";
import { MEDIA_OPTION_NAMES, type MediaOptions } from "../prompt/media-options.ts";
import { Processor } from "../prompt/processor.ts";
import { chooseBackend } from "../runtime/choose-backend.ts";
import { stageWeights } from "../runtime/compile-stages.ts";
import { checkKvCacheSize, type KvCacheSize } from "../runtime/device-memory.ts";
import { encoderBudget, encoderBudgets } from "../runtime/encoder-batch.ts";
import { type LoadProgress, openStages } from "../runtime/open-stages.ts";
import type { AdapterAtLoad } from "../serving/adapter-options.ts";
import { ModelCore } from "../serving/model-core.ts";
import type { WeightDType } from "../tensor/dtype.ts";
import { rejectUnknownOptions } from "../unknown-options.ts";
import { compileCheckpoint } from "./compile-checkpoint.ts";
import { checkMerging, openMerged } from "./merged-adapters.ts";
import { Model } from "./model.ts";
import type { Platform } from "./platform.ts";

/** Features of an image of 224 x 224 pixels with patches of 14. */
const SMALLEST_BUDGET = 64;
/**
 * Default where runs are replayed: up to about here launching a block's kernels takes the host as long as they run.
 * Above, replaying saves nothing, and padding costs up to as much again (docs/gpu.md reckons it).
 */
const REPLAYED_BUDGETS = [SMALLEST_BUDGET, 128, 256];

export interface LoadOptions extends MediaOptions {
  /** Sent when the checkpoint is read from an address, e.g. Authorization for a private one. Adapters get none of them. */
  readonly headers?: HttpOptions["headers"];
  /** "auto" takes the best that works here. */
  readonly backend?: BackendName | "auto" | undefined;
  /** Storage of the weights; default: as in the checkpoint. */
  readonly dtype?: WeightDType | undefined;
  /** Threads of a CPU backend; no backend has more than one yet, so that a larger number is OPTION_INVALID. */
  readonly threads?: number | undefined;
  /**
   * Most prompt tokens read in one go (default 512, on CUDA 2048): memory and the time to cancel grow with it, results do
   * not change.
   */
  readonly prefillChunk?: number | undefined;
  /**
   * Tokens of vision features that the encoder's runs are padded to, ascending: pictures of many sizes then run at a
   * few sizes, so that what a backend prepares for a size is used again. "auto": doubling from a small image to the
   * largest one. Default: 64, 128 and 256 where runs are replayed as graphs (CUDA), elsewhere none: nothing is padded.
   */
  readonly encoderTokenBudgets?: readonly number[] | "auto" | undefined;
  /** Memory to take for the KV cache when the model is loaded. Default: none, it grows with what is asked for. */
  readonly kvCache?: KvCacheSize | undefined;
  /** LoRA adapters to load with the model: to be asked for by request, or merged into the weights. */
  readonly adapters?: readonly AdapterAtLoad[] | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

const LOAD_OPTION_NAMES = [
  ...MEDIA_OPTION_NAMES,
  "headers",
  "backend",
  "dtype",
  "threads",
  "prefillChunk",
  "encoderTokenBudgets",
  "kvCache",
  "adapters",
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
  checkOptions(options);
  const { backend, refused } = await chooseBackend(platform.backends, options.backend ?? "auto");
  const files = await platform.openFiles(location, { headers: options.headers });
  const checkpoint = await openCheckpoint(files, { signal: options.signal });
  const { media, rounding, maxImagePixels, maxDecodedPixels, limits } = options;
  const processor = await Processor.open(checkpoint, platform, {
    media,
    rounding,
    maxImagePixels,
    maxDecodedPixels,
    limits,
  });

  const { merged, separate } = await openMerged(platform, options.adapters ?? [], options.signal);
  const compiled = compileCheckpoint(backend, checkpoint, options.dtype);
  const specs = stageWeights(compiled);
  checkMerging(merged, checkpoint.config.architecture, specs);
  const { weights, aside } = resolveWeights(checkpoint, specs);
  // In the order of the files, so that each is read once from front to back.
  const rows = mergeAdapters(weights, merged).sort((a, b) => a.position - b.position);
  const stages = await openStages(backend, compiled, rows, {
    engine: engineOptions(options),
    kvCache: options.kvCache,
    encoderBudgets: resolveBudgets(options.encoderTokenBudgets, backend, processor),
    onProgress: (progress) => {
      options.onProgress?.(progress);
      throwIfAborted(options.signal);
    },
  });
  const core = new ModelCore({
    ...stages,
    generation: checkpoint.generation,
    tokenizer: processor.tokenizer,
    openFiles: platform.openFiles,
    merged: merged.map(({ facts }) => facts),
    prefillChunk: options.prefillChunk ?? backend.prefillChunk,
  });
  try {
    for (const source of separate) await core.adapters.load(source, options.signal);
  } catch (error) {
    await core.dispose();
    throw error;
  }
  const loadMilliseconds = performance.now() - start;
  const loaded = { weights: weights.length, bytes: stages.loadedBytes, aside };
  const dtype = options.dtype ?? checkpoint.mainDType;
  return new Model(core, processor, { dtype, refused, loadMilliseconds, loaded });
}

/** Sizes that the encoder pads its runs to on a backend. */
export function resolveBudgets(
  asked: LoadOptions["encoderTokenBudgets"],
  { replaysRuns = false }: Pick<Backend, "replaysRuns">,
  { checkpoint, sizes }: Processor,
): EncoderBudget[] {
  const { spatialMergeSize } = checkpoint.config.vision;
  if (asked === "auto") {
    return encoderBudgets(SMALLEST_BUDGET, sizes.imageSizeWithMostFeatures().numTokens, spatialMergeSize);
  }
  const tokens = asked ?? (replaysRuns ? REPLAYED_BUDGETS : []);
  return tokens.map((count) => encoderBudget(count, spatialMergeSize));
}

const engineOptions = ({ threads }: LoadOptions): EngineOptions => (threads === undefined ? {} : { threads });

function checkOptions(options: LoadOptions): void {
  rejectUnknownOptions(options, LOAD_OPTION_NAMES, "loadModel");
  if (options.dtype !== undefined && !WEIGHT_DTYPES.includes(options.dtype)) {
    throw new GlimtError(
      "OPTION_INVALID",
      `dtype is "${options.dtype}", expected ${WEIGHT_DTYPES.join(", ")}.`,
    );
  }
  if (options.kvCache !== undefined) checkKvCacheSize(options.kvCache);
  const { encoderTokenBudgets: budgets = [] } = options;
  if (budgets !== "auto" && !Array.isArray(budgets)) {
    throw new GlimtError("OPTION_INVALID", `encoderTokenBudgets is ${budgets}, expected a list or "auto".`);
  }
  checkThreads(engineOptions(options));
  const numbers = {
    prefillChunk: options.prefillChunk,
    ...Object.fromEntries(
      [...(budgets === "auto" ? [] : budgets)].map((value, index) => [
        `encoderTokenBudgets[${index}]`,
        value,
      ]),
    ),
  };
  for (const [name, value] of Object.entries(numbers)) {
    if (value !== undefined && !(Number.isInteger(value) && value >= 1)) {
      throw new GlimtError("OPTION_INVALID", `${name} is ${value}, expected a whole number from 1.`);
    }
  }
}
