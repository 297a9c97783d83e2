/** Options that several commands share: which model, how to load it, what to ask it. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Backend } from "../backends/backend.ts";
import { type CudaOptions, createCudaBackend } from "../backends/cuda/backend.node.ts";
import { GlimtError } from "../errors.ts";
import type {
  KvCacheSize,
  LoadOptions,
  MediaOptions,
  Message,
  MessagePart,
  ProcessOptions,
} from "../index.ts";
import { parseJson } from "../json/plain.ts";
import { nodePlatform } from "../node-engine.ts";
import { readMessages, readPrompt, readToolsFile } from "./chat-files.ts";
import { type CheckpointFlags, checkpointOptions, withCheckpointOptions } from "./checkpoint-flags.ts";
import { type FormatFlags, withFormatOptions } from "./format-flags.ts";
import { readStandardInput, requireOneReader, STANDARD_INPUT } from "./standard-input.ts";

export interface PromptFlags {
  readonly image: readonly string[];
  readonly video: readonly string[];
  readonly system?: string;
  readonly messages?: string;
  readonly tools?: string;
  readonly thinking?: boolean;
  readonly videoFps?: number;
  readonly sampleFrames?: boolean;
  readonly maxFrames?: number;
  readonly videoLayout?: NonNullable<ProcessOptions["videoLayout"]>;
  readonly templateVariables?: Readonly<Record<string, unknown>>;
  /** Of commands that answer once. */
  readonly continueFinalMessage?: true;
  readonly specialTokensInText?: NonNullable<ProcessOptions["specialTokensInText"]>;
}

/** What of a prompt may be files of the caller's. */
export function filesRead(flags: PromptFlags): readonly (string | undefined)[] {
  return [...flags.image, ...flags.video, flags.messages, flags.tools];
}

export interface VideoPruningFlag {
  readonly videoPruning?: number;
}

export interface MediaFlags extends VideoPruningFlag {
  readonly media: NonNullable<LoadOptions["media"]>;
  readonly rounding: NonNullable<LoadOptions["rounding"]>;
  readonly maxDecodedPixels?: number;
}

export interface DeviceFlags {
  readonly backend: NonNullable<LoadOptions["backend"]>;
  readonly activations?: NonNullable<CudaOptions["activations"]>;
  readonly device?: number;
}

export interface LoadFlags extends CheckpointFlags, FormatFlags, DeviceFlags {
  readonly maxImagePixels?: number;
}

export function withPromptOptions(command: Command): Command {
  return withConversationOptions(command, true)
    .option("--tools <file.json>", "functions that the model may call: an array of their schemas")
    .option(
      "--continue-final-message",
      "go on with the last message, such as an answer that --messages begins, in place of answering it",
    );
}

/** What a conversation holds, and how it is read. @param takesInput whether "-" is standard input, which is no chat's to give */
export function withConversationOptions(command: Command, takesInput: boolean): Command {
  const from = takesInput ? "file, URL, or - for standard input" : "file or URL";
  return command
    .argument("<model>", "model of the Hub (ORG/NAME), checkpoint directory, or the URL of one")
    .argument("[prompt]", takesInput ? "what to ask; - reads it from standard input" : "what to ask first")
    .option(
      "--image <file>",
      `a picture (PNG, JPEG, WebP, GIF, TIFF, BMP; ${from}); may be repeated`,
      collect,
      [],
    )
    .option(
      "--video <file|dir>",
      `a video (MP4, MOV, WebM, MKV, MPEG-TS, animated GIF, WebP or PNG; ${from}), or a directory of frames; may be repeated`,
      collect,
      [],
    )
    .option("--video-fps <n>", "frames a second to sample of videos (GLM-4.1V)", decimal)
    .option(
      "--sample-frames",
      "choose frames as the checkpoint's processor does (default where the rate is known)",
    )
    .option("--no-sample-frames", "use all frames of videos as they are")
    .option("--max-frames <n>", "use at most so many frames of each video", wholeNumber)
    .addOption(
      new Option(
        "--video-layout <how>",
        "frames: each with its time behind it, as in Hugging Face (default); block: a video is one block without times",
      ).choices(["frames", "block"]),
    )
    .option(
      "--template-variables <json>",
      'further variables of the chat template: {"name": value}',
      templateVariables,
    )
    .option("--thinking", "let the model think first (default: as the chat template has it)")
    .option("--no-thinking", "no thinking first, for templates that can do without")
    .addOption(
      new Option(
        "--special-tokens-in-text <how>",
        "parse: text that spells a control token is one, as in Hugging Face (default); text: it is plain characters",
      ).choices(["parse", "text"]),
    )
    .option("--system <text>", "system message")
    .option(
      "--messages <file.json>",
      takesInput
        ? "the whole conversation (-: of standard input); media paths in it are relative to the file"
        : "a conversation to go on with, such as /save writes; media paths in it are relative to the file",
    );
}

