/** Finds a checkpoint's weight files: one model.safetensors, or the shards that model.safetensors.index.json lists. */
import { GlimtError } from "../errors.ts";
import { absenceOf, type CheckpointFiles, readJson } from "./files.ts";
import { publishedName } from "./names.ts";
import { readSafetensorsHeader, type StoredTensor } from "./safetensors.ts";
import { shownName, shownValue } from "./shown.ts";

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/** Far above any checkpoint, and keeps a lying index from opening files without end. */
const MOST_SHARDS = 4096;
/** Requests or open files at a time. */
const AT_ONCE = 16;
/** Names shown in a complaint. */
const LISTED = 5;

/** A file of weights. */
export interface WeightFile {
  /** As the checkpoint names it. */
  readonly name: string;
  /** Its size. */
  readonly bytes: number;
}

export interface WeightFiles {
  readonly files: readonly WeightFile[];
  /** By published name, whatever the file's own spelling. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** The files that hold the weights. @throws CHECKPOINT_NOT_FOUND, CHECKPOINT_INVALID */
export async function weightFileNames(files: CheckpointFiles, signal?: AbortSignal): Promise<string[]> {
  return (await findWeightFiles(files, signal)).names;
}

async function findWeightFiles(files: CheckpointFiles, signal: AbortSignal | undefined) {
  const single = await files.size(SINGLE, signal);
  // transformers prefers the single file too.
  const index = single === null ? await readIndex(files, signal) : null;
  if (single === null && index === null) throw await noWeights(files, signal);
  const names = index ? [...new Set(index.values())] : [SINGLE];
  if (names.length > MOST_SHARDS) {
    throw new GlimtError(
      "CHECKPOINT_INVALID",
      `${INDEX} in ${files.location} lists ${names.length} files; no checkpoint has more than ${MOST_SHARDS}.`,
    );
  }
  return { names, single, index };
}

/** Reads the headers only. @throws CHECKPOINT_NOT_FOUND, CHECKPOINT_INVALID naming the shard or tensor. */
export async function readWeightFiles(files: CheckpointFiles, signal?: AbortSignal): Promise<WeightFiles> {
  const { names, single, index } = await findWeightFiles(files, signal);
  const sizes = await severalAtOnce(names, async (name) =>
    name === SINGLE && single !== null ? single : files.size(name, signal),
  );
  const absent = names.filter((_, shard) => sizes[shard] === null);
  if (absent.length > 0) {
    throw new GlimtError(
      "CHECKPOINT_INVALID",
      `${files.location} lacks ${absent.slice(0, LISTED).map(shownName).join(", ")}${more(absent)}, which ${INDEX} lists; is the download complete?` +
        absenceOf(files, absent[0] as string),
    );
  }
  const found = names.map((name, shard) => ({ name, bytes: sizes[shard] as number }));
  const headers = await severalAtOnce(found, ({ name, bytes }) =>
    readSafetensorsHeader(files, name, bytes, signal),
  );
  return { files: found, tensors: collect(files.location, headers.flat(), index) };
}

/** Tensor -> shard. Null when there is no index. */
async function readIndex(
  files: CheckpointFiles,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, string> | null> {
  const json = await readJson(files, INDEX, signal);
  if (json === undefined) return null;
  const map = (json as { weight_map?: unknown } | null)?.weight_map;
  const entries = typeof map === "object" && map !== null ? Object.entries(map) : [];
  if (entries.length === 0) {
    throw new GlimtError("CHECKPOINT_INVALID", `${INDEX} in ${files.location} has no weight_map.`);
  }
  for (const [tensor, file] of entries) {
    // Only plain names: an index must not lead out of the checkpoint.
    if (typeof file !== "string" || !/^[\w.-]+\.safetensors$/.test(file)) {
      throw new GlimtError(
        "CHECKPOINT_INVALID",
        `${INDEX} in ${files.location}: "${shownName(tensor)}" is in ${shownValue(file)}, which is no safetensors file name.`,
      );
    }
  }
  return new Map(entries as [string, string][]);
}

function collect(
  location: string,
  stored: readonly StoredTensor[],
  index: ReadonlyMap<string, string> | null,
): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const tensor of stored) {
    const name = publishedName(tensor.name);
    const other = tensors.get(name);
    if (other) {
      throw new GlimtError(
        "CHECKPOINT_INVALID",
        `${location} holds "${shownName(name)}" twice: as ${shownName(other.name)} in ${other.file} and as ${shownName(tensor.name)} in ${tensor.file}.`,
      );
    }
    tensors.set(name, tensor);
  }
  for (const [tensor, file] of index ?? []) {
    if (tensors.get(publishedName(tensor))?.file === file) continue;
    throw new GlimtError(
      "CHECKPOINT_INVALID",
      `${location}: ${INDEX} puts "${shownName(tensor)}" in ${file}, which lacks it.`,
    );
  }
  return tensors;
}

function more(names: readonly string[]): string {
  return names.length > LISTED ? ` and ${names.length - LISTED} more` : "";
}

/** Results in the order of `items`. The first failure ends it, and nothing more is begun then. */
async function severalAtOnce<T, R>(items: readonly T[], task: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const waiting = items.entries();
  let failed = false;
  const worker = async () => {
    for (const [index, item] of waiting) {
      if (failed) return;
      try {
        results[index] = await task(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
  return results;
}

async function noWeights(files: CheckpointFiles, signal: AbortSignal | undefined): Promise<GlimtError> {
  const pickled =
    (await files.size("pytorch_model.bin", signal)) ??
    (await files.size("pytorch_model.bin.index.json", signal));
  const gguf = (await files.list?.())?.filter((name) => /\.gguf$/i.test(name)) ?? [];
  const advice =
    gguf.length > 0
      ? ` It has GGUF files (${gguf.slice(0, LISTED).map(shownName).join(", ")}${more(gguf)}): give the path of the one that is meant.`
      : pickled === null
        ? ""
        : " Its weights are pickled; convert them to safetensors first.";
  return new GlimtError(
    "CHECKPOINT_NOT_FOUND",
    `${files.location} has neither ${SINGLE} nor ${INDEX}.${absenceOf(files, SINGLE)}${advice}`,
  );
}
