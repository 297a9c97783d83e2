/**
 * Bounds what mediabunny does with an MPEG transport stream.
 *
 * Its reading is linear but for one search: to know how long a frame is shown it reads on until the next one in the
 * order of time has come, and compares each frame on the way with all others. Streams whose times jump back would have
 * it read to their end. So the parts of frames (NAL units) that it reads for one frame are counted.
 */

import type { Findings } from "./guards.ts";

interface Section {
  readonly payload: Uint8Array;
}

export interface MpegTsDemuxer {
  readonly elementaryStreams: { readonly info: { readonly type: string } }[];
  readSection(...where: unknown[]): Promise<Section | null>;
}

/** For the next sixteen frames, of a hundred slices and more each. */
const MOST_UNITS_A_FRAME = 2 ** 14;
/** H.264 and HEVC reorder no more frames; mediabunny compares each frame with so many others. */
const MOST_REORDERED = 16;

/** Kinds of video that a program may have and mediabunny does not name. */
const OTHER_VIDEO: ReadonlyMap<number, string> = new Map([
  [0x01, "MPEG-1 video"],
  [0x02, "MPEG-2 video"],
  [0x10, "MPEG-4 part 2"],
  [0x33, "VVC"],
  [0x42, "AVS"],
  [0xd1, "Dirac"],
  [0xea, "VC-1"],
]);

/**
 * @param findings gets what the file says of its program.
 * @returns what has to be called before each frame that is listed, and with false when they are.
 */
export function guardMpegTs(demuxer: MpegTsDemuxer, findings: Findings): (isListing: boolean) => void {
  // Sound is not looked at: its first packet would have to make sense.
  const streams = demuxer.elementaryStreams;
  const push = streams.push.bind(streams);
  streams.push = (...found) => {
    const videos = found.filter(({ info }) => info.type === "video");
    findings.hasSound ||= videos.length < found.length;
    return push(...videos);
  };

  const readSection = demuxer.readSection.bind(demuxer);
  let most = Number.POSITIVE_INFINITY;
  let units = 0;
  demuxer.readSection = async (...where) => {
    const section = await readSection(...where);
    if (section) units += numUnits(section.payload);
    if (section && streams.length === 0) {
      const other = streamTypes(section.payload).find((type) => OTHER_VIDEO.has(type));
      if (other !== undefined) findings.otherCodec = OTHER_VIDEO.get(other);
    }
    if (units > most) throw new Error("the times of its frames jump back");
    return section;
  };
  return (isListing) => {
    most = isListing ? MOST_UNITS_A_FRAME : Number.POSITIVE_INFINITY;
    units = 0;
  };
}

const PROGRAM_MAP = 0x02;

/** What a program consists of; nothing where a section is no map of one. */
function streamTypes(section: Uint8Array): number[] {
  const map = section.subarray(1 + (section[0] ?? 0));
  if (map[0] !== PROGRAM_MAP) return [];
  const twelveBits = (at: number) => (((map[at] ?? 0) & 0x0f) << 8) | (map[at + 1] ?? 0);
  // The last four bytes are a checksum.
  const end = Math.min(3 + twelveBits(1) - 4, map.length);
  const types: number[] = [];
  for (let at = 12 + twelveBits(10); at + 5 <= end; at += 5 + twelveBits(at + 3))
    types.push(map[at] as number);
  return types;
}

/** Start codes. */
function numUnits(bytes: Uint8Array): number {
  let units = 0;
  for (let at = bytes.indexOf(1); at >= 0; at = bytes.indexOf(1, at + 1)) {
    if (bytes[at - 1] === 0 && bytes[at - 2] === 0) units += 1;
  }
  return units;
}

/** @throws Error for a stream that claims to put frames into order over a longer stretch than its codec can. */
export function checkReordering(track: object): void {
  // What mediabunny has behind a track.
  const { _backing: backing } = track as { _backing?: { getReorderSize?(): number } };
  const size = backing?.getReorderSize?.() ?? 0;
  if (!(size >= 0 && size <= MOST_REORDERED)) throw new Error(`it claims to reorder ${size} frames`);
}
