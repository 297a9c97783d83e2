/** Session files taken apart and put together again, with digests that are right whatever is in them. */
import { createHash } from "node:crypto";

const START = 16;
const DIGEST = 32;
/** Numbers of a page of 16 rows. */
const NUMBERS = 16 * 5 * 4;

export interface TakenApart {
  start: Uint8Array;
  header: Record<string, unknown>;
  /** Numbers and bytes of its pages, block by block. */
  blocks: Uint8Array[];
}

export async function bytesOf(blob: Blob): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await blob.arrayBuffer());
}

/** @param pageBytes of one page in all layers that it has */
export function takeApart(bytes: Uint8Array, pageBytes: number): TakenApart {
  const headerBytes = new DataView(bytes.buffer).getUint32(12, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(START, START + headerBytes)));
  const perBlock = Math.max(1, Math.floor(2 ** 22 / (NUMBERS + pageBytes)));
  const blocks: Uint8Array[] = [];
  let at = START + headerBytes + DIGEST;
  for (let left = header.pages as number; left > 0; left -= perBlock) {
    const length = Math.min(left, perBlock) * (NUMBERS + pageBytes);
    blocks.push(bytes.slice(at, at + length));
    at += length + DIGEST;
  }
  return { start: bytes.slice(0, START), header, blocks };
}

export function putTogether({ start, header, blocks }: TakenApart): Blob {
  const json = new TextEncoder().encode(JSON.stringify(header));
  const first = new Uint8Array(START + json.length);
  first.set(start);
  new DataView(first.buffer).setUint32(12, json.length, true);
  first.set(json, START);
  let last = Buffer.alloc(0);
  const parts = [first, ...blocks].flatMap((part) => {
    last = createHash("sha256").update(last).update(part).digest();
    return [part, last];
  });
  return new Blob(parts as Uint8Array<ArrayBuffer>[]);
}
