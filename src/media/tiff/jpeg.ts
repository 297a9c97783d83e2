/** JPEG data of a strip or tile: a file of its own, whose tables may stand in the directory. */

import { concatBytes, viewOf } from "../bytes.ts";
import { Unreadable } from "../codecs/unreadable.ts";
import { isFrame } from "../header/jpeg.ts";
import type { PixelKind } from "./pixel-kind.ts";

const START = Uint8Array.of(0xff, 0xd8);
const [START_OF_SCAN, END] = [0xda, 0xd9] as const;

export interface JpegPieceSize {
  readonly width: number;
  readonly height: number;
  /** Rows that the data may have. */
  readonly most: number;
}

/** Says how colours are coded, whatever else the data says: 0 is RGB or CMYK, 1 YCbCr. */
function colourMarker(transform: number): Uint8Array {
  return Uint8Array.of(0xff, 0xee, 0, 14, 0x41, 0x64, 0x6f, 0x62, 0x65, 0, 100, 0, 0, 0, 0, transform);
}

/**
 * Samples of a piece, from its top: grey, RGB or CMYK.
 *
 * @throws as checkJpegPiece, and Unreadable for corrupt data
 */
export async function decodeJpegPiece(
  data: Uint8Array,
  tables: Uint8Array | undefined,
  size: JpegPieceSize,
  { kind, stored }: PixelKind,
): Promise<Uint8Array> {
  const own = checkJpegPiece(data, size);
  const { width, height } = own;
  const shared = tables ? readSegments(tables).kept : [];
  const colours = kind === "grey" ? [] : [colourMarker(kind === "ycbcr" ? 1 : 0)];
  const file = concatBytes([START, ...shared, ...colours, ...own.kept, own.rest]);
  const { decodeJpegSamples } = await import("../codecs/jpeg.ts");
  const samples = decodeJpegSamples(file);
  if (samples.length !== width * height * stored)
    throw new Unreadable("a JPEG piece is of another size or kind");
  return samples.subarray(0, size.width * size.height * stored);
}

/** Looks at the header alone. @throws RangeError for one that is cut off, Unreadable for another size */
export function checkJpegPiece(data: Uint8Array, size: JpegPieceSize) {
  const segments = readSegments(data);
  const { width, height } = segments;
  if (width === size.width && height >= size.height && height <= size.most) return segments;
  const wanted = `${size.width} x ${size.height}`;
  throw new Unreadable(`a JPEG piece is of ${width} x ${height} pixels, not ${wanted}`);
}

/** Segments up to the scan without those of applications and comments, the scan, and the size of the frame. */
function readSegments(data: Uint8Array) {
  const view = viewOf(data);
  const kept: Uint8Array[] = [];
  let [width, height] = [0, 0];
  let at = 2;
  while (at + 4 <= data.length) {
    if (view.getUint8(at) !== 0xff) throw new Unreadable("a JPEG piece is corrupt");
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at++;
      continue;
    }
    if (marker === END || marker === START_OF_SCAN) break;
    const end = at + 2 + view.getUint16(at + 2);
    if (end > data.length) throw new RangeError("a JPEG piece is cut off");
    if (isFrame(marker)) [height, width] = [view.getUint16(at + 5), view.getUint16(at + 7)];
    const isDescription = (marker >= 0xe0 && marker <= 0xef) || marker === 0xfe;
    if (!isDescription) kept.push(data.subarray(at, end));
    at = end;
  }
  return { kept, rest: data.subarray(at), width, height };
}
