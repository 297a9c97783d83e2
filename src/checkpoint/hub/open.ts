/** Opens a model of the Hub. */
import type { HubFiles, HubFilesOptions } from "./files.ts";
import { openHubFiles } from "./files.ts";
import type { OpenHub } from "./host.ts";
import type { HubLocation } from "./location.ts";
import type { HubOptions } from "./options.ts";

export interface OpenModelOptions extends HubFilesOptions {
  readonly hub?: HubOptions | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** @throws OPTION_INVALID; CHECKPOINT_NOT_FOUND when neither the Hub nor the cache knows the model; ABORTED */
export async function openHubModel(
  openHub: OpenHub,
  location: HubLocation,
  { hub, signal, ...options }: OpenModelOptions,
): Promise<HubFiles> {
  const { access, cache } = await openHub(hub);
  const model = cache?.model(location.repository) ?? null;
  return openHubFiles(location, access, model, options, signal);
}
