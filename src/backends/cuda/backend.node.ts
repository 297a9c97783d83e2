/** The CUDA backend: NVIDIA GPUs through the native addon. Nothing native is loaded before `probe` or `open`. */
import { existsSync } from "node:fs";
import { GlimtError } from "../../errors.ts";
import { OPS } from "../../graph/ops.ts";
import { formatCode } from "../../tensor/storage.ts";
import type { Backend, EngineReport, GroupPlace, Probe } from "../backend.ts";
import { refuseWasmOptions } from "../refuse-wasm-options.ts";
import { type CudaAddon, type DeviceInfo, GROUP_ID_BYTES, type NativeSeat } from "./addon.ts";
import { describeDevice, refuseDevice } from "./device.ts";
import { CudaEngine } from "./engine.ts";
import { native, nativeLater } from "./errors.ts";
import { findAddon, loadAddon, type Refusal } from "./loader.node.ts";
import { cudaWeightLayout } from "./weight-layout.ts";

/** With 512 rows GLM-OCR's products of 1536 columns are 48 tiles of 128 x 128, for the 132 multiprocessors of an H100. */
const PREFILL_CHUNK = 2048;

/** What is said of CUDA alone. */
export interface CudaOptions {
  /** Type of activations and of the KV cache; sums are float32 in any case. Default "bf16". */
  readonly activations?: "bf16" | "f16" | "f32" | undefined;
  /** Ordinal of the GPU, as nvidia-smi counts them. Default 0. */
  readonly device?: number | undefined;
  /** Whether large products may go to cuBLASLt, when that is installed: never with `batchInvariant`. Default true. */
  readonly cublas?: boolean | undefined;
  /** Whether steps that repeat, as decoding does, are replayed as captured graphs. Default true. */
  readonly graphs?: boolean | undefined;
}

/** Of a sum of two there is one order. */
const MOST_INVARIANT_PARTS = 2;

/** There where a driver for NVIDIA's GPUs is. */
const DRIVER_FILE = "/dev/nvidiactl";

/** The device that the addon was tried with. */
interface Tried {
  readonly ordinal: number;
  readonly info: DeviceInfo;
}

type FailedProbe = Extract<Probe, { ok: false }>;

export interface CudaInternals {
  /** The one addon to use, which may be the emulator. */
  readonly addonPath?: string | undefined;
}

