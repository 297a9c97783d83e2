/**
 * MP4, QuickTime, WebM and Matroska files: containers through mediabunny, codecs through WebCodecs. Loaded with the
 * first such file.
 */

import {
  BlobSource,
  BufferSource,
  EncodedPacketSink,
  Input,
  type InputVideoTrack,
  Logging,
  LogLevel,
  MATROSKA,
  MP4,
  QTFF,
  type Source,
  type VideoSample,
  VideoSampleSink,
  WEBM,
} from "mediabunny";
import { GlimtError, throwIfAborted } from "../errors.ts";
import { rgbaToRgb } from "./alpha.ts";
import { checkPixels } from "./check-pixels.ts";
import { frameRate } from "./frame-rate.ts";
import type { MediaMode } from "./mode.ts";
import { checkSampleTables, type ReadRange } from "./mp4-tables.ts";
import { applyOrientation } from "./orientation.ts";
import type { RgbImage } from "./rgb-image.ts";
import { mediaError } from "./source.ts";
import type { LoadedVideo } from "./video.ts";

export interface MovieOptions {
  readonly mode?: MediaMode | undefined;
  readonly maxDecodedPixels?: number | undefined;
  /** Gives the environment WebCodecs when it has none. @throws CODEC_UNAVAILABLE */
  readonly loadWebCodecs?: (() => Promise<void>) | undefined;
  /** Milliseconds after which a decoder that gives no frame is given up; default a minute. */
  readonly stallMilliseconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_STALL_MILLISECONDS = 60_000;

/** EXIF orientation that turns a frame as a rotation in degrees clockwise does. */
const ORIENTATION = { 0: 1, 90: 6, 180: 3, 270: 8 } as const;

/** Seconds by which a decoder's time of a frame may differ from the container's: codecs count microseconds. */
const TIME_TOLERANCE = 2e-6;

/** Frames in the order they are shown. */
interface FrameTimes {
  readonly seconds: readonly number[];
  readonly isKey: readonly boolean[];
  readonly lastDuration: number;
}

/**
 * Opens a video file and reads where its frames are, without decoding one.
 *
 * @throws VIDEO_INVALID for a truncated or corrupt file, no video track or a codec that is not there;
 * CODEC_UNAVAILABLE without WebCodecs; IMAGE_TOO_LARGE; ABORTED.
 */
export async function openMovie(
  file: Uint8Array | Blob,
  name: string,
  options: MovieOptions,
): Promise<LoadedVideo> {
  await requireWebCodecs(name, options);
  // Files that are damaged are ours to report.
  Logging.level = LogLevel.Silent;
  const input = new Input({
    source: guarded(file instanceof Blob ? new BlobSource(file) : new BufferSource(file)),
    formats: [MP4, QTFF, MATROSKA, WEBM],
  });
  const fileBytes = file instanceof Blob ? file.size : file.byteLength;
  const corrupt = (cause: unknown) =>
    mediaError(
      "Video",
      `${name} can not be read: the file is truncated or corrupt (${messageOf(cause)}).`,
      cause,
    );
  try {
    await checkSampleTables(rangesOf(file), fileBytes);
    const track = await input.getPrimaryVideoTrack();
    if (!track) throw mediaError("Video", `${name} has no video track, or is cut short before it.`);
    await checkTrack(track, name, options);
    const times = await frameTimes(new EncodedPacketSink(track), fileBytes, options.signal);
    if (times.seconds.length === 0) throw mediaError("Video", `${name} has no frames.`);
    const fps = frameRate({ ...times, resolution: await track.getTimeResolution() });
    const numFrames = times.seconds.length;
    const frames = new MovieFrames(new VideoSampleSink(track), times, name, options);
    return {
      numFrames,
      metadata: { fps, totalNumFrames: numFrames, duration: numFrames / fps },
      frame: (index) => frames.frame(index),
      close: async () => {
        await frames.stop();
        input.dispose();
      },
    };
  } catch (error) {
    input.dispose();
    throw error instanceof GlimtError ? error : corrupt(error);
  }
}

/** The same read so often in a row is a loop. */
const MOST_EQUAL_READS = 1000;

/**
 * mediabunny 1.61 looks for the next element of a damaged Matroska file for ever when it is near the end of what it
 * searches (its `resync` does not advance), and nothing else gets to run: its reads are counted to stop it.
 */
function guarded<S extends Source>(source: S): S {
  const reader = source as unknown as { _read(start: number, end: number, ...rest: unknown[]): unknown };
  const read = reader._read.bind(source);
  let last = "";
  let repeats = 0;
  reader._read = (start, end, ...rest) => {
    const range = `${start}-${end}`;
    repeats = range === last ? repeats + 1 : 0;
    last = range;
    if (repeats > MOST_EQUAL_READS) throw new Error(`nothing that makes sense follows byte ${start}`);
    return read(start, end, ...rest);
  };
  return source;
}

function rangesOf(file: Uint8Array | Blob): ReadRange {
  if (file instanceof Uint8Array) return async (start, end) => file.subarray(start, end);
  return async (start, end) => new Uint8Array(await file.slice(start, end).arrayBuffer());
}

async function requireWebCodecs(name: string, { loadWebCodecs }: MovieOptions): Promise<void> {
  if (typeof VideoDecoder === "function") return;
  if (loadWebCodecs) return loadWebCodecs();
  throw new GlimtError(
    "CODEC_UNAVAILABLE",
    `Video ${name} needs WebCodecs, which this environment lacks; give its frames as { frames: [...], metadata }.`,
  );
}

async function checkTrack(track: InputVideoTrack, name: string, options: MovieOptions): Promise<void> {
  const [width, height] = [await track.getCodedWidth(), await track.getCodedHeight()];
  checkPixels({ width, height }, options.maxDecodedPixels, name, "Video");
  if (await track.canDecode()) return;
  const codec = (await track.getCodecParameterString()) ?? (await track.getCodec()) ?? "an unknown one";
  throw mediaError(
    "Video",
    `${name}: its codec (${codec}) can not be decoded here; convert it to H.264 or VP9.`,
  );
}

/** Frames listed between two looks at the signal. */
const FRAMES_A_TURN = 4096;

async function frameTimes(
  sink: EncodedPacketSink,
  fileBytes: number,
  signal: AbortSignal | undefined,
): Promise<FrameTimes> {
  const packets: { seconds: number; duration: number; isKey: boolean }[] = [];
  let count = 0;
  let bytes = 0;
  for await (const packet of sink.packets(undefined, undefined, { metadataOnly: true })) {
    const { timestamp: seconds, duration, type, byteLength } = packet;
    count += 1;
    bytes += Math.max(1, byteLength);
    if (bytes > fileBytes) throw new Error(`it lists frames of more bytes than its ${fileBytes}`);
    if (count % FRAMES_A_TURN === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    throwIfAborted(signal);
    // What an edit list cuts off at the start is decoded but not shown.
    if (seconds + duration > 0) packets.push({ seconds, duration, isKey: type === "key" });
  }
  packets.sort((a, b) => a.seconds - b.seconds);
  const last = packets.at(-1);
  const gap = last && packets.length > 1 ? last.seconds / (packets.length - 1) : 1;
  return {
    seconds: packets.map(({ seconds }) => seconds),
    isKey: packets.map(({ isKey }) => isKey),
    lastDuration: last?.duration || gap,
  };
}

/** Decodes forward, each frame once; jumps when it is asked for one behind, or for one past a further key frame. */
class MovieFrames {
  readonly #sink: VideoSampleSink;
  readonly #times: FrameTimes;
  readonly #name: string;
  readonly #options: MovieOptions;
  #samples: AsyncGenerator<VideoSample, void, unknown> | undefined;
  #last = -1;

  constructor(sink: VideoSampleSink, times: FrameTimes, name: string, options: MovieOptions) {
    this.#sink = sink;
    this.#times = times;
    this.#name = name;
    this.#options = options;
  }

  async frame(index: number): Promise<RgbImage> {
    try {
      const sample = await this.#seek(index);
      try {
        return await toRgb(sample, this.#options.mode ?? "default");
      } finally {
        sample.close();
      }
    } catch (cause) {
      await this.stop();
      if (cause instanceof GlimtError) throw cause;
      const place = `${this.#name}: frame ${index} of ${this.#times.seconds.length} can not be decoded`;
      throw mediaError("Video", `${place}: the file is truncated or corrupt (${messageOf(cause)}).`, cause);
    }
  }

  async stop(): Promise<void> {
    const samples = this.#samples;
    this.#samples = undefined;
    // A decoder that failed may not answer any more.
    if (samples) await this.#answer(samples.return()).catch(() => {});
  }

  async #seek(index: number): Promise<VideoSample> {
    const { seconds } = this.#times;
    const wanted = seconds[index] as number;
    if (!this.#samples || index <= this.#last || this.#hasKeyBetween(this.#last, index)) {
      await this.stop();
      this.#samples = this.#sink.samples(wanted);
    }
    this.#last = index;
    for (;;) {
      throwIfAborted(this.#options.signal);
      const { value: sample, done } = await this.#answer(this.#samples.next());
      if (done || !sample) throw new Error("the decoder gave fewer frames than the file has");
      if (Math.abs(sample.timestamp - wanted) <= TIME_TOLERANCE) return sample;
      const isPast = sample.timestamp > wanted;
      sample.close();
      if (isPast) throw new Error("the decoder left it out");
    }
  }

  /** Damaged files make decoders stop without a word. */
  #answer<T>(task: Promise<T>): Promise<T> {
    const milliseconds = this.#options.stallMilliseconds ?? DEFAULT_STALL_MILLISECONDS;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stall = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("the decoder does not answer")), milliseconds);
    });
    return Promise.race([task, stall]).finally(() => clearTimeout(timer));
  }

  #hasKeyBetween(from: number, to: number): boolean {
    return this.#times.isKey.slice(from + 1, to + 1).includes(true);
  }
}

async function toRgb(sample: VideoSample, mode: MediaMode): Promise<RgbImage> {
  const { codedWidth: width, codedHeight: height, rotation } = sample;
  const rgba = new Uint8Array(sample.allocationSize({ format: "RGBA" }));
  await sample.copyTo(rgba, { format: "RGBA" });
  const image = { data: rgbaToRgb(rgba, "drop"), width, height };
  return mode === "default" ? applyOrientation(image, ORIENTATION[rotation]) : image;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message.replace(/[.\s]+$/, "") : String(cause);
}
