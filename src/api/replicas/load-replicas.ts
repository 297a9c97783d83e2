/** Loads a model several times, each on devices of its own. */
import { GlimtError } from "../../errors.ts";
import { shown } from "../../given.ts";
import type { LoadOptions } from "../load-options.ts";
import type { Model } from "../model.ts";
import { resolveParallel } from "../parallel-options.ts";
import { ReplicatedModel } from "./replicated-model.ts";

const MOST_REPLICAS = 64;

/**
 * @param load loads the model once
 * @throws what that does; those that were loaded are freed then
 */
export async function loadReplicas(
  count: number,
  options: LoadOptions,
  load: (options: LoadOptions) => Promise<Model>,
): Promise<Model> {
  if (!Number.isInteger(count) || count < 1 || count > MOST_REPLICAS) {
    throw invalid(`dataParallel is ${shown(count)}, expected a whole number of 1..${MOST_REPLICAS}`);
  }
  const devices = devicesOfEach(count, options);
  const models: Model[] = [];
  try {
    // One after the other: what loading takes beside the weights is taken once.
    for (const own of devices) {
      // A single engine on the CPU has no number.
      const isNumbered = options.devices || own.length > 1 || models[0]?.backend.name === "cuda";
      models.push(await load(isNumbered ? { ...options, devices: own } : options));
    }
  } catch (error) {
    await Promise.all(models.map((model) => model.dispose()));
    throw error;
  }
  return new ReplicatedModel(models);
}

/** @throws OPTION_INVALID for devices that can not be shared out */
function devicesOfEach(count: number, { devices, parallel }: LoadOptions): (readonly number[])[] {
  if (parallel?.processes) {
    throw invalid(
      "dataParallel and parallel.processes exclude each other: start a server in each of the groups",
    );
  }
  if (devices && devices.length % count !== 0) {
    throw invalid(`devices names ${devices.length}, which ${count} replicas do not divide`);
  }
  const named = devices?.slice(0, devices.length / count);
  const each = named?.length ?? resolveParallel({ parallel })?.devices.length ?? 1;
  const all = devices ?? Array.from({ length: count * each }, (_, device) => device);
  return Array.from({ length: count }, (_, index) => all.slice(index * each, (index + 1) * each));
}

function invalid(message: string): GlimtError {
  return new GlimtError("OPTION_INVALID", `${message}.`);
}
