/** Ranges of pages, and TIFF files of several. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { selectedPages } from "../../src/documents/page-source.ts";
import { pageSize } from "../../src/documents/pdf/pdf-file.ts";
import { decodeImage } from "../../src/media/decode-image.ts";
import { encodePng } from "../../src/media/encode-png.ts";
import { tiffPage, tiffPageOffsets } from "../../src/media/tiff/pages.ts";

for (const [range, expected] of [
  [undefined, [1, 2, 3, 4, 5]],
  ["1-3,5", [1, 2, 3, 5]],
  ["5, 1 - 2", [1, 2, 5]],
  ["4-", [4, 5]],
  ["2,2-3", [2, 3]],
] as const) {
  test(`pages ${range} of 5`, () => assert.equal(selectedPages(range, 5), expected));
}

for (const range of ["", "0", "3-2", "a", "1-3;5", "-3", "1,,2"]) {
  test(`pages ${JSON.stringify(range)} are none`, () => {
    assert.throws(() => selectedPages(range, 5), /expected such as 1-3,7/);
  });
}

test("pages that there are not", () => {
  assert.throws(() => selectedPages("4-9", 5), /has 5 pages/);
  assert.throws(() => selectedPages("2", 1), /has 1 page\./);
});

test("a page has its pixels at the resolution, or those that fit", () => {
  assert.equal(pageSize(595.28, 841.89, { dpi: 200, maxPixels: 4e7 }), {
    width: 1654,
    height: 2339,
    dpi: 200,
  });
  assert.equal(pageSize(72, 36, { dpi: 72, maxPixels: 4e7 }), { width: 72, height: 36, dpi: 72 });
  for (const [width, height] of [
    [14_400, 14_400],
    [1e9, 1e-3],
    [1e-3, 1e9],
    [1e7, 1e7],
  ] as const) {
    const size = pageSize(width, height, { dpi: 200, maxPixels: 4e7 });
    assert.ok(size.width >= 1 && size.height >= 1 && size.width * size.height <= 4e7, JSON.stringify(size));
  }
});

/** A little TIFF of grey pages, 2 x 1 pixels each. */
function tiff(levels: readonly number[], { preview = -1, loop = false } = {}): Uint8Array {
  const entries = 9;
  const pageBytes = 2 + entries * 12 + 4 + 2;
  const bytes = new Uint8Array(8 + levels.length * pageBytes);
  const view = new DataView(bytes.buffer);
  bytes.set([0x49, 0x49, 42, 0]);
  view.setUint32(4, 8, true);
  for (const [index, level] of levels.entries()) {
    const at = 8 + index * pageBytes;
    const pixels = at + pageBytes - 2;
    view.setUint16(at, entries, true);
    const tags = [
      [254, index === preview ? 1 : 0],
      [256, 2],
      [257, 1],
      [258, 8],
      [259, 1],
      [262, 1],
      [273, pixels],
      [278, 1],
      [279, 2],
    ] as const;
    for (const [entry, [tag, value]] of tags.entries()) {
      const place = at + 2 + entry * 12;
      view.setUint16(place, tag, true);
      view.setUint16(place + 2, 4, true);
      view.setUint32(place + 4, 1, true);
      view.setUint32(place + 8, value, true);
    }
    const isLast = index === levels.length - 1;
    view.setUint32(at + 2 + entries * 12, isLast ? (loop ? 8 : 0) : at + pageBytes, true);
    bytes.set([level, level], pixels);
  }
  return bytes;
}

test("each page of a TIFF file is one", async () => {
  const file = tiff([10, 20, 30]);
  const pages = tiffPageOffsets(file);
  assert.is(pages.length, 3);
  for (const [index, offset] of pages.entries()) {
    const { data, width } = await decodeImage(tiffPage(file, offset));
    assert.equal([data[0], width], [10 * (index + 1), 2]);
  }
});

test("previews are no pages; circles and cut off files end", () => {
  assert.is(tiffPageOffsets(tiff([1, 2, 3], { preview: 1 })).length, 2);
  assert.is(tiffPageOffsets(tiff([1, 2, 3], { loop: true })).length, 3);
  assert.is(tiffPageOffsets(tiff([1, 2, 3]).subarray(0, 200)).length, 1);
  assert.is(tiffPageOffsets(Uint8Array.of(0x49, 0x49, 42, 0, 255, 255, 255, 255)).length, 0);
});

test("pixels come back out of the PNG that they are saved as", async () => {
  const [width, height] = [37, 11];
  const data = Uint8Array.from({ length: width * height * 3 }, (_, at) => (at * 131 + (at >> 3)) & 255);
  const back = await decodeImage(await encodePng({ data, width, height }));
  assert.equal(back, { data, width, height });
});

test.run();
