/**
 * Bounds what mediabunny does with an MP4 or QuickTime file by the size of the file.
 *
 * Its demuxer reads every box in one method, `traverseBox`, wherever the box stands, and builds lists as long as a
 * table claims. So that method is asked first: only the boxes that a picture needs are read, each where the standard
 * puts it and once, and no table says more than its own box and the file hold. Everything else is stepped over. Boxes
 * of one list do not overlap and nest seven deep, so that all reading together is linear in the bytes of the index.
 */

import { ascii, viewOf } from "../bytes.ts";
import { MOST_FRAMES } from "./most-frames.ts";

/** The part of mediabunny's FileSlice that is used: bytes of the file from `start` to `end`, and a place in them. */
interface FileSlice {
  readonly bytes: Uint8Array;
  readonly end: number;
  /** The place in `bytes`, and in the file. */
  readonly bufferPos: number;
  filePos: number;
}

/** What mediabunny makes of a track's sample table. */
interface SampleTable {
  sampleTimingEntries: { startIndex: number; startDecodeTimestamp: number; count: number; delta: number }[];
  readonly sampleSizes: readonly number[];
  chunkOffsets: number[];
  sampleToChunk: {
    startSampleIndex: number;
    startChunkIndex: number;
    samplesPerChunk: number;
    sampleDescriptionIndex: number;
  }[];
}

interface Track {
  readonly id: number;
  readonly timescale: number;
  sampleTable: SampleTable | null;
}

export interface Mp4Demuxer {
  readonly movieTimescale: number;
  readonly isFragmented: boolean;
  readonly currentTrack: Track | null;
  traverseBox(slice: FileSlice): boolean;
  getSampleTableForTrack(track: Track): SampleTable;
}

/** A part of the track that is shown: from `mediaTime` on, in the track's ticks; -1 for a pause. */
export interface Edit {
  /** In ticks of the movie's clock. */
  readonly duration: number;
  readonly mediaTime: number;
}

/** Each of its entries has boxes of its own. */
const DESCRIPTION = "stsd";
/** Where each box that is read stands; "" is the top of an index, of a fragment, or of a sample table read later. */
const PARENTS: Readonly<Record<string, string>> = {
  ...each("", "mvhd trak mvex moof"),
  ...each("trak", "tkhd edts mdia"),
  ...each("edts", "elst"),
  ...each("mdia", "mdhd hdlr minf"),
  ...each("minf", "dinf stbl"),
  ...each("stbl", "stsd stts ctts stsz stz2 stss stsc stco co64"),
  ...each(DESCRIPTION, "avcC hvcC vpcC av1C colr pasp"),
  ...each("mvex", "trex"),
  ...each("moof", "traf"),
  ...each("traf", "tfhd tfdt trun"),
};
const REPEATED = ["trak", "trex", "moof", "traf", "trun"];
/** Looked for among all of their kind, so that few may be there. */
const FEW = ["trak", "trex", "traf"];
/** Known in other places too, where nothing of it is needed. */
const ELSEWHERE = ["hdlr", "colr", "pasp"];

/** With its entries in the tables a frame has more. */
export const FEWEST_BYTES_A_FRAME = 4;
const MOST_FRAMES_A_FRAGMENT = 2 ** 20;
const MOST_TRACKS = 1000;

function each(parent: string, names: string): Record<string, string> {
  return Object.fromEntries(names.split(" ").map((name) => [name, parent]));
}

interface Place {
  readonly name: string;
  readonly seen: Map<string, number>;
  /** Of all tables in it, for a fragment. */
  samples: number;
}

/** Edits of each track, filled while the file is read. */
export type EditsOfTracks = Map<number, readonly Edit[]>;

