/** Which frames of a file are shown, in what order and when: those that PyAV (FFmpeg) gives. */

import type { Edit } from "./mp4-guard.ts";

/** Packets in the order of the file, which is the order of decoding. */
export interface PacketTimes {
  readonly seconds: readonly number[];
  readonly isKey: readonly boolean[];
  /** Decoded, and never shown by itself. */
  readonly isHidden: readonly boolean[];
}

export interface TrackEdits {
  readonly edits: readonly Edit[];
  /** Ticks a second of the track, and of the movie. */
  readonly timescale: number;
  readonly movieTimescale: number;
}

/**
 * The packets that can be decoded, in the order of time: what is shown before the first key frame hangs on frames that
 * are not there.
 */
export function framesInOrder({ seconds, isKey, isHidden }: PacketTimes): readonly number[] {
  const timeOf = (packet: number) => seconds[packet] as number;
  const firstKey = isKey.indexOf(true);
  if (firstKey < 0) return [];
  return [...seconds.keys()]
    .filter((packet) => packet >= firstKey && timeOf(packet) >= timeOf(firstKey) && !isHidden[packet])
    .sort((a, b) => timeOf(a) - timeOf(b));
}

/**
 * The frames that are shown, of those in order: each edit shows those that begin in it, not one that began before, and
 * several may show one again. As FFmpeg has it, a pause counts as one only before anything is shown.
 */
export function editedFrames(
  packets: readonly number[],
  seconds: readonly number[],
  { edits, timescale, movieTimescale }: TrackEdits,
): readonly number[] {
  const ticks = packets.map((packet) => Math.round((seconds[packet] as number) * timescale));
  const first = edits.findIndex(({ mediaTime }) => mediaTime !== -1);
  return edits.slice(first).flatMap(({ mediaTime, duration }) => {
    const end = mediaTime + Math.round((duration * timescale) / movieTimescale);
    return packets.slice(lowerBound(ticks, mediaTime), lowerBound(ticks, end));
  });
}

/** First place of an ascending list whose value is not under `wanted`. */
function lowerBound(values: readonly number[], wanted: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values[middle] as number) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