export function withLoadOptions(command: Command): Command {
  return withDeviceOptions(
    withFormatOptions(withCheckpointOptions(command)).option(
      "--max-image-pixels <n>",
      "resize pictures to at most this many pixels",
      wholeNumber,
    ),
  );
}

/** What runs the model. */
export function withDeviceOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--backend <name>", "where to run")
        .choices(["auto", "wasm", "cuda", "reference"])
        .default("auto"),
    )
    .addOption(
      new Option(
        "--activations <type>",
        "type of activations and of the KV cache on CUDA (default: bf16)",
      ).choices(["bf16", "f16", "f32"]),
    )
    .option("--device <n>", "which GPU, as nvidia-smi counts them (default: 0)", wholeNumber);
}

/** Flags of whatever looks at pictures and videos. */
export function withMediaOptions(command: Command): Command {
  return withPictureOptions(withVideoPruning(command));
}

/** Flags of whatever looks at pictures. */
export function withPictureOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--media <mode>",
        "huggingface: ignore EXIF orientation and drop transparency, as Hugging Face does",
      )
        .choices(["default", "huggingface"])
        .default("default"),
    )
    .addOption(
      new Option("--rounding <recipe>", "whose bicubic resize to reproduce")
        .choices(["torchvision", "pillow"])
        .default("torchvision"),
    )
    .option(
      "--max-decoded-pixels <n>",
      "refuse pictures and frames of more pixels (default: 100000000)",
      wholeNumber,
    );
}

export function withVideoPruning(command: Command): Command {
  return command.option(
    "--video-pruning <share>",
    "leave out this share of each video's tokens, of what stands still (default: 0)",
    decimal,
  );
}

/** Flags that were given, in the shape loadModel takes. */
export function loadOptions(flags: LoadFlags & MediaFlags): LoadOptions {
  const { backend, dtype, visionDtype, kvCacheDtype, maxImagePixels } = flags;
  return {
    backend,
    dtype,
    visionDtype,
    kvCacheDtype,
    maxImagePixels,
    ...checkpointOptions(flags),
    ...mediaOptions(flags),
  };
}

export function mediaOptions({ media, rounding, maxDecodedPixels, videoPruning }: MediaFlags): MediaOptions {
  return { media, rounding, maxDecodedPixels, videoPruning };
}

/** The backends to choose from, CUDA as the flags want it. @throws OPTION_INVALID */
export function backendsFor({ backend, activations, device }: DeviceFlags): readonly Backend[] {
  if (activations === undefined && device === undefined) return nodePlatform.backends;
  if (backend === "cuda") return [createCudaBackend({ activations, device })];
  throw new GlimtError("OPTION_INVALID", "--activations and --device are for CUDA: add --backend cuda.");
}

