/**
 * Video containers through mediabunny: which frames a file has, and their bytes. Nothing is decoded, so that it may run
 * in a worker that is ended at any moment.
 */

import {
  type EncodedPacket,
  EncodedPacketSink,
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
import { GlimtError, throwIfAborted } from "../../errors.ts";
import { turnWhenDue } from "../../event-loop.ts";
import { checkPixels } from "../check-pixels.ts";
import { frameRate } from "../frame-rate.ts";
import { mediaError } from "../source.ts";
import { guardedSource, ReadBudget } from "./guarded-source.ts";
import { guardMatroska, type MatroskaDemuxer, type MatroskaNotes } from "./matroska-guard.ts";
import { type EditsOfTracks, guardMp4, type Mp4Demuxer } from "./mp4-guard.ts";
import { checkReordering, guardMpegTs, type MpegTsDemuxer } from "./mpeg-ts-guard.ts";
import { noVideo, refused, segment, undecodable } from "./refusals.ts";
import { editedFrames, framesInOrder, type PacketTimes, type TrackEdits } from "./shown-frames.ts";

export interface ContainerOptions {
  readonly maxDecodedPixels?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What decoding needs to know; plain data, which can be sent to another thread. */
export interface MovieIndex {
  readonly config: VideoDecoderConfig;
  readonly rotation: 0 | 90 | 180 | 270;
  readonly fps: number;
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
    if (error instanceof GlimtError) return error;
    // mediabunny's words when `moof` comes first.
    if (messageOf(error).includes('no "moov" box present')) return segment(name);
    return mediaError(
      "Video",
      `${name} can not be read: the file is truncated or corrupt (${messageOf(error)}).`,
      error,
    );
  };
  try {
    const reading = await readTrack(input, fileBytes, name, options);
    const packets = new Packets(reading, budget);
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

interface Guards {
  readonly mp4?: { readonly demuxer: Mp4Demuxer; readonly edits: EditsOfTracks };
  readonly matroska?: MatroskaNotes;
}

async function guard(input: Input, fileBytes: number): Promise<Guards> {
  const format = await input.getFormat();
  const demuxer = await (input as unknown as { _getDemuxer(): Promise<unknown> })._getDemuxer();
  if (format === MP4 || format === QTFF) {
    const mp4 = demuxer as Mp4Demuxer;
    return { mp4: { demuxer: mp4, edits: guardMp4(mp4, fileBytes) } };
  }
  if (format === MPEG_TS) {
    guardMpegTs(demuxer as MpegTsDemuxer);
    return {};
  }
  return { matroska: guardMatroska(demuxer as MatroskaDemuxer) };
}

interface Reading {
  readonly track: InputVideoTrack;
  readonly sink: EncodedPacketSink;
  readonly config: VideoDecoderConfig;
  readonly rotation: MovieIndex["rotation"];
  readonly resolution: number;
  readonly times: PacketTimes;
  /** mediabunny's number of each packet, ascending. */
  readonly sequence: readonly number[];
  readonly lastDuration: number;
  /** Packets that can be decoded, in the order of time; and those that are shown. */
  readonly inOrder: readonly number[];
  readonly frames: readonly number[];
}

async function readTrack(
  input: Input,
  fileBytes: number,
  name: string,
  options: ContainerOptions,
): Promise<Reading> {
  const { mp4, matroska } = await guard(input, fileBytes);
  const tracks = await input.getTracks();
  // The first, as PyAV's `streams.video[0]`.
  const track = tracks.find((track): track is InputVideoTrack => track.isVideoTrack());
  if (!track && matroska?.refusal) throw refused(name, matroska.refusal);
  if (!track) throw noVideo(name, tracks.length > 0);
  if (mp4) {
    const codec = await track.getInternalCodecId();
    if (codec === "encv" || codec === "drmi") throw refused(name, "encrypted");
  }
  checkReordering(track as unknown as Parameters<typeof checkReordering>[0]);
  const [width, height] = [await track.getCodedWidth(), await track.getCodedHeight()];
  if (!(width > 0 && height > 0)) throw new Error("its pictures have no size");
  checkPixels({ width, height }, options.maxDecodedPixels, name, "Video");
  const config = await track.getDecoderConfig();
  if (!config) throw undecodable(name, String((await track.getInternalCodecId()) ?? "an unknown one"));

  const sink = new EncodedPacketSink(track);
  const listed = await listPackets(
    track,
    config,
    sink,
    fileBytes,
    matroska?.strippedBytes ?? 0,
    options.signal,
  );
  const resolution = await track.getTimeResolution();
  const inOrder = framesInOrder(listed.times);
  const edits = editsOf(mp4, track.id, resolution);
  const frames = edits ? editedFrames(inOrder, listed.times.seconds, edits) : inOrder;
  if (frames.length === 0) throw mediaError("Video", `${name} has no frames that can be shown.`);
  return { track, sink, config, rotation: await track.getRotation(), resolution, inOrder, frames, ...listed };
}

/** Fragments come with the edit of their whole film, which only shifts them. */
function editsOf(mp4: Guards["mp4"], track: number, timescale: number): TrackEdits | undefined {
  const edits = mp4?.edits.get(track);
  if (!mp4 || !edits || edits.length === 0 || mp4.demuxer.isFragmented) return undefined;
  return { edits, timescale, movieTimescale: mp4.demuxer.movieTimescale };
}

async function listPackets(
  track: InputVideoTrack,
  config: VideoDecoderConfig,
  sink: EncodedPacketSink,
  fileBytes: number,
  strippedBytes: number,
  signal: AbortSignal | undefined,
): Promise<Pick<Reading, "times" | "sequence" | "lastDuration">> {
  // VP8 keeps pictures that are only referred to in packets of their own, and says so in the packet.
  const saysHidden = (await track.getCodec()) === "vp8";
  const options = { metadataOnly: !saysHidden };
  const seconds: number[] = [];
  const isKey: boolean[] = [];
  const isHidden: boolean[] = [];
  const sequence: number[] = [];
  let bytes = 0;
  let hasKey = false;
  let latest = { seconds: Number.NEGATIVE_INFINITY, duration: 0 };
  let packet = await sink.getFirstPacket(options);
  for (; packet; packet = await sink.getNextPacket(packet, options)) {
    const { timestamp, duration, type, byteLength, sequenceNumber, data } = packet;
    bytes += Math.max(1, byteLength - strippedBytes);
    if (bytes > fileBytes) throw new Error(`it lists frames of more bytes than its ${fileBytes}`);
    if (sequenceNumber <= (sequence.at(-1) ?? -1)) throw new Error("its frames are listed in circles");
    const isFirstKey: boolean =
      type === "key" && !hasKey && (await isTrueKey(track, config, await withBytes(sink, packet)));
    hasKey ||= isFirstKey;
    seconds.push(timestamp);
    isKey.push(type === "key" && hasKey);
    isHidden.push(saysHidden && ((data[0] ?? 0) & 0x10) === 0);
    sequence.push(sequenceNumber);
    if (timestamp >= latest.seconds) latest = { seconds: timestamp, duration };
    await turnWhenDue(signal);
  }
  const gap = seconds.length > 1 ? (latest.seconds - (seconds[0] as number)) / (seconds.length - 1) : 1;
  return { times: { seconds, isKey, isHidden }, sequence, lastDuration: latest.duration || gap };
}

/** Some files call every frame a key frame; and one is none without the parameters that come with it. */
async function isTrueKey(
  track: InputVideoTrack,
  config: VideoDecoderConfig,
  packet: EncodedPacket,
): Promise<boolean> {
  if ((await track.determinePacketType(packet)) === "delta") return false;
  return config.description !== undefined || hasParameters(await track.getCodec(), packet.data);
}

/** Whether a packet of H.264 or HEVC has a sequence parameter set behind one of its start codes. */
function hasParameters(codec: string | null, data: Uint8Array): boolean {
  if (codec !== "avc" && codec !== "hevc") return true;
  for (let at = data.indexOf(1); at >= 0; at = data.indexOf(1, at + 1)) {
    if (data[at - 1] !== 0 || data[at - 2] !== 0) continue;
    const head = data[at + 1] ?? 0;
    if (codec === "avc" ? (head & 0x1f) === 7 : ((head >> 1) & 0x3f) === 33) return true;
  }
  return false;
}

async function withBytes(sink: EncodedPacketSink, packet: EncodedPacket): Promise<EncodedPacket> {
  return packet.isMetadataOnly ? findPacket(sink, packet) : packet;
}

/** A packet with its bytes, by its time, or where that is no guide by going through the file. */
async function findPacket(
  sink: EncodedPacketSink,
  { timestamp, sequenceNumber }: Pick<EncodedPacket, "timestamp" | "sequenceNumber">,
): Promise<EncodedPacket> {
  let packet = await sink.getPacket(timestamp);
  if (!packet || packet.sequenceNumber > sequenceNumber) packet = await sink.getFirstPacket();
  while (packet && packet.sequenceNumber < sequenceNumber) packet = await sink.getNextPacket(packet);
  if (packet?.sequenceNumber !== sequenceNumber) throw new Error("a frame is not where it was");
  return packet;
}

function indexOf({
  config,
  rotation,
  resolution,
  times,
  lastDuration,
  inOrder,
  frames,
}: Reading): MovieIndex {
  const timeOf = (packet: number) => times.seconds[packet] as number;
  const order = [...times.seconds.keys()].sort((a, b) => timeOf(a) - timeOf(b));
  // PyAV's `average_rate` is that of the file, whatever edits leave of it.
  const seconds = inOrder.map(timeOf);
  const ranks = new Uint32Array(order.length);
  order.forEach((packet, rank) => {
    ranks[packet] = rank;
  });
  const { description, ...rest } = config;
  return {
    // A view of the file would be sent with the whole file.
    config: description ? { ...rest, description: new Uint8Array(description as Uint8Array) } : rest,
    rotation,
    fps: frameRate({ seconds, lastDuration, resolution }),
    frames: Uint32Array.from(frames),
    isKey: Uint8Array.from(times.isKey, Number),
    ranks,
  };
}

/** Bytes that are given at a time, when more packets are asked for. */
const BYTES_A_TIME = 2 ** 23;

/** Reads packets by their number; forward it goes on where it stopped. */
class Packets {
  readonly #reading: Reading;
  readonly #budget: ReadBudget;
  #at = -1;
  #packet: EncodedPacket | undefined;

  constructor(reading: Reading, budget: ReadBudget) {
    this.#reading = reading;
    this.#budget = budget;
  }

  async keyFor(packet: number): Promise<number> {
    this.#budget.renew();
    const { track, config, times } = this.#reading;
    const { isKey, seconds } = times;
    const wanted = seconds[packet] as number;
    for (let key = packet; ; key--) {
      if (key < 0) throw new Error("no key frame comes before it");
      // Frames that are shown before a key frame may follow it in the file.
      if (!isKey[key] || (seconds[key] as number) > wanted) continue;
      if (await isTrueKey(track, config, await this.#seek(key))) return key;
    }
  }

  async read(from: number, to: number): Promise<Uint8Array<ArrayBuffer>[]> {
    this.#budget.renew();
    const found: Uint8Array<ArrayBuffer>[] = [];
    let bytes = 0;
    for (let i = from; i < to && bytes < BYTES_A_TIME; i++) {
      const { data } = await this.#seek(i);
      found.push(new Uint8Array(data));
      bytes += data.byteLength;
    }
    return found;
  }

  async #seek(index: number): Promise<EncodedPacket> {
    if (index === this.#at && this.#packet) return this.#packet;
    const { sink, sequence, times } = this.#reading;
    const isNext = index === this.#at + 1 && this.#packet;
    const sequenceNumber = sequence[index] as number;
    let packet = isNext ? await sink.getNextPacket(this.#packet as EncodedPacket) : null;
    if (packet?.sequenceNumber !== sequenceNumber) {
      packet = await findPacket(sink, { timestamp: times.seconds[index] as number, sequenceNumber });
    }
    this.#at = index;
    this.#packet = packet;
    return packet;
  }
}

/** What mediabunny says that would mislead: it asks for reports of files that are only damaged. */
const WORDS: readonly [begins: RegExp, instead: string][] = [
  [/^(Tried reading \[|Slicing outside)/, "a part of it reaches past its end"],
  [/^Invalid TS packet sync byte/, "a packet does not begin where it has to"],
  [/^Assertion failed/, "parts of it contradict each other"],
  [/^Input has an unsupported/, "it does not begin as such a file does"],
  [/^Undefined element size/, "an element of it has no size"],
];

function messageOf(cause: unknown): string {
  const message = cause instanceof Error ? cause.message.replace(/[.\s]+$/, "") : String(cause);
  return WORDS.find(([begins]) => begins.test(message))?.[1] ?? message;
}