/** @throws OPTION_INVALID */
export function createCudaBackend(options: CudaOptions & CudaInternals = {}): Backend {
  const { activations = "bf16", device = 0, cublas = true, graphs = true, addonPath } = options;
  if (!["bf16", "f16", "f32"].includes(activations)) {
    throw new GlimtError("OPTION_INVALID", `activations is "${activations}", expected bf16, f16, f32.`);
  }
  if (!(Number.isInteger(device) && device >= 0 && device < 1024)) {
    throw new GlimtError("OPTION_INVALID", `device is ${device}, expected the number of a GPU.`);
  }
  let tried: Tried | undefined;
  let addon: CudaAddon | undefined;

  /** Loads the addon once it was found to work with a device; a failure is looked into anew each time. */
  async function find(ordinal: number): Promise<{ tried: Tried; addon: CudaAddon } | FailedProbe> {
    if (!tried || !addon) {
      const result = await findAddon({ addonPath, device: ordinal });
      if (!("path" in result)) return failedProbe(result);
      tried = { ordinal, info: result.device };
      addon = loadAddon(result);
    }
    return { tried, addon };
  }

  async function load(ordinal: number): Promise<{ tried: Tried; addon: CudaAddon }> {
    const result = await find(ordinal);
    if ("reason" in result) throw new GlimtError("BACKEND_UNAVAILABLE", result.reason);
    return result;
  }

  /** @throws BACKEND_UNAVAILABLE */
  async function usable(ordinal: number): Promise<{ addon: CudaAddon; info: DeviceInfo }> {
    const { addon, tried } = await load(ordinal);
    return { addon, info: ordinal === tried.ordinal ? tried.info : anotherDevice(addon, ordinal) };
  }

  const backend: Backend = {
    name: "cuda",
    activationDType: activations,
    prefillChunk: PREFILL_CHUNK,
    replaysRuns: graphs,
    supports({ op, activation, formats }) {
      // Compiled away: no kernel ever sees one.
      if ("view" in OPS[op]) return { ok: true };
      if (!addon) {
        throw new GlimtError(
          "BACKEND_UNAVAILABLE",
          "cuda: the addon is not loaded yet; probe the backend first.",
        );
      }
      const { cache } = formats;
      if (cache && cache !== activation) {
        return {
          ok: false,
          reason: `cuda: ${op} with ${activation} activations has a ${activation} cache only, not ${cache}.`,
        };
      }
      const { supports } = addon;
      const codes = Uint8Array.from(Object.values(formats), formatCode);
      const reason = native(() => supports(OPS[op].code, formatCode(activation), codes));
      return reason ? { ok: false, reason } : { ok: true };
    },
    weightOnly: true,
    weightLayout: cudaWeightLayout,
    async probe([ordinal = device] = []): Promise<Probe> {
      const result = await find(ordinal);
      if ("reason" in result) return result;
      try {
        return { ok: true, ...reportOf((await usable(ordinal)).info) };
      } catch (error) {
        return { ok: false, reason: (error as Error).message };
      }
    },
    async newGroup() {
      const { addon } = await load(device);
      // Kernels that load when they are first launched may wait for a device that waits for this one. CUDA reads it once.
      process.env.CUDA_MODULE_LOADING ??= "EAGER";
      const id = new Uint8Array(GROUP_ID_BYTES);
      native(() => addon.newGroup(id));
      return id;
    },
    async open(options) {
      refuseWasmOptions("cuda", options);
      const place = options?.group;
      const ordinal = place?.device ?? device;
      const { addon, info } = await usable(ordinal);
      const seat = place ? seatOf(place) : null;
      if (options?.batchInvariant && seat && (place?.tensor ?? 1) > MOST_INVARIANT_PARTS) {
        throw new GlimtError(
          "OPTION_INVALID",
          `batchInvariant is for at most ${MOST_INVARIANT_PARTS} GPUs that share a layer, and tensor is ${place?.tensor}: NCCL adds the parts of more in an order that depends on how many rows there are.`,
        );
      }
      const isInvariant = options?.batchInvariant ? 1 : 0;
      const handle = await nativeLater(() => addon.openEngine(ordinal, cublas ? 1 : 0, isInvariant, seat));
      return new CudaEngine(backend, addon, handle, {
        graphs,
        report: reportOf(info),
        inGroup: seat !== null,
      });
    },
  };
  return backend;
}

/** The first GPU, with bf16 activations. */
export const cudaBackend: Backend = createCudaBackend();

function reportOf(device: DeviceInfo): EngineReport {
  return { description: describeDevice(device), limits: [] };
}

/** Another device than the one that the addon was tried with. @throws BACKEND_UNAVAILABLE */
function anotherDevice(addon: CudaAddon, ordinal: number): DeviceInfo {
  const device = native(() => addon.probe(ordinal));
  const reason = refuseDevice(addon.kind, device);
  if (reason !== null) throw new GlimtError("BACKEND_UNAVAILABLE", `cuda: device ${ordinal}: ${reason}`);
  return device;
}

/** None for an engine that reaches no other. */
function seatOf({ id, rank, ranks, encoders = 0, tensor, deadlineMs }: GroupPlace): NativeSeat | null {
  return id ? [id, rank, ranks - encoders, tensor, deadlineMs] : null;
}

function failedProbe(refusals: readonly Refusal[]): FailedProbe {
  const reasons = refusals.map(({ source, reason }) => `${source}: ${reason}`);
  return {
    ok: false,
    reason: `CUDA can not be used. ${reasons.join(" ")}`,
    isAbsent: refusals.every(({ isAbsent }) => isAbsent) && !hasDriver(),
  };
}

function hasDriver(): boolean {
  try {
    return existsSync(DRIVER_FILE);
  } catch {
    // Deno throws where it has no permission to look.
    return false;
  }
}
