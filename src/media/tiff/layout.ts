/** How a TIFF file holds its first picture: size, kind of pixels, and where their pieces are. */

import { Unreadable } from "../codecs/unreadable.ts";
import { MOST_VALUES, type TiffDirectory, tiffDirectory } from "./directory.ts";
import { type PixelKind, pixelKind } from "./pixel-kind.ts";

export type Compression =
  | "none"
  | "huffman"
  | "group 3"
  | "group 4"
  | "lzw"
  | "jpeg"
  | "deflate"
  | "packbits";

/** A strip or a tile: a rectangle of all samples, or of one. */
export interface Piece {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** The sample that it holds, when each has pieces of its own. */
  readonly plane: number;
  readonly start: number;
  /** Where its data ends; that of plain pixels may be longer. */
  readonly end: number;
}

export interface TiffLayout {
  readonly width: number;
  readonly height: number;
  readonly littleEndian: boolean;
  readonly compression: Compression;
  readonly pixels: PixelKind;
  /** The bits of a byte are in reverse. */
  readonly isReversed: boolean;
  /** Samples hold differences to those before them. */
  readonly isPredicted: boolean;
  /** Each sample has pieces of its own. */
  readonly isPlanar: boolean;
  readonly pieces: readonly Piece[];
  /** Width of a tile; strips are as wide as the picture. */
  readonly tileWidth: number | undefined;
  /** RGB, 16 bits each, first all reds. */
  readonly palette: readonly number[];
  /** Bits of T4Options. */
  readonly faxOptions: number;
  /** What all JPEG pieces share. */
  readonly jpegTables: Uint8Array | undefined;
  readonly orientation: number | undefined;
  readonly xmp: Uint8Array | undefined;
}

const TAG = {
  width: 256,
  height: 257,
  bits: 258,
  compression: 259,
  photometric: 262,
  fillOrder: 266,
  orientation: 274,
  stripOffsets: 273,
  samples: 277,
  rowsPerStrip: 278,
  stripBytes: 279,
  planar: 284,
  faxOptions: 292,
  predictor: 317,
  palette: 320,
  tileWidth: 322,
  tileHeight: 323,
  tileOffsets: 324,
  tileBytes: 325,
  extraSamples: 338,
  sampleFormat: 339,
  jpegTables: 347,
  xmp: 700,
} as const;

const COMPRESSIONS: Readonly<Record<number, Compression>> = {
  1: "none",
  2: "huffman",
  3: "group 3",
  4: "group 4",
  5: "lzw",
  7: "jpeg",
  8: "deflate",
  32773: "packbits",
  32946: "deflate",
};
/** Those that are only named. */
const OTHER_COMPRESSIONS: Readonly<Record<number, string>> = {
  6: "JPEG of TIFF 6.0",
  9: "JBIG",
  10: "JBIG",
  32771: "CCITT of 16-bit words",
  32809: "ThunderScan",
  34661: "JBIG",
  34676: "LogLuv",
  34677: "LogLuv",
  34712: "JPEG 2000",
  34887: "LERC",
  34925: "LZMA",
  50000: "Zstandard",
  50001: "WebP",
  50002: "JPEG XL",
};
const PREDICTED = 2;
/** A tile may be larger than its picture, within reason. */
const MOST_TILE_PIXELS = 2 ** 24;
/** Pieces may share bytes, but the file is not to be read again and again. */
const MOST_READINGS = 16;
const SMALL_FILE = 2 ** 20;

