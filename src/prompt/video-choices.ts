/** Which frames of a video a prompt uses: the part's word, else the call's, else the checkpoint's. */
import type { ProcessorConfig } from "../config/types.ts";
import type { Sources } from "../media/sources/source-rule.ts";
import type { VideoMetadata, VideoMetadataJson } from "../media/video-source.ts";
import type { FrameChoice } from "../processor/video.ts";
import { checkVideoChoices, type VideoChoices } from "../text/messages.ts";

type Choices = VideoChoices<VideoMetadata | VideoMetadataJson>;

/** What one call says of reading. */
export interface ReadOptions {
  /** Where it may be read from, in place of what the processor was opened with. */
  readonly sources?: Sources | undefined;
  /** Ends it with ABORTED. */
  readonly signal?: AbortSignal | undefined;
}

/** What one call says of reading a video. */
export interface ReadVideoOptions extends Choices, ReadOptions {
  /** Share of the video's frames that are read. */
  readonly onProgress?: ((share: number) => void) | undefined;
}

export const READ_VIDEO_OPTION_NAMES: readonly (keyof ReadVideoOptions)[] = [
  "metadata",
  "fps",
  "sampleFrames",
  "maxFrames",
  "sources",
  "signal",
  "onProgress",
];

/** What one call says of all its videos. */
export interface SharedVideoOptions {
  readonly videoFps?: number | undefined;
  readonly sampleFrames?: boolean | undefined;
  readonly maxFrames?: number | undefined;
}

/** @throws INPUT_INVALID naming the option */
export function sharedChoices({ videoFps: fps, sampleFrames, maxFrames }: SharedVideoOptions): Choices {
  const choices = { fps, sampleFrames, maxFrames };
  checkVideoChoices(choices, (field) => (field === "fps" ? "videoFps" : field));
  return choices;
}

/** What a part leaves open is the call's; a part that takes all frames takes no rate. */
export function resolveChoices(part: Choices, shared: Choices): Choices {
  const sampleFrames = part.sampleFrames ?? (part.fps === undefined ? shared.sampleFrames : undefined);
  return {
    metadata: part.metadata,
    sampleFrames,
    fps: part.fps ?? (sampleFrames === false ? undefined : shared.fps),
    maxFrames: part.maxFrames ?? shared.maxFrames,
  };
}

/** As Hugging Face: a rate that is asked for means that frames are to be sampled, unless they were before. */
export function frameChoice(
  { metadata: _, ...choices }: Choices,
  { kind, sampling }: Pick<ProcessorConfig, "kind" | "sampling">,
): FrameChoice {
  const isAsked = choices.sampleFrames ?? (choices.fps === undefined ? undefined : true);
  const ownFps = kind === "glm4v" ? (sampling.fps ?? undefined) : undefined;
  return {
    sampleFrames: isAsked ?? (sampling.sampleFrames === false ? false : undefined),
    fps: choices.fps ?? ownFps,
    maxFrames: choices.maxFrames,
    ...(sampling.maxDuration === null ? {} : { maxDuration: sampling.maxDuration }),
  };
}
