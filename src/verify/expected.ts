/** What transformers made of a checkpoint, as the script verify.py writes it: a safetensors file with a description. */

import type { CheckpointFiles } from "../checkpoint/files.ts";
import { readSafetensorsHeader, type StoredTensor } from "../checkpoint/safetensors.ts";
import { GlimtError } from "../errors.ts";
import { parseJson } from "../json/plain.ts";
import type { RawImage } from "../media/source.ts";
import type { PositionIds } from "../mrope/positions.ts";
import type { GridThw } from "../processor/grid.ts";
import type { Rounding } from "../processor/resample-weights.ts";
import type { Message, MessagePart } from "../prompt/process-options.ts";

/** The format of the file that this reads. */
const VERSION = 1;

export interface Expected {
  /** What the judge computed in. */
  readonly dtype: "f32" | "bf16";
  /** Why it could not read the weights: then there are no features, logits and tokens. */
  readonly refused: string | null;
  /** Whose resizing its image processor has. */
  readonly rounding: Rounding;
  /** Versions of Python and packages by name. */
  readonly python: Readonly<Record<string, string | null>>;
  readonly host: { readonly cpu: string; readonly system: string; readonly threads: number };
  readonly cases: readonly ExpectedCase[];
}

export interface ExpectedCase {
  readonly name: string;
  /** Why the judge did not process it. */
  readonly skipped: string | null;
  /** Reads all of it. */
  read(signal?: AbortSignal): Promise<ExpectedValues>;
}

export interface ExpectedValues {
  /** With decoded pictures and frames in place. */
  readonly messages: readonly Message[];
  readonly promptText: string;
  readonly inputIds: readonly number[];
  readonly tokenTypes: readonly number[];
  readonly imageGridThw: readonly GridThw[];
  readonly videoGridThw: readonly GridThw[];
  /** f32 [patches, channels * temporal * patch²] */
  readonly pixelValues: Float32Array | null;
  readonly pixelValuesVideos: Float32Array | null;
  readonly answer: ExpectedAnswer | null;
}

/** What the judge's model computed. */
export interface ExpectedAnswer {
  readonly positionIds: PositionIds;
  /** f32 [features, hidden], in prompt order; null without pictures. */
  readonly features: Float32Array | null;
  /** f32 [vocabSize], behind the prompt. */
  readonly lastLogits: Float32Array;
  /** The token of each step. */
  readonly greedyIds: readonly number[];
  /** The largest logits of each step, largest first. */
  readonly top: readonly { readonly ids: Int32Array; readonly logits: Float32Array; readonly norm: number }[];
}

interface CaseDescription {
  readonly name: string;
  readonly message: readonly { readonly type: string; readonly text?: string; readonly image?: string }[];
  readonly skipped: string | null;
  readonly promptText: string;
  readonly imageGridThw: readonly GridThw[];
  readonly videoGridThw: readonly GridThw[];
  readonly fps?: number;
}

interface Description extends Omit<Expected, "cases"> {
  readonly version: number;
  readonly cases: readonly CaseDescription[];
}

/** @throws CHECKPOINT_NOT_FOUND, CHECKPOINT_INVALID for what verify.py did not write */
export async function openExpected(
  files: CheckpointFiles,
  name: string,
  signal?: AbortSignal,
): Promise<Expected> {
  const size = await files.size(name, signal);
  if (size === null) throw new GlimtError("CHECKPOINT_NOT_FOUND", `There is no file ${name}.`);
  const invalid = (what: string) => new GlimtError("CHECKPOINT_INVALID", `${name}: ${what}`);
  const tensors = new TensorFile(files, await readSafetensorsHeader(files, name, size, signal), invalid);
  const { version, cases, ...about } = describe(await tensors.bytes("about", signal), invalid);
  if (version !== VERSION) {
    throw invalid(
      `verify.py wrote version ${version}, and this glimt reads ${VERSION}: use the script of this glimt.`,
    );
  }
  return {
    ...about,
    cases: cases.map((found) => ({
      name: found.name,
      skipped: found.skipped,
      read: (ending) => readCase(tensors, found, about.refused === null, ending),
    })),
  };
}

function describe(bytes: Uint8Array, invalid: (what: string) => GlimtError): Description {
  let value: unknown;
  try {
    value = parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    value = null;
  }
  const found = value as Partial<Description> | null;
  if (typeof found?.version === "number" && (found.version !== VERSION || Array.isArray(found.cases))) {
    return found as Description;
  }
  throw invalid("this is no file of verify.py.");
}

class TensorFile {
  readonly #files: CheckpointFiles;
  readonly #tensors: ReadonlyMap<string, StoredTensor>;
  readonly #invalid: (what: string) => GlimtError;

