/**
 * Bounds what mediabunny does with a WebM or Matroska file by the size of the file.
 *
 * Its demuxer reads every element in one method, `traverseElement`. That method is asked first: only the elements that
 * a picture needs are read, each where the format puts it; everything else is stepped over (tags, attachments, sound,
 * and the cues: once the frames are listed mediabunny knows all clusters anyway). Elements of one list do not overlap
 * and nest five deep, so that reading a list is linear in its bytes; how often one is read is the source's to count.
 */

import type { Findings } from "./guards.ts";

interface FileSlice {
  readonly bytes: Uint8Array;
  readonly end: number;
  readonly bufferPos: number;
  filePos: number;
}

interface Segment {
  readonly tracks: readonly { readonly id: number; readonly info: { readonly type: string } | null }[];
}

interface Cluster {
  readonly segment: Segment;
}

export interface MatroskaDemuxer {
  readonly reader: { requestSlice(start: number, length: number): unknown };
  readonly currentCluster: Cluster | null;
  traverseElement(slice: FileSlice, stopIds?: readonly number[]): boolean;
}

const SEEK = 0x4dbb;
const TRACK_ENTRY = 0xae;
const VIDEO = 0xe0;
const COLOUR = 0x55b0;
const PROJECTION = 0x7670;
const CONTENT_ENCODINGS = 0x6d80;
const CONTENT_ENCODING = 0x6240;
const CONTENT_COMPRESSION = 0x5034;
const COMPRESSION_ALGORITHM = 0x4254;
const COMPRESSION_SETTINGS = 0x4255;
const CONTENT_ENCRYPTION = 0x5035;
const BLOCK_GROUP = 0xa0;
const BLOCK = 0xa1;
const SIMPLE_BLOCK = 0xa3;

/** Elements that are read, by what they stand in; the children of level 1 elements and of the header under 0. */
const CHILDREN: ReadonlyMap<number, readonly number[]> = new Map([
  // DocType; TimestampScale and Duration; Timestamp of a cluster.
  [0, [0x4282, SEEK, 0x2ad7b1, 0x4489, TRACK_ENTRY, 0xe7, SIMPLE_BLOCK, BLOCK_GROUP]],
  [SEEK, [0x53ab, 0x53ac]],
  // TrackNumber, TrackType, CodecID, CodecPrivate, DefaultDuration.
  [TRACK_ENTRY, [0xd7, 0x83, 0x86, 0x63a2, 0x23e383, VIDEO, CONTENT_ENCODINGS]],
  // Size in pixels and as shown, its unit.
  [VIDEO, [0xb0, 0xba, 0x54b0, 0x54ba, 0x54b2, COLOUR, PROJECTION]],
  [COLOUR, [0x55b1, 0x55ba, 0x55bb, 0x55b9]],
  [PROJECTION, [0x7671, 0x7673, 0x7674, 0x7675]],
  [CONTENT_ENCODINGS, [CONTENT_ENCODING]],
  [CONTENT_ENCODING, [0x5031, 0x5032, CONTENT_COMPRESSION, CONTENT_ENCRYPTION]],
  [CONTENT_COMPRESSION, [COMPRESSION_ALGORITHM, COMPRESSION_SETTINGS]],
  // Block, BlockDuration, ReferenceBlock.
  [BLOCK_GROUP, [BLOCK, 0x9b, 0xfb]],
]);

const MOST_HEADER_BYTES = 16;
const HEADER_STRIPPING = 3;
/** Each of them is looked for among all. */
const MOST_TRACKS = 1000;
const MOST_SEEKS = 1000;
/** What is put before each frame again: some bytes of a codec's header. */
const MOST_STRIPPED_BYTES = 64;
const MOST_ENCODINGS = 8;
/** A cluster spans a minute at most, in milliseconds; each frame becomes an object. */
const MOST_BLOCKS = 2 ** 16;
/** mediabunny puts them into its list one by one. */
const MOST_LACED_FRAMES = 2 ** 13;