/** What the flags say of how a conversation is processed. */
export async function processOptions(flags: PromptFlags): Promise<ProcessOptions> {
  const { thinking, videoFps, sampleFrames, maxFrames, videoLayout, specialTokensInText } = flags;
  const { templateVariables, continueFinalMessage } = flags;
  const tools = flags.tools === undefined ? undefined : await readToolsFile(flags.tools);
  return {
    tools,
    enableThinking: thinking,
    continueFinalMessage,
    templateVariables,
    videoFps,
    sampleFrames,
    maxFrames,
    videoLayout,
    specialTokensInText,
  };
}

/** The conversation that the flags describe: from a file, or pictures, videos and a prompt in one user message. */
export async function conversation(prompt: string | undefined, flags: PromptFlags): Promise<Message[]> {
  requireOneReader([
    ["The prompt", prompt],
    ["--messages", flags.messages],
    ["--tools", flags.tools],
    ...flags.image.map((image) => ["--image", image] as const),
    ...flags.video.map((video) => ["--video", video] as const),
  ]);
  if (flags.messages !== undefined) {
    if (
      prompt !== undefined ||
      flags.image.length > 0 ||
      flags.video.length > 0 ||
      flags.system !== undefined
    ) {
      throw new GlimtError(
        "OPTION_INVALID",
        "--messages holds the whole conversation; leave out the other prompt options.",
      );
    }
    return readMessages(flags.messages);
  }
  const images = await Promise.all(flags.image.map((image) => mediaSource("--image", image)));
  const videos = await Promise.all(flags.video.map((video) => mediaSource("--video", video)));
  const text = prompt === STANDARD_INPUT ? await readPrompt() : prompt;
  const parts: MessagePart[] = [
    ...images.map((image): MessagePart => ({ type: "image", image })),
    ...videos.map((video): MessagePart => ({ type: "video", video })),
    ...(text === undefined ? [] : [{ type: "text", text } as const]),
  ];
  if (parts.length === 0)
    throw new GlimtError(
      "OPTION_INVALID",
      "Nothing was asked: give a PROMPT, --image, --video or --messages.",
    );
  const system: Message[] = flags.system === undefined ? [] : [{ role: "system", content: flags.system }];
  return [...system, { role: "user", content: parts }];
}

async function mediaSource(flag: string, given: string): Promise<string | Uint8Array> {
  return given === STANDARD_INPUT ? readStandardInput(`${flag} -`) : given;
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isInteger(value) || value < 0)
    throw new InvalidArgumentError("It must be a whole number.");
  return value;
}

/** "4GiB", "512MiB", or "50%" of what is free beside the weights. */
export function kvCacheSize(text: string): KvCacheSize {
  const share = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1];
  if (share !== undefined && Number(share) <= 100) return { fraction: Number(share) / 100 };
  const bytes = bytesOf(text);
  if (bytes !== undefined) return { bytes };
  throw new InvalidArgumentError("It must be a size such as 512MiB or 4GiB, or a share such as 50%.");
}

/** Bytes of "4GiB" or "512MiB". */
export function memorySize(text: string): number {
  const bytes = bytesOf(text);
  if (bytes !== undefined && bytes > 0) return bytes;
  throw new InvalidArgumentError("It must be a size such as 512MiB or 4GiB.");
}

/** The same, and 0 for none. */
export function memorySizeOrNone(text: string): number {
  const bytes = bytesOf(text);
  if (bytes !== undefined) return bytes;
  throw new InvalidArgumentError("It must be a size such as 64MiB, or 0MiB for none.");
}

function bytesOf(text: string): number | undefined {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(MiB|GiB)$/.exec(text) ?? [];
  if (number === undefined) return undefined;
  return Math.floor(Number(number) * (unit === "MiB" ? 2 ** 20 : 2 ** 30));
}

export function decimal(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("It must be a number.");
  return value;
}

function templateVariables(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw new InvalidArgumentError(`It is no JSON: ${(error as Error).message}`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw new InvalidArgumentError("It must be a JSON object.");
}

export function collect(value: string, all: string[]): string[] {
  return [...all, value];
}
