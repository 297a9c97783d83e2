/** The guard of each container, and what it finds out. */

import { type Input, type InputVideoTrack, MP4, MPEG_TS, QTFF } from "mediabunny";
import { guardMatroska, type MatroskaDemuxer } from "./matroska-guard.ts";
import { continueWithFragments } from "./mp4-fragments.ts";
import { FEWEST_BYTES_A_FRAME, guardMp4, type Mp4Demuxer } from "./mp4-guard.ts";
import { checkReordering, guardMpegTs, type MpegTsDemuxer } from "./mpeg-ts-guard.ts";
import type { TrackEdits } from "./shown-frames.ts";

/** Filled while the file is read. */
export interface Findings {
  /** Bytes of the file that a frame has at the least, its entries in tables included. */
  readonly fewestBytes: number;
  /** Why there may be no video to be found; completes "its video is ...". */
  refusal?: string | undefined;
  /** There is sound, which is not read. */
  hasSound?: boolean | undefined;
  /** A video that is there and not read. */
  otherCodec?: string | undefined;
  /** Bytes that are put before each frame and are not in the file. */
  strippedBytes: number;
}

export interface Guarded {
  readonly findings: Findings;
  /** Before its packets are read. @throws Error for a track that no codec makes. */
  prepare(track: InputVideoTrack): void;
  /** Before each frame that is listed, and with false when they are. */
  listing(isListing: boolean): void;
  /** @param timescale ticks a second of the track. */
  editsOf(track: number, timescale: number): TrackEdits | undefined;
}

/** A block of Matroska has a header of six bytes; in a transport stream a frame begins in a packet, or a field does. */
const FEWEST_BYTES_IN_MATROSKA = 6;
const FEWEST_BYTES_IN_STREAM = 94;

/** Their guards see everything themselves. */
const UNCHECKED = { prepare: () => {}, listing: () => {} };

/** Before anything but the format is read. */
export async function guard(input: Input, fileBytes: number): Promise<Guarded> {
  const format = await input.getFormat();
  const demuxer = await (input as unknown as { _getDemuxer(): Promise<unknown> })._getDemuxer();
  const findings = (fewestBytes: number): Findings => ({ fewestBytes, strippedBytes: 0 });
  if (format === MP4 || format === QTFF) {
    const mp4 = demuxer as Mp4Demuxer;
    const edits = guardMp4(mp4, fileBytes);
    return {
      findings: findings(FEWEST_BYTES_A_FRAME),
      ...UNCHECKED,
      prepare: (track) => {
        if (mp4.isFragmented) continueWithFragments(track);
      },
      editsOf: (track, timescale) => {
        const found = edits.get(track) ?? [];
        // Fragments come with the edit of their whole film, which only shifts them.
        if (found.length === 0 || mp4.isFragmented) return undefined;
        return { edits: found, timescale, movieTimescale: mp4.movieTimescale };
      },
    };
  }
  if (format === MPEG_TS) {
    const stream = findings(FEWEST_BYTES_IN_STREAM);
    const listing = guardMpegTs(demuxer as MpegTsDemuxer, stream);
    return { findings: stream, prepare: checkReordering, listing, editsOf: () => undefined };
  }
  const matroska = findings(FEWEST_BYTES_IN_MATROSKA);
  guardMatroska(demuxer as MatroskaDemuxer, fileBytes, matroska);
  return { findings: matroska, ...UNCHECKED, editsOf: () => undefined };
}