/** @param fileBytes size of the file. */
export function guardMp4(demuxer: Mp4Demuxer, fileBytes: number): EditsOfTracks {
  const edits: EditsOfTracks = new Map();
  const mostFrames = Math.min(fileBytes / FEWEST_BYTES_A_FRAME, MOST_FRAMES);
  const traverse = demuxer.traverseBox.bind(demuxer);
  const readTable = demuxer.getSampleTableForTrack.bind(demuxer);
  const top = (): Place => ({ name: "", seen: new Map(), samples: 0 });
  let places = [top()];
  /** Samples of the table that is read. */
  let sizes = 0;

  demuxer.traverseBox = (slice) => {
    const box = boxAt(slice);
    if (!box) return false;
    const place = places.at(-1) as Place;
    if (PARENTS[box.name] === undefined || !admits(place, box.name)) {
      slice.filePos = box.end;
      return true;
    }
    if (box.end > slice.end) throw new Error(`its ${box.name} box reaches past the one around it`);
    const count = (place.seen.get(box.name) ?? 0) + 1;
    place.seen.set(box.name, count);
    if (count > 1 && place.name !== DESCRIPTION && !REPEATED.includes(box.name))
      throw new Error(`it has two ${box.name} boxes in one`);
    if (count > MOST_TRACKS && FEW.includes(box.name))
      throw new Error(`it has over ${MOST_TRACKS} ${box.name} boxes`);
    if (box.name === "trun") {
      const fragment = places.find(({ name }) => name === "moof") as Place;
      fragment.samples += samplesOfRun(box.body);
      if (fragment.samples > Math.min(mostFrames, MOST_FRAMES_A_FRAGMENT)) {
        throw new Error(`a fragment of it lists ${fragment.samples} frames`);
      }
    }
    // mediabunny knows one edit; all of them are applied when the frames are listed.
    if (box.name === "elst") {
      if (demuxer.currentTrack) edits.set(demuxer.currentTrack.id, editsOf(box.body));
      slice.filePos = box.end;
      return true;
    }
    // Only then are tables read.
    if (demuxer.currentTrack?.sampleTable) {
      const samples = checkTable(box.name, box.body, mostFrames);
      if (box.name === "stsz" || box.name === "stz2") sizes = samples;
    }
    places.push({ name: box.name, seen: new Map(), samples: 0 });
    try {
      traverse(slice);
    } finally {
      places.pop();
    }
    if (box.name === "stbl" && demuxer.currentTrack?.sampleTable) {
      oneSampleAChunk(demuxer.currentTrack.sampleTable, sizes);
    }
    return true;
  };

  demuxer.getSampleTableForTrack = (track) => {
    if (track.sampleTable) return track.sampleTable;
    const outer = places;
    places = [{ ...top(), name: "minf" }];
    sizes = 0;
    try {
      return readTable(track);
    } finally {
      places = outer;
    }
  };
  return edits;
}

/** @throws Error for a box that says what is shown in a place where no reader looks for it. */
function admits(place: Place, name: string): boolean {
  if (PARENTS[name] === place.name) return true;
  if (ELSEWHERE.includes(name)) return false;
  throw new Error(`its ${name} box stands in ${place.name || "the index"}, where none belongs`);
}

/** Null where mediabunny sees none: a size under the header's, or too few bytes. */
function boxAt({ bytes, bufferPos: at, filePos, end: mostEnd }: FileSlice) {
  if (filePos + 8 > mostEnd) return null;
  const view = viewOf(bytes);
  const short = view.getUint32(at);
  const isLong = short === 1;
  if (isLong && filePos + 16 > mostEnd) return null;
  const size = isLong ? Number(view.getBigUint64(at + 8)) : short;
  const header = isLong ? 16 : 8;
  if (size < header) return null;
  const name = ascii(bytes, at + 4, at + 8);
  const body = bytes.subarray(at + header, Math.min(at + size, at + mostEnd - filePos));
  return { name, end: filePos + size, body };
}

/** A table: where its number of entries stands, and the bytes of one. */
const TABLES: Readonly<Record<string, readonly [countAt: number, entryBytes: number]>> = {
  stts: [4, 8],
  ctts: [4, 8],
  stss: [4, 4],
  stsc: [4, 12],
  stco: [4, 4],
  co64: [4, 8],
  stsz: [8, 4],
  stz2: [8, 0],
};

