/** The processor of a checkpoint, without its model. */
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import type { LoadOptions } from "./load-model.ts";
import type { MediaOptions } from "./media-options.ts";
import type { ModelLocation, Platform } from "./platform.ts";
import { Processor } from "./processor.ts";

export type ProcessorOptions = MediaOptions & Pick<LoadOptions, "headers">;

export async function openProcessorOn(
  platform: Platform,
  location: ModelLocation,
  { headers, ...options }: ProcessorOptions,
): Promise<Processor> {
  const files = await platform.openFiles(location, { headers });
  return Processor.open(await openCheckpoint(files), platform, options);
}
