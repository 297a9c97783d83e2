/**
 * The size of pictures as the codec has it. Containers say a size too, but decoders take their memory by this one: a
 * file of some kilobytes may say 64 x 48 outside and 16384 x 16384 inside.
 */

import { Bits } from "./bits.ts";

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** mediabunny's names. */
type Codec = string | null;

/** Sizes that a packet announces; none in most. */
export function codedSizes(codec: Codec, config: VideoDecoderConfig, packet: Uint8Array): Size[] {
  if (codec === "vp8") return found(vp8(packet));
  if (codec === "vp9") return found(vp9(packet));
  if (codec === "av1") return found(av1(packet));
  if (codec !== "avc" && codec !== "hevc") return [];
  const description = config.description as Uint8Array | undefined;
  const units = description ? prefixedUnits(packet, lengthBytes(codec, description)) : markedUnits(packet);
  return parameterSizes(codec, units);
}

/** Sizes in what stands beside the packets (avcC, hvcC). */
export function describedSizes(codec: Codec, config: VideoDecoderConfig): Size[] {
  const description = config.description as Uint8Array | undefined;
  if (!description || (codec !== "avc" && codec !== "hevc")) return [];
  return parameterSizes(codec, codec === "avc" ? describedByAvc(description) : describedByHevc(description));
}

function found(size: Size | undefined): Size[] {
  return size ? [size] : [];
}

const AVC_PARAMETERS = 7;
const HEVC_PARAMETERS = 33;

function parameterSizes(codec: "avc" | "hevc", units: Iterable<Uint8Array>): Size[] {
  const sizes: Size[] = [];
  for (const unit of units) {
    const head = unit[0] ?? 0;
    if (codec === "avc" && (head & 0x1f) === AVC_PARAMETERS) sizes.push(avcSize(unescaped(unit)));
    if (codec === "hevc" && ((head >> 1) & 0x3f) === HEVC_PARAMETERS) sizes.push(hevcSize(unescaped(unit)));
  }
  return sizes;
}

function lengthBytes(codec: "avc" | "hevc", description: Uint8Array): number {
  return ((description[codec === "avc" ? 4 : 21] ?? 3) & 3) + 1;
}

function* prefixedUnits(packet: Uint8Array, lengthBytes: number): Iterable<Uint8Array> {
  for (let at = 0; at + lengthBytes < packet.length; ) {
    const length = new Bits(packet, at * 8).read(lengthBytes * 8);
    at += lengthBytes;
    yield packet.subarray(at, at + length);
    at += length;
  }
}

/** Units behind start codes; each reaches to the end, since only their heads are read. */
function* markedUnits(packet: Uint8Array): Iterable<Uint8Array> {
  for (let at = packet.indexOf(1); at >= 0; at = packet.indexOf(1, at + 1)) {
    if (packet[at - 1] === 0 && packet[at - 2] === 0) yield packet.subarray(at + 1);
  }
}

function* describedByAvc(description: Uint8Array): Iterable<Uint8Array> {
  let at = 6;
  for (let left = (description[5] ?? 0) & 0x1f; left > 0; left--) {
    const length = new Bits(description, at * 8).read(16);
    yield description.subarray(at + 2, at + 2 + length);
    at += 2 + length;
  }
}

function* describedByHevc(description: Uint8Array): Iterable<Uint8Array> {
  let at = 23;
  for (let lists = description[22] ?? 0; lists > 0; lists--) {
    const count = new Bits(description, (at + 1) * 8).read(16);
    at += 3;
    for (let left = count; left > 0 && at < description.length; left--) {
      const length = new Bits(description, at * 8).read(16);
      yield description.subarray(at + 2, at + 2 + length);
      at += 2 + length;
    }
  }
}

/** Sizes stand at the beginning of parameter sets. */
const MOST_PARAMETER_BYTES = 1024;

/** Without the bytes that keep start codes out. */
function unescaped(unit: Uint8Array): Uint8Array {
  const bytes = unit.subarray(0, MOST_PARAMETER_BYTES);
  return bytes.filter((byte, i) => !(byte === 3 && bytes[i - 1] === 0 && bytes[i - 2] === 0));
}

/** Profiles whose parameters say how colours are stored. */
const HIGH_PROFILES = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

function avcSize(unit: Uint8Array): Size {
  const bits = new Bits(unit, 8);
  const profile = bits.read(8);
  bits.skip(16);
  bits.readGolomb();
  if (HIGH_PROFILES.includes(profile)) {
    const chroma = bits.readGolomb();
    if (chroma === 3) bits.skip(1);
    bits.readGolomb();
    bits.readGolomb();
    bits.skip(1);
    if (bits.read(1))
      for (let i = 0; i < (chroma === 3 ? 12 : 8); i++) skipScalingList(bits, i < 6 ? 16 : 64);
  }
  bits.readGolomb();
  const order = bits.readGolomb();
  if (order === 0) bits.readGolomb();
  if (order === 1) {
    bits.skip(1);
    bits.readGolomb();
    bits.readGolomb();
    for (let left = bits.readGolomb(); left > 0 && !bits.isPastEnd; left--) bits.readGolomb();
  }
  bits.readGolomb();
  bits.skip(1);
  const columns = bits.readGolomb() + 1;
  const rows = bits.readGolomb() + 1;
  // Fields are counted apart.
  return { width: 16 * columns, height: 16 * rows * (bits.read(1) ? 1 : 2) };
}

