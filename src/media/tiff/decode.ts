/** TIFF pixels: pieces are decompressed one after another and put in their places. */

import { viewOf } from "../bytes.ts";
import { Unreadable } from "../codecs/unreadable.ts";
import { checkedInflate, checkInflatable } from "../inflate.ts";
import type { MediaMode } from "../mode.ts";
import { cmykToRgb, spreadGrey, spreadPalette, unpremultiply } from "./colours.ts";
import { decodeFax } from "./fax.ts";
import { checkJpegPiece, decodeJpegPiece, type JpegPieceSize } from "./jpeg.ts";
import { type Compression, type Piece, type TiffLayout, tiffLayout } from "./layout.ts";
import { decodeLzw } from "./lzw.ts";
import { decodePackBits } from "./packbits.ts";
import type { PixelKind } from "./pixel-kind.ts";
import { reversedBits, swapBytes, undoPrediction } from "./samples.ts";

const COLOURS = { grey: 1, palette: 1, rgb: 3, ycbcr: 3, cmyk: 4 } as const;
const ALPHA = 3;

/** Encoded bytes to RGBA. @throws RangeError for a truncated file, Unreadable saying what of it is not read */
export async function decode(bytes: Uint8Array, mode: MediaMode): Promise<Uint8Array> {
  const layout = tiffLayout(bytes);
  const { width, height, pixels, isPlanar, palette } = layout;
  const { kind, alpha, stored } = pixels;
  // Before memory is taken: what is cut short may claim any size.
  for (const piece of layout.pieces) checkPiece(bytes, piece, layout);
  const rgba = new Uint8Array(width * height * 4);
  const colours = kind === "palette" ? paletteColours(palette) : undefined;
  const channels = [...Array(COLOURS[kind]).keys(), ...(alpha === "none" ? [] : [ALPHA])];
  const level = levels(pixels, mode);
  for (const piece of layout.pieces) {
    const block = await readPiece(bytes, piece, layout);
    channels.forEach((channel, sample) => {
      if (isPlanar && sample !== piece.plane) return;
      const place = isPlanar ? { step: 1, sample: 0 } : { step: stored, sample };
      putSamples(block, { ...place, bits: pixels.bits, level }, piece, rgba, { width, height, channel });
    });
  }
  if (kind === "cmyk") cmykToRgb(rgba);
  else if (alpha === "none") for (let at = ALPHA; at < rgba.length; at += 4) rgba[at] = 255;
  if (colours) spreadPalette(rgba, colours);
  else if (kind === "grey") spreadGrey(rgba);
  if (alpha === "premultiplied" && !isPlanar) unpremultiply(rgba);
  return rgba;
}

/** Bytes of a row of a piece. */
function rowBytes({ width }: Piece, { isPlanar, pixels }: TiffLayout): number {
  return Math.ceil((width * (isPlanar ? 1 : pixels.stored) * pixels.bits) / 8);
}

/** The samples of a piece, in little-endian order. */
async function readPiece(bytes: Uint8Array, piece: Piece, layout: TiffLayout): Promise<Uint8Array> {
  const { littleEndian, isPredicted, isPlanar, pixels } = layout;
  const bytesPerRow = rowBytes(piece, layout);
  const block = await decompress(bytes, piece, layout, bytesPerRow * piece.height);
  if (!littleEndian) swapBytes(block, pixels.bits);
  if (isPredicted) undoPrediction(block, bytesPerRow, isPlanar ? 1 : pixels.stored, pixels.bits);
  return block;
}

/** Bytes that one byte of each compression can become; fax data can be a row a bit. */
const MOST_RATIO: Partial<Record<Compression, number>> = { none: 1, lzw: 4096, packbits: 64 };

/** @throws RangeError for a piece that is too short for its pixels */
function checkPiece(bytes: Uint8Array, piece: Piece, layout: TiffLayout): void {
  const { compression, height } = layout;
  if (compression === "jpeg") checkJpegPiece(bytes.subarray(piece.start, piece.end), jpegSize(piece, layout));
  // Plain rows below the picture may be missing.
  const rows = compression === "none" ? Math.min(piece.height, height - piece.y) : piece.height;
  const size = rowBytes(piece, layout) * rows;
  const held = Math.max(0, piece.end - piece.start);
  const ratio = MOST_RATIO[compression];
  if (ratio !== undefined && size > held * ratio) throw new RangeError("pixels are cut off");
  if (compression === "deflate") checkInflatable(held, size);
  if (rows > held * 8 && ratio === undefined) throw new RangeError("pixels are cut off");
}

/** The last strip may hold as many rows as the others. */
function jpegSize({ width, height }: Piece, { pieces }: TiffLayout): JpegPieceSize {
  return { width, height, most: pieces[0]?.height ?? height };
}

