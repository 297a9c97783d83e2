/** PNG files of any size, made on the spot. */
import { deflateSync } from "node:zlib";
import { crc32 } from "../golden/crc32.ts";

/** A grey PNG of `width` x `height`, all black but for a pattern in its first row; few bytes for many pixels. */
export function greyPng(width: number, height: number, rows = height): Uint8Array {
  const raw = new Uint8Array((width + 1) * rows);
  for (let i = 1; i < Math.min(width, raw.length); i++) raw[i] = i % 256;
  return png(width, height, GREY, raw);
}

const GREY = 0;
export const RGB = 2;

/** @param raw the lines, each with its filter before it; a file that has fewer than its height is cut off. */
export function png(width: number, height: number, colourType: number, raw: Uint8Array): Uint8Array {
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8);
  header.setUint8(9, colourType);
  return Buffer.concat([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("IDAT", deflateSync(raw)),
    chunk("IEND", new Uint8Array(0)),
  ]);
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const all = Buffer.alloc(8 + body.length);
  all.writeUInt32BE(data.length, 0);
  all.set(body, 4);
  all.writeUInt32BE(crc32(body), 4 + body.length);
  return all;
}
