/** The processor of a checkpoint, without its model. */
import { openCheckpoint } from "../checkpoint/checkpoint.ts";
import {
  type ModelLocation,
  OPEN_FILES_KINDS,
  OPEN_FILES_OPTION_NAMES,
  type OpenFilesOptions,
} from "../checkpoint/location.ts";
import { checkTimeLimit, type Kind, readOptions } from "../given.ts";
import { MEDIA_OPTION_NAMES, type MediaOptions } from "../prompt/media-options.ts";
import { Processor } from "../prompt/processor.ts";
import type { LoadOptions } from "./load-options.ts";
import type { Platform } from "./platform.ts";

/** How pictures are read, and how the files of the checkpoint are. */
export type ProcessorOptions = MediaOptions & Pick<LoadOptions, keyof OpenFilesOptions>;

export const PROCESSOR_OPTION_NAMES = [...MEDIA_OPTION_NAMES, ...OPEN_FILES_OPTION_NAMES];
const KINDS: Readonly<Record<string, Kind>> = { ...OPEN_FILES_KINDS, limits: "object" };

export async function openProcessorOn(
  platform: Platform,
  location: ModelLocation,
  given: ProcessorOptions | undefined,
): Promise<Processor> {
  const read = readOptions(given, "openProcessor", PROCESSOR_OPTION_NAMES, KINDS);
  const { headers, checkpointTimeout, fetch, hub, onDownload, mmproj, signal, ...options } = read;
  checkTimeLimit("checkpointTimeout", checkpointTimeout);
  const asked = { headers, checkpointTimeout, fetch, hub, onDownload, mmproj, signal };
  const files = await platform.openFiles(location, asked);
  return Processor.open(await openCheckpoint(files, { signal }), platform, options, signal);
}