/** @returns the samples it speaks of. @throws Error for a table that says more than its box or the file hold. */
function checkTable(name: string, body: Uint8Array, mostFrames: number): number {
  const table = TABLES[name];
  if (!table) return 0;
  const [countAt, wholeEntry] = table;
  const view = viewOf(body);
  const head = countAt + 4;
  if (body.length < head) throw new Error(`its ${name} table is cut short`);
  const count = view.getUint32(countAt);
  let entry = wholeEntry;
  // One size for all; sizes of 4, 8 or 16 bits.
  if (name === "stsz" && view.getUint32(4) !== 0) entry = 0;
  if (name === "stz2") {
    entry = (body[7] as number) / 8;
    if (![0.5, 1, 2].includes(entry)) throw new Error(`its stz2 table has sizes of ${body[7]} bits`);
  }
  if (head + count * entry > body.length)
    throw new Error(`its ${name} table has no room for ${count} entries`);
  let samples = count;
  if (name === "stts" || name === "ctts") {
    samples = 0;
    for (let i = 0; i < count; i++) samples += view.getUint32(head + 8 * i);
  }
  if (samples > mostFrames) throw new Error(`its ${name} table lists ${samples} frames`);
  return samples;
}

/** Bytes of one sample in a trun for each of these flags. */
const RUN_FIELDS = [0x100, 0x200, 0x400, 0x800];

function samplesOfRun(body: Uint8Array): number {
  if (body.length < 8) throw new Error("its trun table is cut short");
  const view = viewOf(body);
  const flags = view.getUint32(0) & 0xffffff;
  const samples = view.getUint32(4);
  const head = 8 + (flags & 1 ? 4 : 0) + (flags & 4 ? 4 : 0);
  const entry = 4 * RUN_FIELDS.filter((flag) => flags & flag).length;
  if (head + samples * entry > body.length)
    throw new Error(`its trun table has no room for ${samples} entries`);
  return samples;
}

function editsOf(body: Uint8Array): readonly Edit[] {
  if (body.length < 8) throw new Error("its elst table is cut short");
  const view = viewOf(body);
  const isLong = body[0] === 1;
  const entry = isLong ? 20 : 12;
  const count = view.getUint32(4);
  if (8 + count * entry > body.length) throw new Error(`its elst table has no room for ${count} entries`);
  return Array.from({ length: count }, (_, i) => {
    const at = 8 + i * entry;
    return isLong
      ? { duration: Number(view.getBigUint64(at)), mediaTime: Number(view.getBigInt64(at + 8)) }
      : { duration: view.getUint32(at), mediaTime: view.getInt32(at + 4) };
  });
}

/**
 * mediabunny walks a whole chunk for each of its samples: with every sample a chunk of its own nothing is left to walk,
 * also where a file says 2^31 samples a chunk. Times are made as many as the samples.
 *
 * @param sizes samples that the table of sizes speaks of.
 */
function oneSampleAChunk(table: SampleTable, sizes: number): void {
  const { sampleSizes, chunkOffsets, sampleToChunk } = table;
  const offsets: number[] = [];
  const sizeOf = (sample: number) => sampleSizes[Math.min(sample, sampleSizes.length - 1)] as number;
  let chunk = 0;
  for (const [i, { startChunkIndex, samplesPerChunk }] of sampleToChunk.entries()) {
    const end = sampleToChunk[i + 1]?.startChunkIndex ?? chunkOffsets.length;
    if (startChunkIndex !== chunk || end < chunk)
      throw new Error("the chunks of its stsc table are out of order");
    if (samplesPerChunk > sizes) throw new Error(`its stsc table has chunks of ${samplesPerChunk} frames`);
    for (; chunk < Math.min(end, chunkOffsets.length) && offsets.length < sizes; chunk++) {
      let offset = chunkOffsets[chunk] as number;
      for (let sample = 0; sample < samplesPerChunk && offsets.length < sizes; sample++) {
        offsets.push(offset);
        offset += sizeOf(offsets.length - 1);
      }
    }
    chunk = end;
  }
  table.chunkOffsets = offsets;
  table.sampleToChunk = [
    { startSampleIndex: 0, startChunkIndex: 0, samplesPerChunk: 1, sampleDescriptionIndex: 1 },
  ];

  const times = table.sampleTimingEntries.filter(({ startIndex }) => startIndex < offsets.length);
  const last = times.at(-1);
  // The last length goes on, as other readers have it.
  if (last) last.count = offsets.length - last.startIndex;
  table.sampleTimingEntries = times;
}
