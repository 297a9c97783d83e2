/** EXIF orientation: how the stored rows must be turned to be upright. */

import type { RgbImage } from "./rgb-image.ts";

const ORIENTATION_TAG = 0x0112;

/** The orientation (1 to 8) in a TIFF structure; 1 when it has none or makes no sense. */
export function exifOrientation(exif: Uint8Array | undefined): number {
  if (!exif || exif.length < 14) return 1;
  const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
  const littleEndian = view.getUint16(0) === 0x4949;
  const entries = view.getUint32(4, littleEndian);
  if (entries + 2 > exif.length) return 1;
  const count = view.getUint16(entries, littleEndian);
  for (let i = 0; i < count; i++) {
    const entry = entries + 2 + i * 12;
    if (entry + 12 > exif.length) return 1;
    if (view.getUint16(entry, littleEndian) !== ORIENTATION_TAG) continue;
    const orientation = view.getUint16(entry + 8, littleEndian);
    return orientation >= 1 && orientation <= 8 ? orientation : 1;
  }
  return 1;
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
