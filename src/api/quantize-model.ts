/** From a checkpoint to a quantised one: its matrices in blocks, as loading with `dtype` would make them, in files. */
import { type Checkpoint, openCheckpoint } from "../checkpoint/checkpoint.ts";
import type { CheckpointFiles } from "../checkpoint/files.ts";
import {
  type ModelLocation,
  OPEN_FILES_KINDS,
  OPEN_FILES_OPTION_NAMES,
  type OpenFiles,
  type OpenFilesOptions,
} from "../checkpoint/location.ts";
import { resolveWeights } from "../checkpoint/resolve-weights.ts";
import type { WeightFile } from "../checkpoint/shards.ts";
import { ownFormat } from "../checkpoint/stored-weight.ts";
import { type StorageTotals, storageOf, storageTotals } from "../checkpoint/tensor-storage.ts";
import { descriptionFiles, quantisedConfigText } from "../checkpoint/write/description.ts";
import { layoutWeights, type WeightsLayout } from "../checkpoint/write/layout.ts";
import type { OpenOutput, OutputFile, OutputFolder } from "../checkpoint/write/output.ts";
import { tensorsOf, type WrittenWeight, writeWeight } from "../checkpoint/write/written-weight.ts";
import { GlimtError, throwIfAborted } from "../errors.ts";
import { checkTimeLimit, readOptions, shown } from "../given.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import { modelStages } from "../models/stages.ts";
import { DEFAULT_PAGE_SIZE } from "../runtime/compile-stages.ts";
import { fitsInto8Bits, type MadeBlockFormat } from "../tensor/blocks.ts";
import { isBlockFormat, isRoundedFormat, type RoundedFormat, type WeightFormat } from "../tensor/storage.ts";
import { chooseKeptFormat, KEPT_PARTS, type KeptPart } from "./kept-weights.ts";

/** What a quantised checkpoint is to hold, and how the one that it is made of is read. */
export interface QuantizeOptions extends Omit<OpenFilesOptions, "mmproj"> {
  /** Of the language model's matrices. */
  readonly dtype: MadeBlockFormat;
  /** Of the vision tower's matrices; default: as in the checkpoint. */
  readonly visionDtype?: MadeBlockFormat | undefined;
  /** Parts that stay as in the checkpoint; default: the vision tower, if `visionDtype` does not say otherwise. */
  readonly keep?: readonly KeptPart[] | undefined;
  /**
   * For whom else the files are. "vllm": table and head stay as they are, and queries have the format of keys and values,
   * as vLLM needs it.
   */
  readonly for?: "vllm" | undefined;
  /** Replaces the checkpoint that is in the folder; other files there stay. Default: what is there is an error. */
  readonly force?: boolean | undefined;
  /** Before the first weight and after each piece; may throw to stop. */
  readonly onProgress?: ((progress: QuantizeProgress) => void) | undefined;
}

/** How far writing is. */
export interface QuantizeProgress {
  /** Of the files that are written. */
  readonly writtenBytes: number;
  /** Of all of them, when they are whole. */
  readonly totalBytes: number;
}

/** What was written. */
export interface QuantizedModel {
  /** The folder, as a full path. */
  readonly location: string;
  /** Of weights. */
  readonly files: readonly WeightFile[];
  /** Of all weight files. */
  readonly bytes: number;
  /** What became of the tensors. */
  readonly conversions: readonly StorageTotals[];
  /** Tensors that were left out, and why, in sentences. */
  readonly notes: readonly string[];
}

/** What writing needs of a platform. */
export interface QuantizePlatform {
  readonly openFiles: OpenFiles;
  readonly openOutput: OpenOutput;
  /** Of this package. */
  readonly version: string;
}

const FORMATS: readonly unknown[] = ["q8", "q4"];
const OPEN_NAMES = OPEN_FILES_OPTION_NAMES.filter((name) => name !== "mmproj");
const OPTION_NAMES = [...OPEN_NAMES, "dtype", "visionDtype", "keep", "for", "force", "onProgress"];
const KINDS = { ...OPEN_FILES_KINDS, keep: "list", force: "boolean" } as const;

/**
 * @throws OPTION_INVALID, OUTPUT_FAILED, and what loading throws about a checkpoint; nothing is left behind then
 */
export async function quantizeModelOn(
  { openFiles, openOutput, version }: QuantizePlatform,
  location: ModelLocation,
  path: string,
  given: QuantizeOptions,
): Promise<QuantizedModel> {
  const options = readQuantizeOptions(given, path);
  const { headers, checkpointTimeout, fetch, hub, onDownload, signal, force = false } = options;
  const files = await openFiles(location, { headers, checkpointTimeout, fetch, hub, onDownload, signal });
  const checkpoint = await openCheckpoint(files, { signal });
  refuseGguf(checkpoint.files);
  const specs = quantisedSpecs(checkpoint, options);
  // Whatever can be wrong with the model is said before anything is written.
  resolveWeights(checkpoint, specs);
  const { weights, notes } = writtenWeights(checkpoint, specs);
  const layout = layoutWeights(weights.map(tensorsOf), {
    format: "pt",
    quantized_by: `glimt ${version}`,
    dtype: options.dtype,
  });
  const output = await openOutput(path, { source: files.location, bytes: layout.bytes, force });
  try {
    await files.bring?.(
      checkpoint.weightFiles.map(({ name }) => name),
      signal,
    );
    files.expectReads?.(
      weights.map(({ source }) => source),
      signal,
    );
    await writeAll(output, weights, layout, options);
    await writeSmall(output, "config.json", await quantisedConfigText(files, weights, signal));
    if (layout.index) await writeSmall(output, "model.safetensors.index.json", layout.index);
    for (const [name, bytes] of await descriptionFiles(files, signal)) await writeSmall(output, name, bytes);
    throwIfAborted(signal);
    await output.finish();
  } catch (error) {
    await output.discard();
    throw error;
  } finally {
    files.expectReads?.([]);
  }
  const rows = weights.map(({ source, format }) => storageOf(source, format));
  return {
    location: output.location,
    files: layout.files.map(({ name, bytes }) => ({ name, bytes })),
    bytes: layout.bytes,
    conversions: storageTotals(rows),
    notes,
  };
}

