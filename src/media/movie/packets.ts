/** The packets of a video track: what is known of each, and their bytes by number. */

import { type EncodedPacket, EncodedPacketSink, type InputVideoTrack } from "mediabunny";
import { turnWhenDue } from "../../event-loop.ts";
import { codedSizes, type Size } from "./coded-size.ts";
import type { ReadBudget } from "./guarded-source.ts";
import type { PacketTimes } from "./shown-frames.ts";

export interface PacketList {
  readonly track: InputVideoTrack;
  readonly config: VideoDecoderConfig;
  readonly sink: EncodedPacketSink;
  readonly times: PacketTimes;
  /** Times as the file has them, which may jump back, and mediabunny's number of each packet, ascending. */
  readonly timestamps: readonly number[];
  readonly sequence: readonly number[];
  /** Seconds of the one that is shown last. */
  readonly lastDuration: number;
}

export interface ListOptions {
  readonly fileBytes: number;
  readonly fewestBytes: number;
  readonly strippedBytes: number;
  /** Called before each frame, and with false at the end. */
  listing(isListing: boolean): void;
  readonly signal: AbortSignal | undefined;
}

/** @throws Error for more than the file can hold; ABORTED */
export async function listPackets(
  track: InputVideoTrack,
  config: VideoDecoderConfig,
  { fileBytes, fewestBytes, strippedBytes, listing, signal }: ListOptions,
): Promise<PacketList> {
  const sink = new EncodedPacketSink(track);
  // VP8 keeps pictures that are only referred to in packets of their own, and says so in the packet.
  const saysHidden = (await track.getCodec()) === "vp8";
  const options = { metadataOnly: !saysHidden };
  const timestamps: number[] = [];
  const seconds: number[] = [];
  const isKey: boolean[] = [];
  const isHidden: boolean[] = [];
  const sequence: number[] = [];
  let bytes = 0;
  let hasKey = false;
  let shift = 0;
  let latest = { seconds: Number.NEGATIVE_INFINITY, duration: 0 };
  listing(true);
  let packet = await sink.getFirstPacket(options);
  for (; packet; packet = await sink.getNextPacket(packet, options)) {
    const { timestamp, duration, type, byteLength, sequenceNumber, data } = packet;
    if (!Number.isFinite(timestamp)) throw new Error("the times of its frames make no sense");
    bytes += Math.max(1, byteLength - strippedBytes);
    if (sequence.length * fewestBytes > fileBytes)
      throw new Error("it lists more frames than it has room for");
    if (bytes > fileBytes) throw new Error(`it lists frames of more bytes than its ${fileBytes}`);
    if (sequenceNumber <= (sequence.at(-1) ?? -1)) throw new Error("its frames are listed in circles");
    // Nothing before a key frame is shown after it, unless parts were put one behind the other.
    const jumpsBack: boolean = timestamp + shift <= latest.seconds;
    const isChecked: boolean = type === "key" && (!hasKey || jumpsBack);
    const isTrue: boolean = isChecked && (await isTrueKey(track, config, await withBytes(sink, packet)));
    if (isTrue && hasKey) shift = latest.seconds + averageGap(seconds, latest.seconds) - timestamp;
    hasKey ||= isTrue;
    const start = timestamp + shift;
    timestamps.push(timestamp);
    seconds.push(start);
    isKey.push(type === "key" && hasKey);
    isHidden.push(saysHidden && ((data[0] ?? 0) & 0x10) === 0);
    sequence.push(sequenceNumber);
    if (start >= latest.seconds) latest = { seconds: start, duration };
    await turnWhenDue(signal);
    listing(true);
  }
  listing(false);
  return {
    track,
    config,
    sink,
    times: { seconds, isKey, isHidden },
    timestamps,
    sequence,
    lastDuration: latest.duration || averageGap(seconds, latest.seconds),
  };
}

/** Of frames in any order, of which one is the last. */
function averageGap(seconds: readonly number[], last: number): number {
  return seconds.length > 1 ? (last - (seconds[0] as number)) / (seconds.length - 1) : 1;
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
  if (packet?.sequenceNumber !== sequenceNumber) throw new Error("it ends before a frame that it lists");
  return packet;
}

/** Bytes that are given at a time, when more packets are asked for. */
const BYTES_A_TIME = 2 ** 23;

/** Reads packets by their number; forward it goes on where it stopped. */
export class PacketReader {
  readonly #list: PacketList;
  readonly #budget: ReadBudget;
  readonly #checkSize: (size: Size) => void;
  #at = -1;
  #packet: EncodedPacket | undefined;

  /** @param checkSize throws for pictures that are too large, which may begin anywhere. */
  constructor(list: PacketList, budget: ReadBudget, checkSize: (size: Size) => void) {
    this.#list = list;
    this.#budget = budget;
    this.#checkSize = checkSize;
  }

  async keyFor(packet: number): Promise<number> {
    this.#budget.renew();
    const { track, config, times } = this.#list;
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
    const { track, config } = this.#list;
    const codec = await track.getCodec();
    const found: Uint8Array<ArrayBuffer>[] = [];
    let bytes = 0;
    try {
      for (let i = from; i < to && bytes < BYTES_A_TIME; i++) {
        const { data } = await this.#seek(i);
        codedSizes(codec, config, data).forEach(this.#checkSize);
        found.push(new Uint8Array(data));
        bytes += data.byteLength;
      }
    } catch (error) {
      // Those before it may be all that is needed.
      if (found.length === 0) throw error;
    }
    return found;
  }

  async #seek(index: number): Promise<EncodedPacket> {
    if (index === this.#at && this.#packet) return this.#packet;
    const { sink, sequence, timestamps } = this.#list;
    const isNext = index === this.#at + 1 && this.#packet;
    const sequenceNumber = sequence[index] as number;
    let packet = isNext ? await sink.getNextPacket(this.#packet as EncodedPacket) : null;
    if (packet?.sequenceNumber !== sequenceNumber) {
      packet = await findPacket(sink, { timestamp: timestamps[index] as number, sequenceNumber });
    }
    this.#at = index;
    this.#packet = packet;
    return packet;
  }
}
