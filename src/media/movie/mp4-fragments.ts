/** MP4 files whose first frames are listed in their index and the others in fragments behind it. */

import type { EncodedPacket, InputVideoTrack } from "mediabunny";

interface Fragment {
  readonly trackData: ReadonlyMap<number, unknown>;
}

/** What mediabunny has behind a track of an MP4 file. */
interface Backing {
  readonly packetToSampleIndex: WeakMap<EncodedPacket, number>;
  getNextPacket(packet: EncodedPacket, options: object): Promise<EncodedPacket | null>;
  performFragmentedLookup(
    start: Fragment | null,
    match: (fragment: Fragment) => { sampleIndex: number; correctSampleFound: boolean },
    searchTimestamp: number,
    latestTimestamp: number,
    options: object,
  ): Promise<EncodedPacket | null>;
}

/** mediabunny ends with the frames of the index; from there it is led to the first fragment. */
export function continueWithFragments(track: InputVideoTrack): void {
  const { id } = track;
  const backing = (track as unknown as { _backing: Backing })._backing;
  const next = backing.getNextPacket.bind(backing);
  const first = (fragment: Fragment) => {
    const isThere = fragment.trackData.has(id);
    return { sampleIndex: isThere ? 0 : -1, correctSampleFound: isThere };
  };
  backing.getNextPacket = async (packet, options) => {
    const found = await next(packet, options);
    if (found || !backing.packetToSampleIndex.has(packet)) return found;
    return backing.performFragmentedLookup(
      null,
      first,
      Number.NEGATIVE_INFINITY,
      Number.POSITIVE_INFINITY,
      options,
    );
  };
}
