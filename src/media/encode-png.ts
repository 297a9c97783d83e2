/** Pixels as a PNG file, without loss. */

import { concatBytes, letters, viewOf } from "./bytes.ts";
import type { RgbImage } from "./rgb-image.ts";

const SIGNATURE = letters("\x89PNG\r\n\x1a\n");
/** Of RGB: 8 bits, colour type 2; no interlacing. */
const [BITS, RGB] = [8, 2];
/** Each byte less the one of the pixel to its left: flat grounds become zeros. */
const SUB = 1;

export async function encodePng({ data, width, height }: RgbImage): Promise<Uint8Array> {
  const header = new Uint8Array(13);
  viewOf(header).setUint32(0, width);
  viewOf(header).setUint32(4, height);
  header.set([BITS, RGB], 8);
  const pixels = await deflated(filtered(data, width * 3, height));
  return concatBytes([
    SIGNATURE,
    chunk("IHDR", header),
    chunk("IDAT", pixels),
    chunk("IEND", new Uint8Array()),
  ]);
}

function filtered(data: Uint8Array, rowBytes: number, height: number): Uint8Array<ArrayBuffer> {
  const rows = new Uint8Array((rowBytes + 1) * height);
  for (let y = 0; y < height; y++) {
    const [from, to] = [y * rowBytes, y * (rowBytes + 1)];
    rows[to] = SUB;
    for (let x = 0; x < rowBytes; x++) {
      rows[to + 1 + x] = (data[from + x] as number) - (x < 3 ? 0 : (data[from + x - 3] as number));
    }
  }
  return rows;
}

async function deflated(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 12);
  const view = viewOf(bytes);
  view.setUint32(0, data.length);
  bytes.set(letters(type), 4);
  bytes.set(data, 8);
  view.setUint32(data.length + 8, crc(bytes.subarray(4, data.length + 8)));
  return bytes;
}

const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc(bytes: Uint8Array): number {
  let value = -1;
  for (const byte of bytes) value = (value >>> 8) ^ (TABLE[(value ^ byte) & 255] as number);
  return ~value >>> 0;
}
