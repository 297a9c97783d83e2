/** TIFF files of several pages: each page as a file whose first page it is. */

import { viewOf } from "../bytes.ts";

/** A file may say that its pages go round in a circle, or are more than it has room for. */
const MOST_PAGES = 2 ** 16;

/** NewSubfileType: what its lowest bit is set in is a smaller copy of another page, as cameras and scanners add. */
const KIND_TAG = 254;

/** Where the directories of a file's pages are, in their order, without previews. What is damaged ends the list. */
export function tiffPageOffsets(bytes: Uint8Array): number[] {
  const view = viewOf(bytes);
  const little = bytes[0] === 0x49;
  const isBig = isBigTiff(bytes);
  const [countBytes, entryBytes] = isBig ? [8, 20] : [2, 12];
  const offset = (at: number) => (isBig ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little));
  const seen = new Set<number>();
  const previews = new Set<number>();
  try {
    for (let at = offset(isBig ? 8 : 4); at !== 0 && !seen.has(at) && seen.size < MOST_PAGES; ) {
      const entries = isBig ? Number(view.getBigUint64(at, little)) : view.getUint16(at, little);
      const next = at + countBytes + entries * entryBytes;
      // Read first: one that is cut off is no page.
      const following = offset(next);
      const kind = kindOf(view, at + countBytes, Math.min(entries, 16), entryBytes, little);
      if ((kind & 1) === 1 && seen.size > 0) previews.add(at);
      seen.add(at);
      at = following;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return [...seen].filter((at) => !previews.has(at));
}

/** Entries are in the order of their tags, and few tags are smaller. */
function kindOf(view: DataView, from: number, entries: number, size: number, little: boolean): number {
  for (let at = from; at < from + entries * size; at += size) {
    if (view.getUint16(at, little) === KIND_TAG)
      return view.getUint32(at + size - (size === 20 ? 8 : 4), little);
  }
  return 0;
}

/** A copy of the file that begins with the page whose directory is at `offset`. */
export function tiffPage(bytes: Uint8Array, offset: number): Uint8Array<ArrayBuffer> {
  const page = new Uint8Array(bytes);
  const little = bytes[0] === 0x49;
  const view = viewOf(page);
  if (isBigTiff(bytes)) view.setBigUint64(8, BigInt(offset), little);
  else view.setUint32(4, offset, little);
  return page;
}

function isBigTiff(bytes: Uint8Array): boolean {
  return bytes[2] === 43 || bytes[3] === 43;
}
