/** A page of A4 at 150 dots an inch, as the files that people send. */
import { readFileSync } from "node:fs";
import { png, RGB } from "../../test/workers/pictures.ts";
import { noise } from "../kernels.ts";

export const WIDTH = 1240;
export const HEIGHT = 1754;

/** Dark strokes on paper that is not quite white, as a scanner sees it. */
export function pngPage(): Uint8Array {
  const line = 1 + 3 * WIDTH;
  const raw = new Uint8Array(line * HEIGHT);
  const grain = noise(3 * WIDTH * HEIGHT);
  for (let y = 0; y < HEIGHT; y++) {
    for (let i = 0; i < 3 * WIDTH; i++) {
      const x = Math.floor(i / 3);
      const isStroke = y % 28 < 14 && Math.sin(x * 0.9) * Math.sin(x * 0.13 + (y % 28)) > 0.3;
      raw[y * line + 1 + i] = (isStroke ? 40 : 250) + Math.round(4 * (grain[y * 3 * WIDTH + i] as number));
    }
  }
  return png(WIDTH, HEIGHT, RGB, raw);
}

/** The picture of a small file of the tests again and again: each restart interval of the large one is its scan. */
export function jpegPage(): Uint8Array {
  const small = new Uint8Array(readFileSync("test/golden/data/media/420.jpg"));
  const view = new DataView(small.buffer);
  const mark = (marker: number) => small.findIndex((byte, i) => byte === 0xff && small[i + 1] === marker);
  const [frame, start, end] = [mark(0xc0), mark(0xda), small.length - 2];
  const units = (pixels: number) => Math.ceil(pixels / 16);
  const inSmall = units(view.getUint16(frame + 7)) * units(view.getUint16(frame + 5));
  const inLarge = units(WIDTH) * units(HEIGHT);
  if (inLarge % inSmall !== 0) throw new Error(`${inLarge} blocks are no multiple of ${inSmall}`);
  view.setUint16(frame + 5, HEIGHT);
  view.setUint16(frame + 7, WIDTH);
  const scanStart = start + 2 + view.getUint16(start + 2);
  const scan = small.subarray(scanStart, end);
  const intervals = Array.from({ length: inLarge / inSmall }, (_, i) =>
    i === 0 ? [scan] : [Uint8Array.of(0xff, 0xd0 + ((i - 1) % 8)), scan],
  );
  return Buffer.concat([
    small.subarray(0, start),
    Uint8Array.of(0xff, 0xdd, 0, 4, inSmall >> 8, inSmall & 255),
    small.subarray(start, scanStart),
    ...intervals.flat(),
    Uint8Array.of(0xff, 0xd9),
  ]);
}