  constructor(
    files: CheckpointFiles,
    tensors: readonly StoredTensor[],
    invalid: (what: string) => GlimtError,
  ) {
    this.#files = files;
    this.#tensors = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    this.#invalid = invalid;
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  async bytes(name: string, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return (await this.#read(name, "U8", signal)).bytes;
  }

  async floats(name: string, signal?: AbortSignal) {
    const { bytes, shape } = await this.#read(name, "F32", signal);
    return { data: new Float32Array(bytes.buffer), shape };
  }

  async integers(name: string, signal?: AbortSignal) {
    const { bytes, shape } = await this.#read(name, "I32", signal);
    return { data: new Int32Array(bytes.buffer), shape };
  }

  /** u8 [..., height, width, 3]: pictures, of a video several. */
  async pictures(name: string, signal?: AbortSignal): Promise<RawImage[]> {
    const { bytes, shape } = await this.#read(name, "U8", signal);
    const [channels = 0, width = 0, height = 0] = shape.toReversed();
    const size = channels * width * height;
    if (channels !== 3 || size === 0) throw this.#invalid(`"${name}" is no picture.`);
    return Array.from({ length: bytes.length / size }, (_, index) => ({
      data: bytes.subarray(index * size, (index + 1) * size),
      width,
      height,
      channels,
    }));
  }

  async #read(name: string, dtype: StoredTensor["dtype"], signal: AbortSignal | undefined) {
    const tensor = this.#tensors.get(name);
    if (tensor?.dtype !== dtype) throw this.#invalid(`there is no tensor "${name}" of ${dtype}.`);
    const bytes = new Uint8Array(tensor.bytes);
    await this.#files.readInto(tensor.file, tensor.offset, bytes, signal);
    return { bytes, shape: tensor.shape };
  }
}

async function readCase(
  tensors: TensorFile,
  about: CaseDescription,
  isAnswered: boolean,
  signal: AbortSignal | undefined,
): Promise<ExpectedValues> {
  const { name, promptText, imageGridThw, videoGridThw } = about;
  const own = (part: string) => `${name}/${part}`;
  const pixels = async (part: string) =>
    tensors.has(own(part)) ? (await tensors.floats(own(part), signal)).data : null;
  return {
    messages: [{ role: "user", content: await partsOf(tensors, about, signal) }],
    promptText,
    inputIds: [...(await tensors.integers(own("inputIds"), signal)).data],
    tokenTypes: [...(await tensors.integers(own("tokenTypes"), signal)).data],
    imageGridThw,
    videoGridThw,
    pixelValues: await pixels("pixelValues"),
    pixelValuesVideos: await pixels("pixelValuesVideos"),
    answer: isAnswered ? await readAnswer(tensors, own, signal) : null,
  };
}

async function partsOf(
  tensors: TensorFile,
  { name, message, fps }: CaseDescription,
  signal: AbortSignal | undefined,
): Promise<MessagePart[]> {
  const parts: MessagePart[] = [];
  for (const { type, text = "", image } of message) {
    if (type === "text") parts.push({ type, text });
    else if (type === "image") {
      const [picture] = await tensors.pictures(`${name}/media/${image}`, signal);
      parts.push({ type, image: picture as RawImage });
    } else {
      const frames = await tensors.pictures(`${name}/media/v`, signal);
      const metadata = { fps, totalNumFrames: frames.length, duration: frames.length / (fps ?? 1) };
      parts.push({ type: "video", video: { frames, metadata } });
    }
  }
  return parts;
}

async function readAnswer(
  tensors: TensorFile,
  own: (part: string) => string,
  signal: AbortSignal | undefined,
): Promise<ExpectedAnswer> {
  const positions = (await tensors.integers(own("positionIds"), signal)).data;
  const axis = (index: number) =>
    positions.subarray((index * positions.length) / 3, ((index + 1) * positions.length) / 3);
  const { data: ids, shape } = await tensors.integers(own("topIds"), signal);
  const { data: logits } = await tensors.floats(own("topLogits"), signal);
  const { data: norms } = await tensors.floats(own("norms"), signal);
  const [, width = 0] = shape;
  return {
    positionIds: [axis(0), axis(1), axis(2)],
    features: tensors.has(own("features")) ? (await tensors.floats(own("features"), signal)).data : null,
    lastLogits: (await tensors.floats(own("lastLogits"), signal)).data,
    greedyIds: [...(await tensors.integers(own("greedyIds"), signal)).data],
    top: Array.from(norms, (norm, step) => ({
      ids: ids.subarray(step * width, (step + 1) * width),
      logits: logits.subarray(step * width, (step + 1) * width),
      norm,
    })),
  };
}
