/** glimt for GPU servers: the CUDA backend and nothing to fall back on, with its own options. */

import { loadModelOn } from "./api/load-model.ts";
import { LOAD_OPTION_NAMES, type LoadOptions } from "./api/load-options.ts";
import type { Model } from "./api/model.ts";
import type { Backend, BackendProbe, Probe } from "./backends/backend.ts";
import { type CudaOptions, createCudaBackend } from "./backends/cuda/backend.node.ts";
import type { ModelLocation } from "./checkpoint/location.ts";
import { GlimtError } from "./errors.ts";
import { readOptions } from "./given.ts";
import { nodeFiles } from "./node-files.ts";

export type { CudaOptions } from "./backends/cuda/backend.node.ts";
export {
  listModels,
  openCheckpoint,
  openFiles,
  openProcessor,
  pullModel,
  quantizeModel,
  removeModel,
} from "./index.ts";
export * from "./public-api.ts";

/** `kvCache` is half of what is free beside the weights when it is left out: a server's requests should not wait for it. */
export type CudaLoadOptions = Omit<
  LoadOptions,
  "backend" | "threads" | "wasmVariant" | "maxMemory" | "worker"
> &
  CudaOptions;

const CUDA_OPTION_NAMES = ["activations", "device", "cublas", "graphs"];
/** Options of other backends. */
const OTHERS: readonly Exclude<keyof LoadOptions, keyof CudaLoadOptions>[] = [
  "backend",
  "threads",
  "wasmVariant",
  "maxMemory",
  "worker",
];
const KV_CACHE = { fraction: 0.5 };

/**
 * Loads a Hugging Face checkpoint onto an NVIDIA GPU.
 *
 * @throws BACKEND_UNAVAILABLE with what is missing (addon, driver, GPU, memory) and what to do; otherwise as the
 * Node entry's loadModel.
 */
export async function loadModel(location: ModelLocation, options?: CudaLoadOptions): Promise<Model> {
  const others: readonly string[] = OTHERS;
  const names = [...LOAD_OPTION_NAMES.filter((name) => !others.includes(name)), ...CUDA_OPTION_NAMES];
  const { activations, device, cublas, graphs, ...rest } = readOptions(options, "loadModel", names);
  if (device !== undefined && rest.devices !== undefined) {
    throw new GlimtError("OPTION_INVALID", "device is one of several in devices: leave it out.");
  }
  if (device !== undefined && rest.dataParallel !== undefined) {
    throw new GlimtError("OPTION_INVALID", "device is one, and dataParallel takes several: give devices.");
  }
  // What is free may be another in each process.
  const kvCache = rest.parallel?.processes ? undefined : KV_CACHE;
  const backends = [backendWith({ activations, device, cublas, graphs })];
  return loadModelOn({ ...nodeFiles, backends }, location, { kvCache, ...rest, backend: "cuda" });
}

/** The backend itself, which tells whether it can run here. @throws OPTION_INVALID */
export function cudaBackend(options?: CudaOptions): BackendProbe {
  return backendWith(options);
}

function backendWith(options: CudaOptions | undefined): Backend {
  const { activations, device, cublas, graphs } = readOptions(options, "cudaBackend", CUDA_OPTION_NAMES);
  return createCudaBackend({ activations, device, cublas, graphs });
}

/** Whether models can be loaded here: the GPU that was found, or why not and what to do. */
export async function probeCuda(options?: CudaOptions): Promise<Probe> {
  return cudaBackend(options).probe();
}
