/** Keeps mediabunny to what a picture needs of an MPEG transport stream. */

interface Stream {
  readonly info: { readonly type: string };
}

export interface MpegTsDemuxer {
  readonly elementaryStreams: Stream[];
}

/** Sound is not looked at: its first packet would have to make sense. */
export function guardMpegTs(demuxer: MpegTsDemuxer): void {
  const streams = demuxer.elementaryStreams;
  const push = streams.push.bind(streams);
  streams.push = (...found) => push(...found.filter(({ info }) => info.type === "video"));
}

/** H.264 and HEVC have no more; mediabunny compares each frame with so many others. */
const MOST_REORDERED = 16;

/** @throws Error for a stream that claims to put frames into order over a longer stretch than its codec can. */
export function checkReordering(track: { readonly _backing?: { getReorderSize?(): number } }): void {
  const size = track._backing?.getReorderSize?.() ?? 0;
  if (!(size >= 0 && size <= MOST_REORDERED)) throw new Error(`it claims to reorder ${size} frames`);
}
