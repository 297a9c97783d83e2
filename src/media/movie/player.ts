/** Frames of a movie through WebCodecs, on the caller's thread: decoders have threads of their own. */

import { GlimtError, throwIfAborted } from "../../errors.ts";
import { rgbaToRgb } from "../alpha.ts";
import { checkPixels } from "../check-pixels.ts";
import { isOutOfMemory, outOfMemory } from "../memory.ts";
import type { MediaMode } from "../mode.ts";
import { applyOrientation } from "../orientation.ts";
import type { RgbImage } from "../rgb-image.ts";
import { mediaError } from "../source.ts";
import type { MovieContainer } from "./container.ts";
import { messageOf } from "./refusals.ts";

export interface PlayerOptions {
  readonly mode?: MediaMode | undefined;
  readonly maxDecodedPixels?: number | undefined;
  /** Milliseconds after which a decoder that says nothing is given up; default 20 seconds. */
  readonly stallMilliseconds?: number | undefined;
  /** Milliseconds for one frame, and the error when they are over. Default: none. */
  readonly timeout?: number | undefined;
  readonly late?: ((milliseconds: number) => Error) | undefined;
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_STALL_MILLISECONDS = 20_000;
/** Events of decoders are waited for; where one gets lost the next look comes so soon. */
const LOOK_MILLISECONDS = 50;
/** Packets that a decoder may have before it; it may make a frame of each. */
const MOST_QUEUED = 4;
/** Packets that are fetched at a time. */
const PACKETS_A_TIME = 16;
/** Microseconds between the times that decoders are told: the place in the order of time is all that is asked back. */
const RANK_MICROSECONDS = 1000;

/** EXIF orientation that turns a frame as a rotation in degrees clockwise does. */
const ORIENTATION = { 0: 1, 90: 6, 180: 3, 270: 8 } as const;

/** A frame, and its place in the order of time. */
interface Decoded {
  readonly frame: VideoFrame;
  readonly rank: number;
}

/** Decodes forward, each frame once; begins anew when it is asked for one behind, or for one past a further key frame. */
export class MoviePlayer {
  readonly #movie: MovieContainer;
  readonly #name: string;
  readonly #options: PlayerOptions;
  #run: Run | undefined;

  constructor(movie: MovieContainer, name: string, options: PlayerOptions) {
    this.#movie = movie;
    this.#name = name;
    this.#options = options;
  }

