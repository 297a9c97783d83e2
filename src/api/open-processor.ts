/** The processor of a checkpoint, without its model. */
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { type ModelLocation, OPEN_FILES_OPTION_NAMES } from "../checkpoint/location.ts";
import { checkTimeLimit, readOptions } from "../given.ts";
import { MEDIA_OPTION_NAMES, type MediaOptions } from "../prompt/media-options.ts";
import { Processor } from "../prompt/processor.ts";
import type { LoadOptions } from "./load-options.ts";
import type { Platform } from "./platform.ts";

export type ProcessorOptions = MediaOptions &
  Pick<LoadOptions, "headers" | "checkpointTimeout" | "mmproj" | "signal">;

export const PROCESSOR_OPTION_NAMES = [...MEDIA_OPTION_NAMES, ...OPEN_FILES_OPTION_NAMES, "signal"];

export async function openProcessorOn(
  platform: Platform,
  location: ModelLocation,
  given: ProcessorOptions | undefined,
): Promise<Processor> {
  const read = readOptions(given, "openProcessor", PROCESSOR_OPTION_NAMES, { limits: "object" });
  const { headers, checkpointTimeout, mmproj, signal, ...options } = read;
  checkTimeLimit("checkpointTimeout", checkpointTimeout);
  const files = await platform.openFiles(location, { headers, checkpointTimeout, mmproj });
  return Processor.open(await openCheckpoint(files, { signal }), platform, options, signal);
}
