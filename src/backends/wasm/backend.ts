/** The WebAssembly backend: C++ kernels with SIMD, f32 activations. Node, browsers and workers. */
import { GlimtError } from "../../errors.ts";
import { shown } from "../../given.ts";
import { isCollective } from "../../graph/ops.ts";
import { type Backend, type EngineOptions, type Probe, WASM_VARIANTS } from "../backend.ts";
import { COMPOSED_OPS } from "./composed-ops.ts";
import { Crew, type CrewPass, type StartKernelWorker } from "./crew.ts";
import { reportOf, WasmEngine } from "./engine.ts";
import { compileKernels, instantiateKernels, type Kernels } from "./kernels.ts";
import { WasmMemory } from "./memory.ts";
import { growForLoading, refuseLoading } from "./upload.ts";
import { chooseVariant, noSharedMemory, type Variant } from "./variants.ts";

/** What an environment has for threads. */
export interface WasmThreads {
  /** @param workerUrl where a copy of the worker lies, when it is not beside the SDK's own files. */
  startWorker(workerUrl?: string | URL): ReturnType<StartKernelWorker>;
  /** How many an engine has that asks for no number, at most 8 of them. */
  usualThreads(): number;
}

const MOST_THREADS = 64;
/** With more, memory is what most models wait for; and others want to run too. */
const MOST_UNASKED = 8;
/** Of a thread's own stack: as much as the module's first. */
const STACK_BYTES = 1 << 20;

interface WasmChoice {
  readonly variant: Variant;
  readonly threads: number;
  /** See EngineReport. */
  readonly limits: readonly string[];
}

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

  /** Threads that run the kernels' programs, with a stack for each. See Crew.join. */
  function joinCrew(
    environment: WasmThreads,
    workerUrl: string | URL | undefined,
    kernels: Kernels,
    memory: WasmMemory,
  ): Promise<CrewPass> {
    const stacks = Array.from({ length: kernels.threads }, () =>
      memory.allocateBlock(STACK_BYTES, "a thread's stack"),
    );
    const join = async () => {
      const tops = stacks.map(({ pointer }) => pointer + STACK_BYTES);
      const module = await compileKernels(kernels.variant);
      const crew = crewOf(environment, workerUrl);
      return crew.join(module, kernels, tops).catch((error) => {
        // Lost by another engine, or ended, which may be known only now.
        if (!crew.isLost) throw error;
        return crewOf(environment, workerUrl).join(module, kernels, tops);
      });
    };
    return join().catch((error) => {
      for (const stack of stacks) memory.freeBlock(stack);
      throw error;
    });
  }

  /** @throws OPTION_INVALID */
  function threadsOf({ threads: wanted }: EngineOptions): Pick<WasmChoice, "threads" | "limits"> {
    const isCount = Number.isInteger(wanted) && Number(wanted) >= 1 && Number(wanted) <= MOST_THREADS;
    if (wanted !== undefined && !isCount) {
      throw new GlimtError(
        "OPTION_INVALID",
        `threads is ${shown(wanted)}, expected a whole number from 1 to ${MOST_THREADS}.`,
      );
    }
    const reason = environment ? noSharedMemory() : "this environment starts no threads";
    if (wanted !== undefined && wanted > 1 && reason) {
      throw new GlimtError(
        "OPTION_INVALID",
        `threads is ${wanted}, but ${reason}; leave the option out, or pass 1.`,
      );
    }
    if (wanted !== undefined) return { threads: wanted, limits: [] };
    if (reason || !environment) return { threads: 1, limits: [`One thread, since ${reason}`] };
    return { threads: Math.min(MOST_UNASKED, environment.usualThreads()), limits: [] };
  }

  /** What an engine with these options runs. @throws OPTION_INVALID, BACKEND_UNAVAILABLE */
  function choiceOf(options: EngineOptions): WasmChoice {
    const { threads, limits } = threadsOf(options);
    const choice = variantOf(options, threads);
    return { threads, variant: choice.variant, limits: [...choice.limits, ...limits] };
  }

  /** @throws OUT_OF_MEMORY */
  async function instantiate(options: EngineOptions) {
    const choice = choiceOf(options);
    const fresh = async ({ variant, threads, limits }: WasmChoice) => {
      const kernels = await instantiateKernels(variant, options.maxMemory);
      kernels.threads = threads;
      refuseLoading(kernels, options.demand, threads > 1 ? threads * STACK_BYTES : 0);
      growForLoading(kernels, options.demand);
      return { kernels, limits };
    };
    return fresh(choice).catch((error) => {
      if (options.threads !== undefined || choice.threads === 1) throw error;
      const alone = choiceOf({ ...options, threads: 1 });
      return fresh({ ...alone, limits: [...alone.limits, `One thread: ${error.message}`] });
    });
  }

  const backend: Backend = {
    name: "wasm",
    activationDType: "f32",
    prefillChunk: 512,
    timesInstructions: true,
    supports({ op, activation, formats }) {
      if (isCollective(op)) return { ok: false, reason: `wasm: ${op} is run by a group of engines.` };
      if (activation !== "f32")
        return { ok: false, reason: `wasm: ${op} has f32 activations only, not ${activation}.` };
      if (Object.values(formats).includes("fp8"))
        return { ok: false, reason: `wasm: ${op} has no kernel for fp8 weights.` };
      return COMPOSED_OPS.has(op)
        ? { ok: false, reason: `wasm: ${op} is run as its composition.` }
        : { ok: true };
    },
    weightLayout: (_format, uses) => (uses.has("matrix") ? "tiles8" : "plain"),
    async probe(): Promise<Probe> {
      try {
        const { variant, threads, limits } = choiceOf({});
        return { ok: true, ...reportOf(variant, threads, limits) };
      } catch (error) {
        return { ok: false, reason: (error as Error).message };
      }
    },
    async open(options = {}) {
      const { kernels, limits } = await instantiate(options);
      const memory = new WasmMemory(kernels);
      const crew =
        environment && kernels.threads > 1
          ? joinCrew(environment, options.workerUrl, kernels, memory)
          : undefined;
      // Who asked for them wants to know now; for others weights are loaded meanwhile.
      if (options.threads !== undefined) await crew;
      return new WasmEngine(backend, kernels, { limits, memory, crew });
    },
  };
  return backend;
}

/** @throws OPTION_INVALID, BACKEND_UNAVAILABLE */
function variantOf({ wasmVariant: kind, maxMemory, demand }: EngineOptions, threads: number) {
  if (kind !== undefined && !WASM_VARIANTS.includes(kind)) {
    throw new GlimtError(
      "OPTION_INVALID",
      `wasmVariant is ${shown(kind)}, expected ${WASM_VARIANTS.join(", ")}.`,
    );
  }
  const wanted = demand ? demand.loaded + demand.request : 0;
  const choice = chooseVariant({ threads: threads > 1, kind, bytes: Math.min(wanted, maxMemory ?? wanted) });
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
