/** `glimt plan`: what a request will need, from the sizes of its pictures; reads no weights and runs nothing. */

import { Command, InvalidArgumentError } from "commander";
import { resolveParallel } from "../api/parallel-options.ts";
import { formatBytes } from "../compiler/print.ts";
import { type ImageDims, openProcessor, type RequestPlan, type VideoDims } from "../index.ts";
import type { Hardware } from "../measure/hardware.ts";
import { chooseBackend } from "../runtime/choose-backend.ts";
import { planRequest, requestRuns } from "../runtime/request-plan.ts";
import { DEFAULT_MAX_TOKENS } from "../serving/generation-options.ts";
import { checkpointOptions } from "./checkpoint-flags.ts";
import { groupTimes } from "./group-times.ts";
import { type HardwareFlags, hardwareOf, withHardwareOptions } from "./hardware-flags.ts";
import {
  backendsFor,
  type LoadFlags,
  type VideoPruningFlag,
  wholeNumber,
  withLoadOptions,
  withVideoPruning,
} from "./model-options.ts";
import { type ParallelFlags, parallelOptions, withParallelOptions } from "./parallel-flags.ts";
import { planningOf } from "./planning.ts";
import { communicationRows, rankRows, timeRows } from "./rank-rows.ts";
import { JSON_HELP } from "./report.ts";

interface PlanFlags extends LoadFlags, VideoPruningFlag, ParallelFlags, HardwareFlags {
  readonly image: readonly ImageDims[];
  readonly video: readonly VideoDims[];
  readonly text: number;
  readonly maxTokens: number;
  readonly prefillChunk?: number;
  readonly json?: true;
}

/** Exit status, so that a script can ask; what is printed is the same. */
const DOES_NOT_FIT = 1;

export function planCommand(): Command {
  return withHardwareOptions(withParallelOptions(withVideoPruning(withLoadOptions(new Command("plan")))))
    .description(
      "show grids, tokens and memory of a request of given sizes; runs nothing; ends with 1 where they do not fit the context, or the memory of --hardware",
    )
    .argument("<model>", "model of the Hub (ORG/NAME), checkpoint directory, or the URL of one")
    .option("--image <WxH>", "an image of this size in pixels; may be repeated", imageDims, [])
    .option(
      "--video <WxH:LENGTH>",
      "a video: 1280x720:120s@30 (seconds at frames a second) or 1280x720:16f (frames); may be repeated",
      videoDims,
      [],
    )
    .option("--text <n>", "tokens of text beside the pictures", wholeNumber, 0)
    .option("--max-tokens <n>", "new tokens to make room for", wholeNumber, DEFAULT_MAX_TOKENS)
    .option(
      "--prefill-chunk <n>",
      "prompt tokens read in one go (default: the backend's, 512 or on CUDA 2048)",
      wholeNumber,
    )
    .option("--json", JSON_HELP)
    .action(plan);
}

async function plan(location: string, flags: PlanFlags): Promise<void> {
  const { maxImagePixels, videoPruning } = flags;
  const { image: images, video: videos } = flags;
  const processor = await openProcessor(location, {
    maxImagePixels,
    videoPruning,
    ...checkpointOptions(flags),
  });
  const { checkpoint } = processor;
  const group = resolveParallel(parallelOptions(flags)) ?? undefined;
  const { backend } = await chooseBackend(backendsFor(flags), flags.backend);
  const { programs, options } = planningOf(backend, processor, { ...flags, group });
  const counts = processor.sizes.count({ images, videos, textTokens: flags.text });
  const planned = planRequest(counts, programs, checkpoint.config, options);
  const { ranks = [] } = planned;
  const hardware = await hardwareOf(flags);
  const times = hardware && {
    hardware,
    ...groupTimes(
      programs,
      requestRuns(counts, programs, checkpoint.config, options),
      ranks,
      group?.tensor ?? 1,
      hardware,
    ),
  };
  const overfull = hardware ? overfullDevices(planned, hardware) : [];
  if (!planned.fitsContext || overfull.length > 0) process.exitCode = DOES_NOT_FIT;
  const largestImage = processor.sizes.imageSizeWithMostFeatures();
  const mostFrames = videos.map(({ width, height }) => processor.sizes.mostVideoFrames({ width, height }));
  if (flags.json) {
    console.log(JSON.stringify({ backend: backend.name, ...planned, times, largestImage, mostFrames }));
    return;
  }
  const rows = [
    ...images.map((given, index) => imageRow(given, planned, index)),
    ...videos.map((given, index) => videoRow(given, planned, index, mostFrames[index] ?? 0)),
    ...requestRows(planned, backend.name),
    ...rankRows(ranks),
    ...communicationRows(ranks),
    ...overfull,
    ...(times ? timeRows(times) : []),
    [
      "largest image",
      `${largestImage.resizedWidth} x ${largestImage.resizedHeight}, ${largestImage.numTokens} tokens`,
    ],
  ];
  for (const [name, value] of rows) console.log(`${name?.padEnd(16)}${value}`);
}

