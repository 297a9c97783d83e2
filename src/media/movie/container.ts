/**
 * Video containers through mediabunny: which frames a file has, and their bytes. Nothing is decoded, so that it may run
 * in a worker that is ended at any moment.
 */

import {
  Input,
  type InputVideoTrack,
  Logging,
  LogLevel,
  MATROSKA,
  MP4,
  MPEG_TS,
  QTFF,
  WEBM,
} from "mediabunny";
import { type GlimtError, throwIfAborted } from "../../errors.ts";
import { checkPixels } from "../check-pixels.ts";
import { frameRate } from "../frame-rate.ts";
import { describedSizes, type Size } from "./coded-size.ts";
import { guardedSource, ReadBudget } from "./guarded-source.ts";
import { type Findings, guard } from "./guards.ts";
import { listPackets, type PacketList, PacketReader } from "./packets.ts";
import { damaged, noKeyFrame, nothingShown, noVideo, refused, undecodable } from "./refusals.ts";
import { editedFrames, framesInOrder } from "./shown-frames.ts";

export interface ContainerOptions {
  readonly maxDecodedPixels?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What decoding needs to know; plain data, which can be sent to another thread. */
export interface MovieIndex {
  readonly config: VideoDecoderConfig;
  readonly rotation: 0 | 90 | 180 | 270;
  /** Undefined where the file's times tell none. */
  readonly fps: number | undefined;
  /** Packet of each frame that is shown, in that order. */
  readonly frames: Uint32Array;
  /** Of each packet, in the order of decoding: 1 where decoding may begin, and its place in the order of time. */
  readonly isKey: Uint8Array;
  readonly ranks: Uint32Array;
}

export interface MovieContainer {
  readonly index: MovieIndex;
  /** The packet where decoding has to begin to reach `packet`. */
  keyFor(packet: number): Promise<number>;
  /** Bytes of packets from .. to-1, at least one and maybe fewer; each in a buffer of its own. */
  packets(from: number, to: number): Promise<Uint8Array<ArrayBuffer>[]>;
  close(): Promise<void>;
}

/** @throws VIDEO_INVALID; IMAGE_TOO_LARGE; ABORTED */
export async function openContainer(
  file: Uint8Array | Blob,
  name: string,
  options: ContainerOptions,
): Promise<MovieContainer> {
  // Files that are damaged are ours to report.
  Logging.level = LogLevel.Silent;
  const fileBytes = file instanceof Blob ? file.size : file.byteLength;
  const budget = new ReadBudget(fileBytes);
  const input = new Input({
    source: guardedSource(file, budget, options.signal),
    formats: [MP4, QTFF, MATROSKA, WEBM, MPEG_TS],
  });
  const explain = (error: unknown) => {
    throwIfAborted(options.signal);
    return damaged(name, error);
  };
  const checkSize = (size: Size) => checkPixels(size, options.maxDecodedPixels, name, "Video");
  try {
    const reading = await readTrack(input, fileBytes, name, { ...options, checkSize });
    const packets = new PacketReader(reading.list, budget, checkSize);
    const explained = async <T>(task: () => Promise<T>): Promise<T> => {
      try {
        return await task();
      } catch (error) {
        throw explain(error);
      }
    };
    return {
      index: indexOf(reading),
      keyFor: (packet) => explained(() => packets.keyFor(packet)),
      packets: (from, to) => explained(() => packets.read(from, to)),
      close: async () => input.dispose(),
    };
  } catch (error) {
    input.dispose();
    throw explain(error);
  }
}

interface Reading {
  readonly list: PacketList;
  readonly rotation: MovieIndex["rotation"];
  readonly resolution: number;
  /** Packets that can be decoded, in the order of time; and those that are shown. */
  readonly inOrder: readonly number[];
  readonly frames: readonly number[];
}

async function readTrack(
  input: Input,
  fileBytes: number,
  name: string,
  options: Pick<ContainerOptions, "signal"> & { checkSize(size: Size): void },
): Promise<Reading> {
  const { findings, prepare, listing, editsOf } = await guard(input, fileBytes);
  const tracks = await input.getTracks();
  // The first, as PyAV's `streams.video[0]`.
  const track = tracks.find((track): track is InputVideoTrack => track.isVideoTrack());
  if (!track) throw withoutVideo(name, tracks.length > 0, findings);
  const codec = String((await track.getInternalCodecId()) ?? "an unknown one");
  if (ENCRYPTED.includes(codec)) throw refused(name, "encrypted");
  prepare(track);
  const [width, height] = [await track.getCodedWidth(), await track.getCodedHeight()];
  if (!(width > 0 && height > 0)) throw new Error("its pictures have no size");
  options.checkSize({ width, height });
  const config = await track.getDecoderConfig();
  if (!config) throw undecodable(name, codec);
  describedSizes(await track.getCodec(), config).forEach(options.checkSize);

  const list = await listPackets(track, config, { ...findings, fileBytes, listing, signal: options.signal });
  const { times } = list;
  if (times.seconds.length === 0) throw new Error("it ends before its first frame");
  if (!times.isKey.includes(true)) throw noKeyFrame(name);
  const resolution = await track.getTimeResolution();
  const inOrder = framesInOrder(times);
  const edits = editsOf(track.id, resolution);
  const frames = edits ? editedFrames(inOrder, times.seconds, edits) : inOrder;
  if (frames.length === 0) throw nothingShown(name);
  return { list, rotation: await track.getRotation(), resolution, inOrder, frames };
}

function withoutVideo(name: string, hasTracks: boolean, findings: Findings): GlimtError {
  if (findings.refusal) return refused(name, findings.refusal);
  if (findings.otherCodec) return undecodable(name, findings.otherCodec);
  return noVideo(name, hasTracks || findings.hasSound === true);
}

/** What MP4 and QuickTime call a track that needs a key. */
const ENCRYPTED = ["encv", "drmi"];

function indexOf({ list, rotation, resolution, inOrder, frames }: Reading): MovieIndex {
  const { times, config, lastDuration } = list;
  const timeOf = (packet: number) => times.seconds[packet] as number;
  const order = [...times.seconds.keys()].sort((a, b) => timeOf(a) - timeOf(b));
  // PyAV's `average_rate` is that of the file, whatever edits leave of it.
  const seconds = inOrder.map(timeOf);
  const ranks = new Uint32Array(order.length);
  order.forEach((packet, rank) => {
    ranks[packet] = rank;
  });
  const fps = frameRate({ seconds, lastDuration, resolution });
  const { description, ...rest } = config;
  return {
    // A view of the file would be sent with the whole file.
    config: description ? { ...rest, description: new Uint8Array(description as Uint8Array) } : rest,
    rotation,
    fps: fps > 0 && Number.isFinite(fps) ? fps : undefined,
    frames: Uint32Array.from(frames),
    isKey: Uint8Array.from(times.isKey, Number),
    ranks,
  };
}