function skipScalingList(bits: Bits, length: number): void {
  if (!bits.read(1)) return;
  let [last, next] = [8, 8];
  for (let i = 0; i < length; i++) {
    if (next !== 0) next = (last + bits.readSignedGolomb() + 256) % 256;
    last = next === 0 ? last : next;
  }
}

const HEVC_PROFILE_BITS = 88;

function hevcSize(unit: Uint8Array): Size {
  const bits = new Bits(unit, 16 + 4);
  const layers = bits.read(3);
  bits.skip(1 + HEVC_PROFILE_BITS + 8);
  const has = Array.from({ length: layers }, () => [bits.read(1), bits.read(1)] as const);
  if (layers > 0) bits.skip(2 * (8 - layers));
  for (const [profile, level] of has) bits.skip(profile * HEVC_PROFILE_BITS + level * 8);
  bits.readGolomb();
  if (bits.readGolomb() === 3) bits.skip(1);
  return { width: bits.readGolomb(), height: bits.readGolomb() };
}

/** Key frames have it. */
function vp8(packet: Uint8Array): Size | undefined {
  const [head = 1, , , a, b, c, width = 0, width2 = 0, height = 0, height2 = 0] = packet;
  if (head & 1 || a !== 0x9d || b !== 1 || c !== 0x2a) return undefined;
  return { width: (width | (width2 << 8)) & 0x3fff, height: (height | (height2 << 8)) & 0x3fff };
}

const VP9_SYNC = 0x498342;

function vp9(packet: Uint8Array): Size | undefined {
  const bits = new Bits(packet);
  if (bits.read(2) !== 2) return undefined;
  const profile = bits.read(1) + 2 * bits.read(1);
  if (profile === 3) bits.skip(1);
  if (bits.read(1)) return undefined;
  const isKey = bits.read(1) === 0;
  const isShown = bits.read(1);
  const isResilient = bits.read(1);
  if (isKey) {
    if (bits.read(24) !== VP9_SYNC) return undefined;
    skipVp9Colours(bits, profile);
  } else {
    const isIntra = isShown ? 0 : bits.read(1);
    if (!isResilient) bits.skip(2);
    if (isIntra) {
      if (bits.read(24) !== VP9_SYNC) return undefined;
      if (profile > 0) skipVp9Colours(bits, profile);
      bits.skip(8);
    } else {
      bits.skip(8 + 3 * 4);
      // The size of a frame that it refers to.
      if (bits.read(1) || bits.read(1) || bits.read(1)) return undefined;
    }
  }
  return { width: bits.read(16) + 1, height: bits.read(16) + 1 };
}

function skipVp9Colours(bits: Bits, profile: number): void {
  const isOdd = profile % 2;
  if (profile >= 2) bits.skip(1);
  if (bits.read(3) !== 7) bits.skip(isOdd ? 4 : 1);
  else if (isOdd) bits.skip(1);
}

const AV1_SEQUENCE = 1;

function av1(packet: Uint8Array): Size | undefined {
  for (let at = 0; at < packet.length; ) {
    const head = packet[at] as number;
    at += head & 4 ? 2 : 1;
    let length = packet.length - at;
    if (head & 2) {
      length = 0;
      for (let shift = 0; shift < 56; shift += 7) {
        const byte = packet[at++] ?? 0;
        length += (byte & 0x7f) * 2 ** shift;
        if (byte < 0x80) break;
      }
    }
    if (((head >> 3) & 15) === AV1_SEQUENCE) return av1Sequence(new Bits(packet, at * 8));
    at += length;
  }
  return undefined;
}

function av1Sequence(bits: Bits): Size {
  bits.skip(4);
  if (bits.read(1)) bits.skip(5);
  else {
    let delayBits = 0;
    // Timing.
    if (bits.read(1)) {
      bits.skip(64);
      if (bits.read(1)) bits.readGolomb();
      if (bits.read(1)) {
        delayBits = bits.read(5) + 1;
        bits.skip(32 + 10);
      }
    }
    const hasDisplayDelay = bits.read(1);
    for (let left = bits.read(5) + 1; left > 0; left--) {
      bits.skip(12);
      if (bits.read(5) > 7) bits.skip(1);
      if (delayBits > 0 && bits.read(1)) bits.skip(2 * delayBits + 1);
      if (hasDisplayDelay && bits.read(1)) bits.skip(4);
    }
  }
  const widthBits = bits.read(4) + 1;
  const heightBits = bits.read(4) + 1;
  return { width: bits.read(widthBits) + 1, height: bits.read(heightBits) + 1 };
}
