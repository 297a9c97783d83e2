/** The processor of a checkpoint, without its model. */
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import { checkCheckpointTimeout } from "../checkpoint/http-requests.ts";
import type { ModelLocation } from "../checkpoint/location.ts";
import { MEDIA_OPTION_NAMES, type MediaOptions } from "../prompt/media-options.ts";
import { Processor } from "../prompt/processor.ts";
import { rejectUnknownOptions } from "../unknown-options.ts";
import type { LoadOptions } from "./load-options.ts";
import type { Platform } from "./platform.ts";

export type ProcessorOptions = MediaOptions & Pick<LoadOptions, "headers" | "checkpointTimeout" | "signal">;

const OPTION_NAMES = [...MEDIA_OPTION_NAMES, "headers", "checkpointTimeout", "signal"];

export async function openProcessorOn(
  platform: Platform,
  location: ModelLocation,
  given: ProcessorOptions,
): Promise<Processor> {
  rejectUnknownOptions(given, OPTION_NAMES, "openProcessor");
  const { headers, checkpointTimeout, signal, ...options } = given;
  checkCheckpointTimeout(checkpointTimeout);
  const files = await platform.openFiles(location, { headers, checkpointTimeout });
  return Processor.open(await openCheckpoint(files, { signal }), platform, options, signal);
}