async function decompress(
  bytes: Uint8Array,
  piece: Piece,
  layout: TiffLayout,
  size: number,
): Promise<Uint8Array> {
  const { compression, isReversed, pixels, faxOptions } = layout;
  const given = bytes.subarray(piece.start, piece.end);
  if (compression === "jpeg") {
    return decodeJpegPiece(given, layout.jpegTables, jpegSize(piece, layout), pixels);
  }
  if (compression === "none") {
    return isReversed ? reversedBits(given, size) : given.slice(0, size);
  }
  const data = isReversed ? reversedBits(given, given.length) : given;
  if (compression === "lzw") return decodeLzw(data, size);
  if (compression === "packbits") return decodePackBits(data, size);
  if (compression === "deflate") return checkedInflate(data, size);
  const isFlat = compression !== "group 3" || (faxOptions & 1) === 0;
  return decodeFax(data, isFlat ? compression : "group 3, two dimensions", piece.width, piece.height);
}

/** Value of 0 to 255 of each stored one, or of any number; palettes' indices stay as they are. */
type Levels = Uint8Array | WideLevels;

/** Shades of grey of more than 8 bits. */
interface WideLevels {
  /** Sample x of a row that begins at a byte. */
  read(view: DataView, row: number, x: number): number;
  level(sample: number): number;
}

function levels({ kind, bits, isInverted, numbers }: PixelKind, mode: MediaMode): Levels {
  const isGrey = kind === "grey";
  if (bits <= 8 || !isGrey) {
    const most = 2 ** Math.min(bits, 8) - 1;
    const scale = kind === "palette" ? 1 : 255 / most;
    return Uint8Array.from({ length: 256 }, (_, sample) => (isInverted ? most - sample : sample) * scale);
  }
  // As a viewer shows them. Signed numbers and fractions have no white.
  const isShown = mode === "default" && numbers === "unsigned" && bits <= 16;
  return {
    read: wideReader(bits, numbers),
    level: isShown ? (sample) => sample >> (bits - 8) : clipped,
  };
}

function wideReader(bits: number, numbers: PixelKind["numbers"]): WideLevels["read"] {
  if (bits === 12) {
    return (view, row, x) => {
      const pair = view.getUint16(row + ((x * 3) >>> 1));
      return x & 1 ? pair & 0xfff : pair >> 4;
    };
  }
  if (numbers === "float") return (view, row, x) => view.getFloat32(row + 4 * x, true);
  // Pillow takes unsigned numbers of 32 bits for signed ones.
  if (bits === 32) return (view, row, x) => view.getInt32(row + 4 * x, true);
  if (numbers === "signed") return (view, row, x) => view.getInt16(row + 2 * x, true);
  return (view, row, x) => view.getUint16(row + 2 * x, true);
}

/** Fractions are cut off; what is no number is black. */
function clipped(sample: number): number {
  return sample >= 255 ? 255 : sample > 0 ? Math.floor(sample) : 0;
}

interface SampleFormat {
  /** Samples a pixel, and which one of them is meant. */
  readonly step: number;
  readonly sample: number;
  readonly bits: number;
  readonly level: Levels;
}

/** Writes one sample of every pixel of a piece that lies in the picture. */
function putSamples(
  block: Uint8Array,
  { step, sample, bits, level }: SampleFormat,
  piece: Piece,
  rgba: Uint8Array,
  { width, height, channel }: { width: number; height: number; channel: number },
): void {
  const columns = Math.min(piece.width, width - piece.x);
  const rows = Math.min(piece.height, height - piece.y);
  const bytesPerRow = block.length / piece.height;
  const view = viewOf(block);
  for (let y = 0; y < rows; y++) {
    const row = y * bytesPerRow;
    let to = ((piece.y + y) * width + piece.x) * 4 + channel;
    if (!(level instanceof Uint8Array)) {
      for (let x = 0; x < columns; x++, to += 4) rgba[to] = level.level(level.read(view, row, x));
    } else if (bits < 8) {
      const mask = 2 ** bits - 1;
      for (let x = 0, bit = 0; x < columns; x++, bit += bits, to += 4) {
        const byte = block[row + (bit >>> 3)] as number;
        rgba[to] = level[(byte >> (8 - bits - (bit & 7))) & mask] as number;
      }
    } else {
      // Of 16 bits the upper ones.
      const pixelBytes = (step * bits) / 8;
      const first = row + ((sample + 1) * bits) / 8 - 1;
      for (let x = 0, at = first; x < columns; x++, at += pixelBytes, to += 4) {
        rgba[to] = level[block[at] as number] as number;
      }
    }
  }
}

/** RGB of 256 colours: the upper 8 bits of each; what the file lacks is black. */
function paletteColours(values: readonly number[]): Uint8Array {
  const count = values.length / 3;
  if (count < 1 || count > 256) throw new Unreadable(`its palette has ${count} colours`);
  const palette = new Uint8Array(256 * 3);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) palette[i * 3 + c] = (values[c * count + i] ?? 0) >> 8;
  }
  return palette;
}
