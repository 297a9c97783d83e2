/** Reads the whole-model golden cases that make.py recorded from Hugging Face transformers (format: README.md). */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

export type GoldenPart =
  | { type: "text"; text: string }
  | { type: "image"; image: string }
  | { type: "video"; video: string };

export interface GoldenMessage {
  role: "system" | "user" | "assistant";
  content: string | GoldenPart[];
}

/** A float32 array with its row-major shape. */
export interface GoldenArray {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export interface GoldenCase {
  /** `checkpoint/case`, for test names. */
  readonly name: string;
  readonly checkpoint: string;
  readonly checkpointDir: string;
  readonly case: string;
  /** Image and video paths are absolute. Media are to be read with `media: "huggingface"`. */
  readonly messages: GoldenMessage[];
  /** Extra variables of the chat template, e.g. `{ enable_thinking: false }`. */
  readonly templateOptions: Readonly<Record<string, unknown>>;
  /** The rendered template, one placeholder an image or video. */
  readonly promptText: string;
  readonly inputIds: readonly number[];
  /** 0 text, 1 image, 2 video. */
  readonly mmTokenTypeIds: readonly number[];
  readonly imageGridThw: readonly (readonly number[])[];
  readonly videoGridThw: readonly (readonly number[])[];
  /** For each video the frames that were taken of it, the padding one repeated. */
  readonly videoFrameIndices: readonly (readonly number[])[];
  /** 3 x T: time, height, width. */
  readonly positionIds: readonly (readonly number[])[];
  readonly ropeDelta: number;
  /** 24 argmax tokens in float32, eos not heeded, and how far each was above the runner-up. */
  readonly greedyIds: readonly number[];
  readonly greedyMargins: readonly number[];
  /** What generation gives: greedyIds up to and with the first eos. */
  readonly tokenIds: readonly number[];
  readonly finishReason: "stop" | "length";
  /** tokenIds decoded without special tokens. */
  readonly text: string;
  /** Logits at the last prompt position: [vocab]. */
  readonly lastLogits: GoldenArray;
  /** The merger's output, images then videos: [merged patches, hidden]. */
  readonly visionEmbeddings: GoldenArray | null;
  /** [patches, channels * temporal * patch * patch], torchvision's rounding. */
  readonly pixelValues: GoldenArray | null;
  readonly pixelValuesVideos: GoldenArray | null;
  /** The same with Pillow's rounding: sha256 of the little-endian float32 bytes, and for some cases the values. */
  readonly pillowPixelsSha256: string | null;
  readonly pixelValuesPillow: GoldenArray | null;
}

interface ArrayEntry {
  dtype: "f32";
  shape: number[];
  byteOffset: number;
}

const ARRAY_NAMES = ["visionEmbeddings", "pixelValues", "pixelValuesVideos", "pixelValuesPillow"] as const;

const FORMAT_VERSION = 1;
const HOW_TO_REMAKE = "remake it with `python test/golden/make.py` (see test/golden/README.md)";

export const goldenDataDir = join(process.cwd(), "test", "golden", "data");

/** All recorded cases, or those of one checkpoint, sorted by name. Throws with a hint when one is missing or outdated. */
export function goldenCases(checkpoint?: string): GoldenCase[] {
  const found = goldenCheckpoints().filter((name) => checkpoint === undefined || name === checkpoint);
  if (found.length === 0) {
    throw new Error(`no golden checkpoint ${checkpoint ?? ""} in ${goldenDataDir}: ${HOW_TO_REMAKE}`);
  }
  return found.flatMap((name) =>
    readdirSync(join(goldenDataDir, name, "cases"))
      .filter((file) => file.endsWith(".json"))
      .sort()
      .map((file) => readCase(name, file.slice(0, -".json".length))),
  );
}

/** One case by name; throws with a hint when it is missing. */
export function goldenCase(checkpoint: string, name: string): GoldenCase {
  return readCase(checkpoint, name);
}

/** The names of the tiny checkpoints, which are the directories that have cases. */
export function goldenCheckpoints(): string[] {
  if (!existsSync(goldenDataDir)) throw new Error(`${goldenDataDir} is missing: ${HOW_TO_REMAKE}`);
  return readdirSync(goldenDataDir)
    .filter((name) => existsSync(join(goldenDataDir, name, "cases")))
    .sort();
}

function readCase(checkpoint: string, name: string): GoldenCase {
  const checkpointDir = join(goldenDataDir, checkpoint);
  const entry = JSON.parse(readOrHint(join(checkpointDir, "cases", `${name}.json`)).toString("utf8"));
  if (entry.version !== FORMAT_VERSION) {
    throw new Error(`golden case ${checkpoint}/${name} has format ${entry.version}: ${HOW_TO_REMAKE}`);
  }
  const blob = gunzipSync(readOrHint(join(checkpointDir, "cases", `${name}.bin.gz`)));
  const { arrays, version: _, ...fields } = entry;
  const array = (key: string): GoldenArray | null => (arrays[key] ? readArray(blob, arrays[key]) : null);
  return {
    ...fields,
    name: `${checkpoint}/${name}`,
    checkpointDir,
    messages: entry.messages.map(withAbsolutePaths),
    lastLogits: readArray(blob, arrays.lastLogits),
    ...Object.fromEntries(ARRAY_NAMES.map((key) => [key, array(key)])),
  } as GoldenCase;
}

function readArray(blob: Buffer, { shape, byteOffset }: ArrayEntry): GoldenArray {
  const length = shape.reduce((product, size) => product * size, 1);
  const bytes = new Uint8Array(blob.subarray(byteOffset, byteOffset + 4 * length));
  return { shape, data: new Float32Array(bytes.buffer, 0, length) };
}

function withAbsolutePaths(message: GoldenMessage): GoldenMessage {
  if (typeof message.content === "string") return message;
  const content = message.content.map((part): GoldenPart => {
    if (part.type === "image") return { ...part, image: join(goldenDataDir, part.image) };
    if (part.type === "video") return { ...part, video: join(goldenDataDir, part.video) };
    return part;
  });
  return { ...message, content };
}

function readOrHint(path: string): Buffer {
  if (!existsSync(path)) throw new Error(`golden file ${path} is missing: ${HOW_TO_REMAKE}`);
  return readFileSync(path);
}
