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
 * The packet of each frame that is shown; several edits may show one packet again. Decoding begins at the first key
 * frame, and what is shown before that hangs on frames that are not there. An edit shows the frames that begin in it,
 * not one that began before.
 */
export function shownFrames(times: PacketTimes, trackEdits: TrackEdits | undefined): readonly number[] {
  const { seconds, isKey, isHidden } = times;
  const timeOf = (packet: number) => seconds[packet] as number;
  const firstKey = isKey.indexOf(true);
  if (firstKey < 0) return [];
  const packets = [...seconds.keys()]
    .filter((packet) => packet >= firstKey && timeOf(packet) >= timeOf(firstKey) && !isHidden[packet])
    .sort((a, b) => timeOf(a) - timeOf(b));
  if (!trackEdits) return packets;
  const { edits, timescale, movieTimescale } = trackEdits;
  const ticks = packets.map((packet) => Math.round(timeOf(packet) * timescale));
  return edits
    .filter(({ mediaTime }) => mediaTime >= 0)
    .flatMap(({ mediaTime, duration }) => {
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
