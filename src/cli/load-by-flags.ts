/** Loads the model that a command's flags ask for, and tells on stderr how far it is. */
import { loadModelOn } from "../api/load-model.ts";
import type { GenerateOptions, LoadOptions, Model } from "../index.ts";
import { nodeFiles } from "../node-files.ts";
import { checkGeneration } from "../serving/answer-context.ts";
import { adapterSources } from "./adapter-flags.ts";
import { type EngineFlags, engineOptions } from "./engine-flags.ts";
import { memoryLine } from "./memory-line.ts";
import { backendsFor, type LoadFlags, loadOptions, type MediaFlags } from "./model-options.ts";
import { type ParallelFlags, parallelOptions } from "./parallel-flags.ts";
import { downloadShown, progressLine } from "./progress-line.ts";
import { type ServingFlags, servingOptions } from "./serving-flags.ts";
import { type SourceFlags, sourceOptions } from "./source-flags.ts";

interface ModelFlags extends SourceFlags, MediaFlags, LoadFlags, EngineFlags, ServingFlags, ParallelFlags {
  readonly adapter?: readonly string[];
}

interface Beside extends Pick<LoadOptions, "maxSequences" | "limits"> {
  /** What all answers will be asked with: what is wrong with it is told before the weights are read. */
  readonly asked?: GenerateOptions | undefined;
  /** Whether how far it is is shown on a terminal (default true). */
  readonly showsProgress?: boolean;
}

/** @param beside what has no flag that all commands share */
export async function loadByFlags(
  location: string,
  flags: ModelFlags,
  signal: AbortSignal,
  { asked, showsProgress = true, ...others }: Beside = {},
): Promise<Model> {
  const progress = progressLine(showsProgress);
  try {
    const options: LoadOptions = {
      ...loadOptions(flags),
      ...engineOptions(flags),
      ...parallelOptions(flags),
      ...sourceOptions(flags),
      ...servingOptions(flags),
      ...others,
      adapters: adapterSources(flags.adapter ?? []),
      signal,
      onDownload: (download) => progress.show(...downloadShown(download)),
      onProgress: ({ loadedBytes, totalBytes, weight, memory }) => {
        const needs = weight === undefined ? memoryLine(memory) : null;
        if (needs) console.error(needs);
        progress.show("loading", loadedBytes / totalBytes);
      },
    };
    const platform = { ...nodeFiles, backends: backendsFor(flags) };
    return await loadModelOn(platform, location, options, [], (answers) => {
      if (asked) checkGeneration(asked, answers);
    });
  } finally {
    progress.clear();
  }
}
