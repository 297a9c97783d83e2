/**
 * Checks the sample tables of an MP4 or QuickTime file: mediabunny builds lists as long as they claim, and a claim of
 * billions of samples would take the process down.
 */

import { ascii, viewOf } from "./bytes.ts";

const CONTAINERS = ["moov", "trak", "mdia", "minf", "stbl"];
/** Largest index that is looked at; hours of video have a few megabytes. */
const MOST_INDEX_BYTES = 256 * 2 ** 20;

/** Bytes start .. end-1 of a file; fewer past its end. */
export type ReadRange = (start: number, end: number) => Promise<Uint8Array>;

/** @throws Error when a table claims more samples than the file has bytes. */
export async function checkSampleTables(read: ReadRange, fileBytes: number): Promise<void> {
  for (let at = 0; at + 8 <= fileBytes; ) {
    const { type, size } = boxAt(await read(at, at + 16), 0, fileBytes - at);
    if (type === "moov" && size <= MOST_INDEX_BYTES) checkBoxes(await read(at, at + size), fileBytes);
    at += size;
  }
}

/** A size of 0 reaches to the end; one that makes no sense is taken to do so too. */
function boxAt(bytes: Uint8Array, at: number, most: number): { type: string; size: number; header: number } {
  const view = viewOf(bytes);
  const type = ascii(bytes, at + 4, at + 8);
  const short = view.getUint32(at);
  const isLong = short === 1 && at + 16 <= bytes.length;
  const size = isLong ? Number(view.getBigUint64(at + 8)) : short;
  const header = isLong ? 16 : 8;
  return { type, size: size < header ? most : Math.min(size, most), header };
}

function checkBoxes(bytes: Uint8Array, fileBytes: number): void {
  for (let at = 0; at + 8 <= bytes.length; ) {
    const { type, size, header } = boxAt(bytes, at, bytes.length - at);
    const body = bytes.subarray(at + header, at + size);
    if (CONTAINERS.includes(type)) checkBoxes(body, fileBytes);
    const samples = numSamples(type, body);
    if (samples > fileBytes) throw new Error(`its ${type} table lists ${samples} frames`);
    at += size;
  }
}

/** Samples that a table speaks of: runs of them (stts, ctts), or one entry each (stsz). */
function numSamples(type: string, body: Uint8Array): number {
  const view = viewOf(body);
  if (type === "stsz") return body.length >= 12 ? view.getUint32(8) : 0;
  if (type !== "stts" && type !== "ctts") return 0;
  let samples = 0;
  for (let at = 8; at + 8 <= body.length; at += 8) samples += view.getUint32(at);
  return samples;
}