/** @throws RangeError for a truncated file, Unreadable saying what of it is not read */
export function tiffLayout(bytes: Uint8Array): TiffLayout {
  const directory = tiffDirectory(bytes);
  const one = (tag: number, otherwise: number) => directory.numbers(tag)[0] ?? otherwise;
  const width = one(TAG.width, 0);
  const height = one(TAG.height, 0);
  const code = one(TAG.compression, 1);
  const compression = COMPRESSIONS[code];
  if (!compression) throw new Unreadable(`its compression (${OTHER_COMPRESSIONS[code] ?? code}) is not read`);
  const pixels = pixelKind({
    littleEndian: directory.littleEndian,
    photometric: one(TAG.photometric, 0),
    fillOrder: one(TAG.fillOrder, 1),
    bits: directory.numbers(TAG.bits),
    samples: one(TAG.samples, 1),
    extraSamples: directory.numbers(TAG.extraSamples),
    sampleFormats: directory.numbers(TAG.sampleFormat),
    isPlanar: one(TAG.planar, 1) === 2,
  });
  const isFax = compression === "huffman" || compression === "group 3" || compression === "group 4";
  if (isFax && (pixels.bits !== 1 || pixels.stored !== 1))
    throw new Unreadable("its fax data is not black and white");
  if (pixels.kind === "ycbcr" && compression !== "jpeg")
    throw new Unreadable("its YCbCr pixels are not JPEG");
  const isPlanar = one(TAG.planar, 1) === 2 && pixels.stored > 1;
  if (isPlanar && (pixels.bits < 8 || compression === "jpeg")) throw new Unreadable("its samples lie apart");
  const jpegSamples: Partial<Record<PixelKind["kind"], number>> = { grey: 1, rgb: 3, ycbcr: 3, cmyk: 4 };
  const isJpegKind = pixels.stored === jpegSamples[pixels.kind] && pixels.bits === 8;
  if (compression === "jpeg" && !isJpegKind) {
    throw new Unreadable(`its JPEG data has ${pixels.stored} samples of ${pixels.bits} bits`);
  }
  const predictor = one(TAG.predictor, 1);
  const canPredict = compression === "lzw" || compression === "deflate";
  if (canPredict && predictor !== 1 && (predictor !== PREDICTED || ![8, 16, 32].includes(pixels.bits))) {
    throw new Unreadable(`its predictor (${predictor}, of ${pixels.bits} bits) is not read`);
  }
  const tileWidth = directory.numbers(TAG.stripOffsets).length > 0 ? undefined : one(TAG.tileWidth, 0);
  const planes = isPlanar ? pixels.stored : 1;
  const pieces =
    width > 0 && height > 0
      ? listPieces(bytes.length, directory, { width, height, planes, tileWidth, compression })
      : [];
  return {
    width,
    height,
    littleEndian: directory.littleEndian,
    compression,
    pixels,
    isReversed: one(TAG.fillOrder, 1) === 2,
    isPredicted: canPredict && predictor === PREDICTED,
    isPlanar,
    pieces,
    tileWidth,
    palette: directory.numbers(TAG.palette),
    faxOptions: one(TAG.faxOptions, 0),
    jpegTables: directory.bytes(TAG.jpegTables),
    orientation: directory.numbers(TAG.orientation)[0],
    xmp: directory.bytes(TAG.xmp),
  };
}

interface Grid {
  readonly width: number;
  readonly height: number;
  readonly planes: number;
  readonly tileWidth: number | undefined;
  readonly compression: Compression;
}

function listPieces(fileBytes: number, directory: TiffDirectory, grid: Grid): Piece[] {
  const { width, height, planes, tileWidth, compression } = grid;
  const isTiled = tileWidth !== undefined;
  const all = directory.numbers(isTiled ? TAG.tileOffsets : TAG.stripOffsets);
  const counts = directory.numbers(isTiled ? TAG.tileBytes : TAG.stripBytes);
  const pieceWidth = tileWidth ?? width;
  const pieceHeight = isTiled
    ? (directory.numbers(TAG.tileHeight)[0] ?? 0)
    : Math.min(height, directory.numbers(TAG.rowsPerStrip)[0] ?? height);
  if (all.length === 0) throw new Unreadable("it does not say where its pixels are");
  if (pieceWidth < 1 || pieceHeight < 1) throw new Unreadable("its pieces have no pixels");
  if (isTiled && pieceWidth * pieceHeight > Math.max(MOST_TILE_PIXELS, 2 * width * height)) {
    throw new Unreadable(`its tiles are of ${pieceWidth} x ${pieceHeight} pixels`);
  }
  const columns = Math.ceil(width / pieceWidth);
  const perPlane = columns * Math.ceil(height / pieceHeight);
  if (perPlane * planes > MOST_VALUES) throw new Unreadable(`it is in ${perPlane * planes} pieces`);
  const isPlain = compression === "none";
  // Of several plain pieces that cover the picture Pillow takes the last.
  const offsets = isPlain && perPlane === 1 && planes === 1 && pieceHeight === height ? all.slice(-1) : all;
  // A single piece needs no length: it ends where its pixels do.
  const isOne = perPlane * planes === 1;
  if (!isPlain && (offsets.length < perPlane * planes || (counts.length < perPlane * planes && !isOne))) {
    throw new RangeError("pieces are missing");
  }
  const pieces = offsets.slice(0, perPlane * planes).map((start, i): Piece => {
    const place = i % perPlane;
    const y = Math.floor(place / columns) * pieceHeight;
    return {
      x: (place % columns) * pieceWidth,
      y,
      width: pieceWidth,
      height: isTiled ? pieceHeight : Math.min(pieceHeight, height - y),
      plane: Math.floor(i / perPlane),
      start,
      end: isPlain || counts[i] === undefined ? fileBytes : start + counts[i],
    };
  });
  if (pieces.some(({ end }) => end > fileBytes)) throw new RangeError("a piece lies outside");
  const read = isPlain ? 0 : pieces.reduce((sum, { start, end }) => sum + end - start, 0);
  if (read > SMALL_FILE + MOST_READINGS * fileBytes) throw new Unreadable("its pieces lie on one another");
  return pieces;
}