function readQuantizeOptions(given: QuantizeOptions, path: string): QuantizeOptions {
  const options = readOptions(given, "quantizeModel", OPTION_NAMES, KINDS);
  const { dtype, visionDtype, keep = [], for: reader } = options;
  const wrong = (name: string, value: unknown, expected: string) =>
    new GlimtError("OPTION_INVALID", `${name} is ${shown(value)}, expected ${expected}.`);
  if (typeof path !== "string" || path.trim() === "") throw wrong("The output", path, "a folder's path");
  // As a path it would be folders of odd names.
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(path)) throw wrong("The output", path, "a folder's path, no address");
  if (!FORMATS.includes(dtype)) throw wrong("dtype", dtype, '"q8" or "q4"');
  if (visionDtype !== undefined && !FORMATS.includes(visionDtype)) {
    throw wrong("visionDtype", visionDtype, '"q8" or "q4"');
  }
  const other = keep.find((part) => !KEPT_PARTS.includes(part));
  if (other !== undefined) throw wrong("keep", other, `one of ${KEPT_PARTS.join(", ")}`);
  if (keep.includes("vision") && visionDtype !== undefined) {
    throw new GlimtError(
      "OPTION_INVALID",
      `keep has "vision", and visionDtype is "${visionDtype}": give one.`,
    );
  }
  if (reader !== undefined && reader !== "vllm") throw wrong("for", reader, '"vllm"');
  checkTimeLimit("checkpointTimeout", options.checkpointTimeout);
  return options;
}

/** Its tokenizer and processor are no files that could be copied. */
function refuseGguf(files: CheckpointFiles): void {
  if (!files.document) return;
  throw new GlimtError(
    "MODEL_UNSUPPORTED",
    `${files.location} is a GGUF model, which has no tokenizer and processor files to copy; quantise the Hugging Face checkpoint that it was made from.`,
  );
}

/** Every weight of the model, in the format that it gets. */
function quantisedSpecs(checkpoint: Checkpoint, options: QuantizeOptions): WeightSpec[] {
  const stages = modelStages(checkpoint.config, {
    activationDType: "f32",
    weightDType: chooseKeptFormat(checkpoint, options),
    pageSize: DEFAULT_PAGE_SIZE,
  });
  return stages.flatMap(({ graph }) =>
    graph.values.flatMap(({ origin }) => (origin.kind === "weight" ? [origin.spec] : [])),
  );
}

/** What is written, in the order in which it lies in the source. */
function writtenWeights(
  { tensors, weightFiles }: Checkpoint,
  specs: readonly WeightSpec[],
): { weights: WrittenWeight[]; notes: string[] } {
  const chosen = new Map<string, RoundedFormat>();
  for (const { dtype, sources } of specs) {
    for (const { tensor, layout } of sources) {
      // Elements of a convolution are put in another order before they would be blocks: in a file they have theirs.
      if (isBlockFormat(dtype) && isRoundedFormat(dtype) && layout === "rows") chosen.set(tensor, dtype);
    }
  }
  const weights: WrittenWeight[] = [];
  const notes: string[] = [];
  for (const [name, source] of tensors) {
    if (source.refusal !== undefined) {
      notes.push(`${name}, which the model does without, is left out: it ${source.refusal}.`);
      continue;
    }
    const isMatrix = source.shape.length === 2;
    const own = ownFormat(source);
    const kept = isBlockFormat(own) && !isMatrix ? "f32" : keptFormat(own);
    weights.push({ name, source, format: (isMatrix && chosen.get(name)) || kept });
  }
  const fileOrder = new Map(weightFiles.map(({ name }, index) => [name, index]));
  const order = ({ source }: WrittenWeight) => fileOrder.get(source.file) ?? 0;
  weights.sort((a, b) => order(a) - order(b) || a.source.offset - b.source.offset);
  return { weights, notes };
}

/** What is not in blocks that are written stays what it is worth, or is rounded to bf16. */
function keptFormat(own: WeightFormat): RoundedFormat {
  if (isRoundedFormat(own)) return own;
  return fitsInto8Bits(own) ? "q8" : "bf16";
}

/** The weight files. */
async function writeAll(
  output: OutputFolder,
  weights: readonly WrittenWeight[],
  { files, places, bytes: totalBytes }: WeightsLayout,
  { onProgress, signal }: QuantizeOptions,
): Promise<void> {
  let writtenBytes = 0;
  const open = new Map<string, OutputFile>();
  for (const { name, head } of files) {
    const file = await output.create(name);
    open.set(name, file);
    await file.write(0, head);
    writtenBytes += head.length;
  }
  onProgress?.({ writtenBytes, totalBytes });
  for (const weight of weights) {
    await writeWeight(
      weight,
      async (tensor, at, bytes) => {
        const { file, offset } = places.get(tensor) as { file: string; offset: number };
        await open.get(file)?.write(offset + at, bytes);
        writtenBytes += bytes.length;
      },
      () => onProgress?.({ writtenBytes, totalBytes }),
      signal,
    );
  }
  for (const file of open.values()) await file.close();
}

async function writeSmall(output: OutputFolder, name: string, content: string | Uint8Array): Promise<void> {
  const file = await output.create(name);
  await file.write(0, typeof content === "string" ? new TextEncoder().encode(content) : content);
  await file.close();
}
