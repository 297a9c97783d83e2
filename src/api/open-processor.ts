/** The processor of a checkpoint, without its model. */
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import type { ModelLocation } from "../checkpoint/location.ts";
import type { MediaOptions } from "../prompt/media-options.ts";
import { Processor } from "../prompt/processor.ts";
import type { LoadOptions } from "./load-options.ts";
import type { Platform } from "./platform.ts";

export type ProcessorOptions = MediaOptions & Pick<LoadOptions, "headers" | "checkpointTimeout" | "signal">;

export async function openProcessorOn(
  platform: Platform,
  location: ModelLocation,
  { headers, checkpointTimeout, signal, ...options }: ProcessorOptions,
): Promise<Processor> {
  const files = await platform.openFiles(location, { headers, checkpointTimeout });
  return Processor.open(await openCheckpoint(files, { signal }), platform, options, signal);
}
