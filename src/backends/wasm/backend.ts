/** The WebAssembly backend: C++ kernels with SIMD, f32 activations. Node, browsers and workers. */
import { GlimtError } from "../../errors.ts";
import { shown } from "../../given.ts";
import { isBlockFormat } from "../../tensor/storage.ts";
import { type Backend, type EngineOptions, type Probe, WASM_VARIANTS } from "../backend.ts";
import { COMPOSED_OPS } from "./composed-ops.ts";
import { Crew, type StartKernelWorker } from "./crew.ts";
import { reportOf, WasmEngine } from "./engine.ts";
import { compileKernels, instantiateKernels } from "./kernels.ts";
import { chooseVariant, noSharedMemory } from "./variants.ts";

/** What an environment has for threads. */
export interface WasmThreads {
  /** @param workerUrl where a copy of the worker lies, when it is not beside the SDK's own files. */
  startWorker(workerUrl?: string | URL): ReturnType<StartKernelWorker>;
}

const MOST_THREADS = 64;

/** @param environment Without one, programs run on the caller's thread alone. */
export function createWasmBackend(environment?: WasmThreads): Backend {
  /** By the place of their worker. */
  const crews = new Map<string | undefined, Crew>();

  function crewOf({ startWorker }: WasmThreads, workerUrl: string | URL | undefined): Crew {
    const place = workerUrl?.toString();
    const known = crews.get(place);
    const crew = known && !known.isLost ? known : new Crew(() => startWorker(workerUrl));
    crews.set(place, crew);
    return crew;
  }

  /** @throws OPTION_INVALID */
  function threadsOf({ threads: wanted = 1 }: EngineOptions): number {
    if (!Number.isInteger(wanted) || wanted < 1 || wanted > MOST_THREADS) {
      throw new GlimtError(
        "OPTION_INVALID",
        `threads is ${shown(wanted)}, expected a whole number from 1 to ${MOST_THREADS}.`,
      );
    }
    const reason = environment ? noSharedMemory() : "this environment starts no threads";
    if (wanted > 1 && reason) {
      throw new GlimtError(
        "OPTION_INVALID",
        `threads is ${wanted}, but ${reason}; leave the option out, or pass 1.`,
      );
    }
    return wanted;
  }

  const backend: Backend = {
    name: "wasm",
    activationDType: "f32",
    prefillChunk: 512,
    timesInstructions: true,
    supports({ op, activation, formats }) {
      if (activation !== "f32")
        return { ok: false, reason: `wasm: ${op} has f32 activations only, not ${activation}.` };
      const block = Object.values(formats).find(isBlockFormat);
      if (block) return { ok: false, reason: `wasm: ${op} has no kernel for ${block} weights.` };
      return COMPOSED_OPS.has(op)
        ? { ok: false, reason: `wasm: ${op} is run as its composition.` }
        : { ok: true };
    },
    weightLayout: (_format, uses) => (uses.has("matrix") ? "tiles8" : "plain"),
    probe: async (): Promise<Probe> => {
      const choice = chooseVariant({ threads: false });
      if ("reason" in choice) return { ok: false, reason: choice.reason };
      return { ok: true, ...reportOf(choice.variant, 1, choice.limits) };
    },
    async open(options = {}) {
      const threads = threadsOf(options);
      const choice = variantOf(options, threads);
      const kernels = await instantiateKernels(choice.variant);
      if (threads === 1 || !environment) return new WasmEngine(backend, kernels, choice.limits);
      const module = await compileKernels(choice.variant);
      const crew = crewOf(environment, options.workerUrl);
      const pass = await crew.join(module, kernels, threads - 1).catch((error) => {
        // Lost by another engine, which may be known only now.
        if (!crew.isLost) throw error;
        return crewOf(environment, options.workerUrl).join(module, kernels, threads - 1);
      });
      return new WasmEngine(backend, kernels, choice.limits, pass);
    },
  };
  return backend;
}

/** @throws OPTION_INVALID, BACKEND_UNAVAILABLE */
function variantOf({ wasmVariant: kind }: EngineOptions, threads: number) {
  if (kind !== undefined && !WASM_VARIANTS.includes(kind)) {
    throw new GlimtError(
      "OPTION_INVALID",
      `wasmVariant is ${shown(kind)}, expected ${WASM_VARIANTS.join(", ")}.`,
    );
  }
  const choice = chooseVariant({ threads: threads > 1, kind });
  if ("variant" in choice) return choice;
  if (kind === undefined) {
    throw new GlimtError("BACKEND_UNAVAILABLE", `The wasm backend can not run: ${choice.reason}.`);
  }
  throw new GlimtError(
    "OPTION_INVALID",
    `wasmVariant is ${shown(kind)}, but ${choice.reason}; leave the option out.`,
  );
}

/** On one thread. */
export const wasmBackend: Backend = createWasmBackend();