/** @param findings gets what the file says of its video. */
export function guardMatroska(demuxer: MatroskaDemuxer, fileBytes: number, findings: Findings): void {
  const { reader } = demuxer;
  const request = reader.requestSlice.bind(reader);
  // A list that a cut file has no end of is read as far as it goes; headers are looked at only where they are whole.
  reader.requestSlice = (start, length) => {
    const rest = fileBytes - start;
    return request(start, length > MOST_HEADER_BYTES && rest > 0 ? Math.min(length, rest) : length);
  };
  const traverse = demuxer.traverseElement.bind(demuxer);
  const places: number[] = [];
  const counts = new Map<number, number>();
  const videoTracks = new WeakMap<Segment, ReadonlySet<number>>();
  let cluster: Cluster | null = null;
  let blocks = 0;
  let laced = 0;

  const count = (id: number, most: number, what: string) => {
    const found = (counts.get(id) ?? 0) + 1;
    counts.set(id, found);
    if (found > most) throw new Error(`it has over ${most} ${what}`);
  };
  const isVideo = (segment: Segment, track: number) => {
    const known =
      videoTracks.get(segment) ??
      new Set(segment.tracks.filter(({ info }) => info?.type === "video").map(({ id }) => id));
    videoTracks.set(segment, known);
    return known.has(track);
  };
  /** Whether a block of frames is of a video. */
  const admitsBlock = (body: Uint8Array): boolean => {
    if (!demuxer.currentCluster) return false;
    if (demuxer.currentCluster !== cluster) {
      cluster = demuxer.currentCluster;
      blocks = 0;
      laced = 0;
    }
    const track = numberAt(body, 0, false);
    if (!track || !isVideo(cluster.segment, track.value)) return false;
    // Behind the track's number two bytes of time and one of flags.
    const flags = body[track.bytes + 2] ?? 0;
    blocks += 1;
    if (flags & 0x06) {
      const frames = (body[track.bytes + 3] ?? 0) + 1;
      if (frames > body.length) throw new Error(`a block of ${body.length} bytes has ${frames} frames`);
      laced += frames;
      blocks += frames;
    }
    if (blocks > MOST_BLOCKS) throw new Error(`a cluster of it has over ${MOST_BLOCKS} frames`);
    if (laced > MOST_LACED_FRAMES)
      throw new Error(`a cluster of it has over ${MOST_LACED_FRAMES} laced frames`);
    return true;
  };

  demuxer.traverseElement = (slice, stopIds) => {
    const element = elementAt(slice);
    // What is no element, or ends the list, is mediabunny's to say.
    if (!element || stopIds?.includes(element.id)) return traverse(slice, stopIds);
    const { id, body, end } = element;
    const isBlock = id === BLOCK || id === SIMPLE_BLOCK;
    if (!CHILDREN.get(places.at(-1) ?? 0)?.includes(id) || (isBlock && !admitsBlock(body))) {
      slice.filePos = end;
      return true;
    }
    if (end > slice.end && slice.end === fileBytes) {
      slice.filePos = slice.end;
      return true;
    }
    if (end > slice.end)
      throw new Error(`an element at byte ${slice.filePos} reaches past the one around it`);
    if (id === TRACK_ENTRY) count(id, MOST_TRACKS, "tracks");
    if (id === SEEK) count(id, MOST_SEEKS, "entries in its table of contents");
    if (id === CONTENT_ENCODING) count(id, MOST_ENCODINGS, "encodings");
    if (id === CONTENT_ENCRYPTION) findings.refusal = "encrypted";
    if (id === COMPRESSION_ALGORITHM && body.at(-1) !== HEADER_STRIPPING)
      findings.refusal = "compressed a second time";
    if (id === COMPRESSION_SETTINGS) {
      if (body.length > MOST_STRIPPED_BYTES)
        throw new Error(`it puts ${body.length} bytes before each frame`);
      findings.strippedBytes += body.length;
    }
    places.push(id);
    try {
      return traverse(slice, stopIds);
    } finally {
      places.pop();
    }
  };
}

/** All bits of eight bytes; in one byte it is 0xff. */
const UNKNOWN_SIZE = 2 ** 56 - 1;

/** Null where none can be read; one of unknown size has no end. */
function elementAt({ bytes, bufferPos: at, filePos, end: mostEnd }: FileSlice) {
  const rest = bytes.subarray(at, at + Math.max(0, mostEnd - filePos));
  const id = numberAt(rest, 0, true);
  const size = id && numberAt(rest, id.bytes, false);
  if (!size || rest[id.bytes] === 0xff || size.value >= UNKNOWN_SIZE) return null;
  const header = id.bytes + size.bytes;
  const body = rest.subarray(header, header + size.value);
  return { id: id.value, end: filePos + header + size.value, body };
}

/** EBML's numbers say in their first bits how long they are; ids keep these bits. */
function numberAt(bytes: Uint8Array, at: number, keepsLength: boolean) {
  const length = Math.clz32(bytes[at] ?? 0) - 23;
  if (length > 8 || at + length > bytes.length) return null;
  let value = keepsLength ? (bytes[at] as number) : (bytes[at] as number) & (0xff >> length);
  for (let i = 1; i < length; i++) value = value * 256 + (bytes[at + i] as number);
  return { value, bytes: length };
}
