/** Which devices share a model, and how: what a caller may say, checked. */
import type { GroupOptions } from "../backends/group/backend.ts";
import type { GroupLink } from "../backends/group/link.ts";
import { GlimtError } from "../errors.ts";
import { checkTimeLimit, readList, readOptions, shown } from "../given.ts";

export const ENCODER_PARALLEL = ["tensor", "data", "stage"] as const;
/**
 * How a picture's or video's features are computed by several devices: see `ParallelOptions.encoder`.
 *
 * @useDeclaredType
 */
export type EncoderParallel = (typeof ENCODER_PARALLEL)[number];

/** How devices share a model. */
export interface ParallelOptions {
  /** Devices that share each layer; default: as many as there are, but for one of the encoder's own, divided by `pipeline`. */
  readonly tensor?: number | undefined;
  /** Stages of layers, one behind the other; default 1. */
  readonly pipeline?: number | undefined;
  /** The first decoder layer of each stage but the first; default: so that stages have about the same bytes of weights. */
  readonly cuts?: readonly number[] | undefined;
  /**
   * "tensor": the devices share each layer of the vision tower. "data": each has the whole tower, and encodes pictures of
   * its own. "stage": the tower is on devices of its own, those of `devices` behind the first tensor x pipeline (one where
   * `devices` is left out), and encodes while the others decode. Default: "data" where the tower is small beside what a device
   * has of the language model, or can not be shared, and otherwise "tensor".
   */
  readonly encoder?: EncoderParallel | undefined;
  /** Milliseconds without progress of any device, after which the model fails with GROUP_FAILED; default 300000. */
  readonly timeout?: number | undefined;
  /**
   * What `joinProcesses` gave, where the devices are in several processes: each has as many of them, loads the model alike
   * and is asked the same in the same order. `devices` are this process's own.
   */
  readonly processes?: GroupLink | undefined;
}

/** Which devices share a model, and how. */
export interface DeviceOptions {
  /** Devices that share the model: GPUs as nvidia-smi counts them, on other backends engines of this process. */
  readonly devices?: readonly number[] | undefined;
  /** How they share it; default: all share each layer. */
  readonly parallel?: ParallelOptions | undefined;
}

const DEFAULT_TIMEOUT = 300_000;
const MOST_DEVICES = 1024;

/** Null for one device of which nothing is said. @throws OPTION_INVALID with the numbers that do not fit */
export function resolveParallel({ devices: asked, parallel: given }: DeviceOptions): ResolvedParallel | null {
  if (asked === undefined && given === undefined) return null;
  const parallel = readOptions(given, "parallel", [
    "tensor",
    "pipeline",
    "cuts",
    "encoder",
    "timeout",
    "processes",
  ]);
  const { encoder, timeout = DEFAULT_TIMEOUT, processes: link } = parallel;
  const list = asked && readList(asked, "devices", "OPTION_INVALID");
  checkDevices(list);
  checkTimeLimit("parallel.timeout", timeout);
  if (encoder !== undefined && !ENCODER_PARALLEL.includes(encoder)) {
    throw invalid(`parallel.encoder is ${shown(encoder)}, expected ${ENCODER_PARALLEL.join(", ")}`);
  }
  if (link !== undefined && typeof link.openMail !== "function") {
    throw invalid(`parallel.processes is ${shown(link)}, expected what joinProcesses gave`);
  }
  for (const name of ["tensor", "pipeline"] as const) {
    const value = parallel[name];
    if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= MOST_DEVICES)) continue;
    throw invalid(`parallel.${name} is ${shown(value)}, expected a whole number from 1`);
  }
  const { pipeline = 1 } = parallel;
  const cuts = parallel.cuts && readCuts(parallel.cuts, pipeline);
  const processes = link?.count ?? 1;
  const named = list && list.length * processes;
  const apart = encoder === "stage" ? 1 : 0;
  const tensor = parallel.tensor ?? (named === undefined ? 1 : (named - apart) / pipeline);
  if (!Number.isInteger(tensor) || tensor < 1) {
    const own = apart > 0 ? `, ${apart} of them the encoder's,` : "";
    throw invalid(
      `${named} devices${own} can not be ${pipeline} stages of the pipeline: that does not divide`,
    );
  }
  const ofStages = tensor * pipeline;
  // Devices beyond those of the stages are the encoder's.
  const encoders = Math.max(apart, apart * ((named ?? 0) - ofStages));
  const ranks = ofStages + encoders;
  const behind = encoders > 0 ? `, and with ${encoders} for the encoder ${ranks}` : "";
  const all = `tensor ${tensor} x pipeline ${pipeline} are ${ofStages}${behind}`;
  if (ranks % processes !== 0) throw invalid(`${all}, which ${processes} processes do not divide`);
  const devices = list ?? Array.from({ length: ranks / processes }, (_, device) => device);
  if (devices.length * processes !== ranks) {
    const each = processes > 1 ? ` in each of ${processes} processes` : "";
    throw invalid(`devices names ${devices.length}${each}, and ${all}`);
  }
  return { tensor, pipeline, encoders, devices, deadlineMs: timeout, link, encoder, cuts };
}

export interface ResolvedParallel extends GroupOptions {
  /** Undefined where the caller leaves it open. */
  readonly encoder: EncoderParallel | undefined;
  readonly cuts: readonly number[] | undefined;
}

/** Whether the model has these layers is known when it is compiled. */
function readCuts(given: readonly unknown[], pipeline: number): readonly number[] {
  const cuts = readList(given, "parallel.cuts", "OPTION_INVALID");
  const bounds = [0, ...cuts];
  const isOrdered = (cut: unknown, index: number) =>
    Number.isInteger(cut) && (cut as number) > (bounds[index] as number);
  if (cuts.length === pipeline - 1 && cuts.every(isOrdered)) return cuts as readonly number[];
  throw invalid(
    `parallel.cuts is [${cuts.map(shown).join(", ")}], expected the first layers of ${pipeline} stages but the first, ascending from 1`,
  );
}

function checkDevices(devices: readonly unknown[] | undefined): void {
  if (!devices) return;
  if (devices.length === 0) throw invalid("devices is an empty list, expected the numbers of devices");
  const isNumber = (device: unknown) =>
    Number.isInteger(device) && (device as number) >= 0 && (device as number) < MOST_DEVICES;
  const odd = devices.findIndex((device) => !isNumber(device));
  if (odd >= 0) throw invalid(`devices[${odd}] is ${shown(devices[odd])}, expected the number of a device`);
  const twice = devices.find((device, index) => devices.indexOf(device) < index);
  if (twice !== undefined) throw invalid(`devices names ${twice} twice`);
}

function invalid(message: string): GlimtError {
  return new GlimtError("OPTION_INVALID", `${message}.`);
}