  /** @throws VIDEO_INVALID for a frame that can not be decoded; IMAGE_TOO_LARGE; OUT_OF_MEMORY; TIMED_OUT; ABORTED. */
  async frame(index: number): Promise<RgbImage> {
    try {
      const frame = await this.#find(index);
      try {
        return await this.#toRgb(frame);
      } finally {
        frame.close();
      }
    } catch (cause) {
      this.stop();
      throwIfAborted(this.#options.signal);
      if (cause instanceof GlimtError) throw cause;
      if (isOutOfMemory(cause)) throw outOfMemory("Video", this.#name, cause);
      const place = `${this.#name}: frame ${index} of ${this.#movie.index.frames.length} can not be decoded`;
      throw mediaError("Video", `${place}: the file is truncated or corrupt (${messageOf(cause)}).`, cause);
    }
  }

  stop(): void {
    this.#run?.close();
    this.#run = undefined;
  }

  async #find(index: number): Promise<VideoFrame> {
    const { frames, ranks } = this.#movie.index;
    const packet = frames[index] as number;
    const rank = ranks[packet] as number;
    if (this.#run?.reaches(rank, this.#nearestKey(packet))) return this.#run.frame(rank);
    const key = await this.#movie.keyFor(packet);
    if (!this.#run?.reaches(rank, key)) {
      this.stop();
      this.#run = new Run(this.#movie, key, this.#options);
    }
    return this.#run.frame(rank);
  }

  /** What the file calls a key frame; whether decoding can begin there is the container's to say. */
  #nearestKey(packet: number): number {
    const { isKey, ranks } = this.#movie.index;
    let key = packet;
    while (key > 0 && !(isKey[key] && (ranks[key] as number) <= (ranks[packet] as number))) key -= 1;
    return key;
  }

  async #toRgb(frame: VideoFrame): Promise<RgbImage> {
    const { mode = "default", maxDecodedPixels } = this.#options;
    const { width, height } = frame.visibleRect ?? { width: frame.codedWidth, height: frame.codedHeight };
    // The stream may be larger than the container says.
    checkPixels({ width, height }, maxDecodedPixels, this.#name, "Video");
    const rgba = new Uint8Array(frame.allocationSize({ format: "RGBA" }));
    await frame.copyTo(rgba, { format: "RGBA" });
    const image = { data: rgbaToRgb(rgba, "drop"), width, height };
    return mode === "default" ? applyOrientation(image, ORIENTATION[this.#movie.index.rotation]) : image;
  }
}

/** Safari gives frames as they are decoded, with the times they were given; others in the order they are shown. */
function givesFramesUnordered(): boolean {
  const { userAgent = "" } = globalThis.navigator ?? {};
  return /AppleWebKit/.test(userAgent) && !/Chrome/.test(userAgent);
}

/** Decoding from one key frame on. */
class Run {
  readonly #movie: MovieContainer;
  readonly #options: PlayerOptions;
  /** Frames are told apart by their order, since decoders may mix up their times; else by their times. */
  readonly #isByOrder = !givesFramesUnordered();
  /** Place of the key frame; what comes before it hangs on frames that are not decoded. */
  readonly #first: number;
  readonly #decoder: VideoDecoder;
  /** WebCodecs of Node keeps its callbacks alive, and would with them keep this and the decoder. */
  readonly #link: { run: Run | undefined } = { run: undefined };
  /** Packets that were fetched and not given to the decoder, and the number of the first. */
  #packets: Uint8Array<ArrayBuffer>[] = [];
  #next: number;
  /** Frames that were not asked for yet, in the order they came. */
  #decoded: Decoded[] = [];
  /** Ranks of packets whose frames are to come, ascending. */
  readonly #pending: number[] = [];
  #lastAsked = -1;
  /** Why no more packets come. */
  #cut: GlimtError | undefined;
  #isFlushing = false;
  #isFlushed = false;
  #isClosed = false;
  #error: unknown;
  #wake: () => void = () => {};

  constructor(movie: MovieContainer, key: number, options: PlayerOptions) {
    this.#movie = movie;
    this.#options = options;
    this.#first = movie.index.ranks[key] as number;
    this.#next = key;
    const link = this.#link;
    link.run = this;
    const tell = (event: (run: Run) => void) => {
      if (link.run) event(link.run);
    };
    this.#decoder = new VideoDecoder({
      output: (frame) => (link.run ? link.run.#take(frame) : frame.close()),
      error: (error) => tell((run) => run.#fail(error)),
    });
    this.#decoder.ondequeue = () => tell((run) => run.#wake());
    this.#decoder.configure(movie.index.config);
  }

  /** Whether a frame is ahead, and no key frame between that would be nearer. */
  reaches(rank: number, key: number): boolean {
    return rank > this.#lastAsked && key <= this.#next;
  }

  /** @throws Error when the decoder leaves it out or says nothing; ABORTED; `late` */
  async frame(rank: number): Promise<VideoFrame> {
    const { signal, stallMilliseconds = DEFAULT_STALL_MILLISECONDS, timeout, late } = this.#options;
    const start = performance.now();
    this.#lastAsked = rank;
    const wake = () => this.#wake();
    signal?.addEventListener("abort", wake);
    try {
      for (let quietSince = start; ; ) {
        throwIfAborted(signal);
        if (timeout !== undefined && late && performance.now() - start > timeout) throw late(timeout);
        if (this.#error !== undefined) throw this.#error;
        const found = this.#pick(rank);
        if (found) return found;
        if (this.#isFlushed) throw this.#cut ?? new Error("the decoder gave fewer frames than the file has");
        if ((await this.#feed()) || (await this.#wait())) quietSince = performance.now();
        else if (performance.now() - quietSince > stallMilliseconds)
          throw new Error("the decoder does not answer");
      }
    } finally {
      signal?.removeEventListener("abort", wake);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const { frame } of this.#decoded) frame.close();
    this.#decoded = [];
    // An error has closed it.
    if (this.#decoder.state !== "closed") this.#decoder.close();
    this.#link.run = undefined;
    this.#wake();
  }

  #take(frame: VideoFrame): void {
    const rank = this.#isByOrder ? this.#pending.shift() : Math.round(frame.timestamp / RANK_MICROSECONDS);
    if (rank === undefined || rank < this.#lastAsked) frame.close();
    else this.#decoded.push({ frame, rank });
    this.#wake();
  }

  #fail(error: unknown): void {
    this.#error ??= error;
    this.#wake();
  }

  #pick(rank: number): VideoFrame | undefined {
    const isBefore = (decoded: Decoded) => decoded.rank < rank;
    for (const { frame } of this.#decoded.filter(isBefore)) frame.close();
    this.#decoded = this.#decoded.filter((decoded) => !isBefore(decoded));
    const place = this.#decoded.findIndex((decoded) => decoded.rank === rank);
    if (place >= 0) return this.#decoded.splice(place, 1)[0]?.frame;
    if (this.#isByOrder && this.#decoded.length > 0) throw new Error("the decoder left it out");
    return undefined;
  }

  /** Gives the decoder what it may have; false when it has enough. */
  async #feed(): Promise<boolean> {
    const { isKey, ranks } = this.#movie.index;
    if (this.#isFlushing || this.#decoder.decodeQueueSize >= MOST_QUEUED) return false;
    if (this.#next === ranks.length) {
      this.#flush();
      return true;
    }
    if (this.#packets.length === 0) {
      try {
        this.#packets = await this.#movie.packets(
          this.#next,
          Math.min(this.#next + PACKETS_A_TIME, ranks.length),
        );
      } catch (error) {
        // A file that was cut off: what was decoded of it may be all that is asked for.
        if (!(error instanceof GlimtError && error.code === "VIDEO_INVALID")) throw error;
        this.#cut = error;
        this.#flush();
        return true;
      }
      if (this.#isClosed) throw new Error("the video was closed");
    }
    const rank = ranks[this.#next] as number;
    const data = this.#packets.shift() as Uint8Array<ArrayBuffer>;
    const type = isKey[this.#next] ? "key" : "delta";
    this.#next += 1;
    if (rank < this.#first) return true;
    insert(this.#pending, rank);
    this.#decoder.decode(new EncodedVideoChunk({ type, data, timestamp: rank * RANK_MICROSECONDS }));
    return true;
  }

  #flush(): void {
    this.#isFlushing = true;
    this.#decoder.flush().then(
      () => {
        this.#isFlushed = true;
        this.#wake();
      },
      (error) => this.#fail(error),
    );
  }

  /** Until the decoder says something; false when it did not. */
  #wait(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), LOOK_MILLISECONDS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }
}

function insert(ascending: number[], value: number): void {
  const after = ascending.findIndex((other) => other > value);
  ascending.splice(after < 0 ? ascending.length : after, 0, value);
}
