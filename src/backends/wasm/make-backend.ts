/** The WebAssembly backend of whatever variants a host has: C++ kernels with SIMD, f32 activations. */
import { GlimtError } from "../../errors.ts";
import { shown } from "../../given.ts";
import { type Backend, type EngineOptions, type Probe, WASM_VARIANTS } from "../backend.ts";
import { COMPOSED_OPS } from "./composed-ops.ts";
import { Crew, type CrewPass, type StartKernelWorker } from "./crew.ts";
import { reportOf, WasmEngine } from "./engine.ts";
import { compileKernels, instantiateKernels, type Kernels } from "./kernels.ts";
import { WasmMemory } from "./memory.ts";
import { growForLoading, refuseLoading } from "./upload.ts";
import { chooseAmong, noSharedMemory, type Variant } from "./variant-choice.ts";

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
  /** Whether programs run on threads of the backend's, be it one, rather than on the caller's. */
  readonly hasCrew: boolean;
  /** See EngineReport. */
  readonly limits: readonly string[];
}

/** @param environment Without one, programs run on the caller's thread alone. */
export function makeWasmBackend(variants: readonly Variant[], environment?: WasmThreads): Backend {
  /** By the place of their worker; the ranks of groups have one each, so that they run side by side. */
  const crews = new Map<string, Crew>();

  function crewOf({ startWorker }: WasmThreads, { workerUrl, group }: EngineOptions): Crew {
    const place = `${group?.rank ?? ""} ${workerUrl ?? ""}`;
    const known = crews.get(place);
    const crew = known && !known.isLost ? known : new Crew(() => startWorker(workerUrl));
    crews.set(place, crew);
    return crew;
  }

  /** Threads that run the kernels' programs, with a stack for each. See Crew.join. */
  function joinCrew(
    environment: WasmThreads,
    options: EngineOptions,
    kernels: Kernels,
    memory: WasmMemory,
  ): Promise<CrewPass> {
    const stacks = Array.from({ length: kernels.threads }, () =>
      memory.allocateBlock(STACK_BYTES, "a thread's stack"),
    );
    const join = async () => {
      const tops = stacks.map(({ pointer }) => pointer + STACK_BYTES);
      const module = await compileKernels(kernels.variant);
      const crew = crewOf(environment, options);
      return crew.join(module, kernels, tops).catch((error) => {
        // Lost by another engine, or ended, which may be known only now.
        if (!crew.isLost) throw error;
        return crewOf(environment, options).join(module, kernels, tops);
      });
    };
    return join().catch((error) => {
      for (const stack of stacks) memory.freeBlock(stack);
      throw error;
    });
  }

  /** @throws OPTION_INVALID */
  function threadsOf({
    threads: wanted,
    group,
  }: EngineOptions): Pick<WasmChoice, "threads" | "limits" | "hasCrew"> {
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
    const ranks = group?.ranks ?? 1;
    const withThreads = (threads: number) => ({
      threads,
      limits: [],
      hasCrew: threads > 1 || (ranks > 1 && !reason),
    });
    if (wanted !== undefined) return withThreads(wanted);
    if (reason || !environment)
      return { threads: 1, limits: [`One thread, since ${reason}`], hasCrew: false };
    const usual = Math.min(MOST_UNASKED, environment.usualThreads());
    return withThreads(Math.max(1, Math.floor(usual / ranks)));
  }

  /** What an engine with these options runs. @throws OPTION_INVALID, BACKEND_UNAVAILABLE */
  function choiceOf(options: EngineOptions): WasmChoice {
    const { threads, limits, hasCrew } = threadsOf(options);
    const choice = variantOf(variants, options, hasCrew);
    return { threads, hasCrew, variant: choice.variant, limits: [...choice.limits, ...limits] };
  }

  /** @throws OUT_OF_MEMORY */
  async function instantiate(options: EngineOptions) {
    const choice = choiceOf(options);
    const fresh = async ({ variant, threads, limits, hasCrew }: WasmChoice) => {
      const kernels = await instantiateKernels(variant, options.maxMemory);
      kernels.threads = threads;
      refuseLoading(kernels, options.demand, hasCrew ? threads * STACK_BYTES : 0);
      growForLoading(kernels, options.demand);
      return { kernels, limits, hasCrew };
    };
    return fresh(choice).catch((error) => {
      if (!choice.hasCrew || Number(options.threads) > 1) throw error;
      const { variant, limits } = variantOf(variants, options, false);
      const reason = `One thread: ${error.message}`;
      return fresh({ variant, threads: 1, hasCrew: false, limits: [...limits, reason] });
    });
  }

  const backend: Backend = {
    name: "wasm",
    activationDType: "f32",
    prefillChunk: 512,
    timesInstructions: true,
    supports({ op, activation, formats }) {
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
      const { kernels, limits, hasCrew } = await instantiate(options);
      const memory = new WasmMemory(kernels);
      const crew = environment && hasCrew ? joinCrew(environment, options, kernels, memory) : undefined;
      // Who asked for them wants to know now; for others weights are loaded meanwhile.
      if (Number(options.threads) > 1) await crew;
      return new WasmEngine(backend, kernels, { limits, memory, crew });
    },
  };
  return backend;
}

/** @throws OPTION_INVALID, BACKEND_UNAVAILABLE */
function variantOf(
  variants: readonly Variant[],
  { wasmVariant: kind, maxMemory, demand }: EngineOptions,
  threads: boolean,
) {
  if (kind !== undefined && !WASM_VARIANTS.includes(kind)) {
    throw new GlimtError(
      "OPTION_INVALID",
      `wasmVariant is ${shown(kind)}, expected ${WASM_VARIANTS.join(", ")}.`,
    );
  }
  const wanted = demand ? demand.loaded + demand.request : 0;
  const choice = chooseAmong(variants, { threads, kind, bytes: Math.min(wanted, maxMemory ?? wanted) });
  if ("variant" in choice) return choice;
  if (kind === undefined) {
    throw new GlimtError("BACKEND_UNAVAILABLE", `The wasm backend can not run: ${choice.reason}.`);
  }
  throw new GlimtError(
    "OPTION_INVALID",
    `wasmVariant is ${shown(kind)}, but ${choice.reason}; leave the option out.`,
  );
}