/** A row for each device whose memory is less than what it would hold. */
function overfullDevices({ ranks, ...whole }: RequestPlan, { memoryBytes }: Hardware): [string, string][] {
  const devices: readonly Pick<RequestPlan, "weightBytes" | "peakBytes">[] = ranks ?? [whole];
  return devices.flatMap(({ weightBytes, peakBytes }, rank) => {
    const bytes = weightBytes + peakBytes;
    if (bytes <= memoryBytes) return [];
    const text = `needs ${formatBytes(bytes)} and has ${formatBytes(memoryBytes)}; DOES NOT FIT`;
    return [[`device ${rank}`, text] as [string, string]];
  });
}

function imageRow({ width, height }: ImageDims, { images }: RequestPlan, index: number): [string, string] {
  const { resizedWidth, resizedHeight, gridThw, numTokens } = images[index] as RequestPlan["images"][number];
  const resized = `resized to ${resizedWidth} x ${resizedHeight}`;
  return ["image", `${width} x ${height}, ${resized}, grid ${gridThw.join(" x ")}, ${numTokens} tokens`];
}

function videoRow(
  { width, height, numFrames }: VideoDims,
  { videos }: RequestPlan,
  index: number,
  mostFrames: number,
): [string, string] {
  const video = videos[index] as RequestPlan["videos"][number];
  const used = `${video.numSampledFrames} of ${numFrames} frames`;
  const resized = `resized to ${video.resizedWidth} x ${video.resizedHeight}`;
  const { numTokens, numKeptTokens } = video;
  const kept = numKeptTokens === numTokens ? "" : `, ${numKeptTokens} of them read`;
  const grid = `grid ${video.gridThw.join(" x ")}, ${numTokens} tokens${kept}`;
  return [
    "video",
    `${width} x ${height}, ${used}, ${resized}, ${grid} (at most ${mostFrames} frames fit the context)`,
  ];
}

function requestRows(planned: RequestPlan, backend: string): [string, string][] {
  const { promptTokens, visionTokens, encoderTokens, contextTokens, vision, kvCache, decoder } = planned;
  const room = planned.fitsContext ? "" : "; DOES NOT FIT";
  return [
    [
      "prompt",
      `${promptTokens} tokens, ${visionTokens} of them for pictures; context ${contextTokens}${room}`,
    ],
    [
      "vision tower",
      `${encoderTokens} patches in ${vision.runs} runs, longest sequence ${vision.longestSequence}; ` +
        `activations ${formatBytes(vision.activationBytes)}, inputs ${formatBytes(vision.inputBytes)}, features ${formatBytes(vision.featureBytes + vision.paddedFeatureBytes)}`,
    ],
    [
      "KV cache",
      `${kvCache.pages} pages of ${kvCache.pageSize} tokens (${kvCache.promptPages} for the prompt), ${formatBytes(kvCache.bytes)}`,
    ],
    [
      "decoder",
      `${decoder.prefillRuns} prefill runs; activations ${formatBytes(decoder.activationBytes)}, logits ${formatBytes(decoder.logitBytes)}`,
    ],
    [
      "memory",
      `${formatBytes(planned.weightBytes)} of weights, ${formatBytes(planned.peakBytes)} beside them (${backend})`,
    ],
  ];
}

function imageDims(text: string, all: readonly ImageDims[]): ImageDims[] {
  const [, width, height] = /^(\d+)x(\d+)$/.exec(text) ?? [];
  if (width === undefined || height === undefined) {
    throw new InvalidArgumentError("It must be WIDTHxHEIGHT, e.g. 1700x2200.");
  }
  return [...all, { width: Number(width), height: Number(height) }];
}

const VIDEO = /^(\d+)x(\d+):(?:(\d+(?:\.\d+)?)s@(\d+(?:\.\d+)?)|(\d+)f(?:@(\d+(?:\.\d+)?))?)$/;

function videoDims(text: string, all: readonly VideoDims[]): VideoDims[] {
  const [found, width, height, seconds, rate, frames, frameRate] = VIDEO.exec(text) ?? [];
  if (found === undefined) {
    throw new InvalidArgumentError("It must be WIDTHxHEIGHT:SECONDSs@FPS or WIDTHxHEIGHT:FRAMESf[@FPS].");
  }
  const size = { width: Number(width), height: Number(height) };
  const timing =
    seconds === undefined
      ? { numFrames: Number(frames), fps: frameRate === undefined ? undefined : Number(frameRate) }
      : {
          numFrames: Math.round(Number(seconds) * Number(rate)),
          fps: Number(rate),
          duration: Number(seconds),
        };
  return [...all, { ...size, ...timing }];
}
