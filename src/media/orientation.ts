/** EXIF orientation: how the stored rows must be turned to be upright. */

import { ascii, viewOf } from "./bytes.ts";
import type { RgbImage } from "./rgb-image.ts";
import { type Read, VALUE_BYTES } from "./tiff/directory.ts";

const ORIENTATION_TAG = 0x0112;
/** Byte order, and 42 in it; the number is also found in the other order. */
const TIFF_SIGNATURES = ["II*\0", "II\0*", "MM\0*", "MM*\0"];

/** The types of TIFF values that are numbers, by their code: texts and plain bytes tell no orientation. */
const NUMBERS: Readonly<Record<number, Read>> = {
  3: (view, at, little) => view.getUint16(at, little),
  4: (view, at, little) => view.getUint32(at, little),
  5: (view, at, little) => view.getUint32(at, little) / view.getUint32(at + 4, little),
  6: (view, at) => view.getInt8(at),
  8: (view, at, little) => view.getInt16(at, little),
  9: (view, at, little) => view.getInt32(at, little),
  10: (view, at, little) => view.getInt32(at, little) / view.getInt32(at + 4, little),
  11: (view, at, little) => view.getFloat32(at, little),
  12: (view, at, little) => view.getFloat64(at, little),
  13: (view, at, little) => view.getUint32(at, little),
  16: (view, at, little) => Number(view.getBigUint64(at, little)),
};

/** Where a picture's orientation may be written. */
export interface OrientationSource {
  /** A TIFF structure, with or without the letters "Exif" before it. */
  readonly exif: Uint8Array | undefined;
  readonly xmp: Uint8Array | undefined;
  /** Read already, where the file itself is a TIFF structure. */
  readonly orientation?: number | undefined;
}

/**
 * The orientation (1 to 8), as Pillow's exif_transpose takes it: of the main directory's last entry the first value,
 * of whatever type of number; without an entry what XMP says; 1 when that makes no sense.
 */
export function orientationOf({ exif, xmp, orientation }: OrientationSource): number {
  const found = orientation ?? exifOrientation(withoutPrefix(exif)) ?? xmpOrientation(xmp);
  return [2, 3, 4, 5, 6, 7, 8].includes(found) ? found : 1;
}

function withoutPrefix(exif: Uint8Array | undefined): Uint8Array {
  let block = exif ?? new Uint8Array(0);
  while (ascii(block, 0, 6) === "Exif\0\0") block = block.subarray(6);
  return block;
}

/** Undefined without an entry; not a number for one that tells none, and for a block that is no TIFF structure. */
function exifOrientation(exif: Uint8Array): number | undefined {
  if (exif.length === 0) return undefined;
  if (exif.length < 8 || !TIFF_SIGNATURES.includes(ascii(exif, 0, 4))) return Number.NaN;
  const view = viewOf(exif);
  const little = ascii(exif, 0, 2) === "II";
  let orientation: number | undefined;
  try {
    const directory = view.getUint32(4, little);
    const count = view.getUint16(directory, little);
    for (let entry = directory + 2; entry < directory + 2 + count * 12; entry += 12) {
      const inline = view.getUint32(entry + 8, little);
      const type = view.getUint16(entry + 2, little);
      const bytes = (VALUE_BYTES[type] ?? 0) * view.getUint32(entry + 4, little);
      if (bytes === 0) continue;
      const at = bytes > 4 ? inline : entry + 8;
      if (at + bytes > exif.length) throw new RangeError("a value lies outside");
      if (view.getUint16(entry, little) !== ORIENTATION_TAG) continue;
      orientation = NUMBERS[type]?.(view, at, little) ?? Number.NaN;
    }
  } catch (error) {
    // The directory is cut off here: what stands before it counts.
    if (!(error instanceof RangeError)) throw error;
  }
  return orientation;
}

function xmpOrientation(xmp: Uint8Array | undefined): number {
  if (!xmp) return 1;
  const text = new TextDecoder("latin1").decode(xmp);
  return Number(/tiff:Orientation(?:="|>)([0-9])/.exec(text)?.[1] ?? 1);
}

/** Turns a picture upright: orientations 2 to 4 mirror axes, 5 to 8 exchange rows and columns too. */
export function applyOrientation(image: RgbImage, orientation: number): RgbImage {
  if (orientation === 1) return image;
  const swapsAxes = orientation >= 5;
  const width = swapsAxes ? image.height : image.width;
  const height = swapsAxes ? image.width : image.height;
  // Whether the stored columns and rows run backwards along the axis they end up on.
  const mirrorsColumns = [2, 3, 7, 8].includes(orientation);
  const mirrorsRows = [3, 4, 6, 7].includes(orientation);
  const rowBytes = image.width * 3;
  const columnStep = mirrorsColumns ? -3 : 3;
  const rowStep = mirrorsRows ? -rowBytes : rowBytes;
  const first = (mirrorsColumns ? rowBytes - 3 : 0) + (mirrorsRows ? (image.height - 1) * rowBytes : 0);
  const [stepX, stepY] = swapsAxes ? [rowStep, columnStep] : [columnStep, rowStep];

  const data = new Uint8Array(width * height * 3);
  let to = 0;
  for (let y = 0; y < height; y++) {
    let from = first + y * stepY;
    for (let x = 0; x < width; x++, to += 3, from += stepX) {
      data[to] = image.data[from] as number;
      data[to + 1] = image.data[from + 1] as number;
      data[to + 2] = image.data[from + 2] as number;
    }
  }
  return { data, width, height };
}
