/** The headers of a BMP file: where its pixels lie and what they are, as Pillow reads them. */

import { viewOf } from "../bytes.ts";
import { Unreadable } from "../codecs/unreadable.ts";

export interface BmpLayout {
  readonly width: number;
  readonly height: number;
  readonly isTopDown: boolean;
  readonly bits: number;
  readonly compression: "none" | "rle8" | "rle4";
  /** Colours of up to 8 bits, BGR and perhaps a fourth byte. */
  readonly palette: { readonly bytes: Uint8Array; readonly step: number } | undefined;
  /** Of pixels of 16 bits and more: the bits of red, green, blue and alpha; no alpha is 0. */
  readonly masks: Masks | undefined;
  readonly pixelsAt: number;
}

type Masks = readonly [red: number, green: number, blue: number, alpha: number];

const FILE_HEADER_BYTES = 14;
const OS2_HEADER_BYTES = 12;
const HEADER_BYTES = [40, 52, 56, 64, 108, 124];
const COMPRESSIONS = ["none", "rle8", "rle4", "bit fields", "JPEG", "PNG"] as const;

/** Masks of pixels that come without. */
const USUAL_MASKS: Readonly<Record<number, Masks>> = {
  16: [0x7c00, 0x3e0, 0x1f, 0],
  24: [0xff0000, 0xff00, 0xff, 0],
  32: [0xff0000, 0xff00, 0xff, 0],
};
/** Those that Pillow knows. */
const KNOWN_MASKS: Readonly<Record<number, readonly Masks[]>> = {
  16: [
    [0xf800, 0x7e0, 0x1f, 0],
    [0x7c00, 0x3e0, 0x1f, 0],
  ],
  24: [[0xff0000, 0xff00, 0xff, 0]],
  32: [
    [0xff0000, 0xff00, 0xff, 0],
    [0xff000000, 0xff0000, 0xff00, 0],
    [0xff000000, 0xff00, 0xff, 0],
    [0xff000000, 0xff0000, 0xff00, 0xff],
    [0xff, 0xff00, 0xff0000, 0xff000000],
    [0xff0000, 0xff00, 0xff, 0xff000000],
    [0xff000000, 0xff00, 0xff, 0xff0000],
  ],
};
/** What four masks of 0 mean. */
const NO_MASKS: Masks = [0xff0000, 0xff00, 0xff, 0xff000000];

/** @throws RangeError for a truncated file, Unreadable saying what of it is not read */
export function bmpLayout(bytes: Uint8Array): BmpLayout {
  const view = viewOf(bytes);
  const offset = view.getUint32(10, true);
  const headerBytes = view.getUint32(14, true);
  if (headerBytes === OS2_HEADER_BYTES) return os2Layout(bytes, view, offset);
  if (!HEADER_BYTES.includes(headerBytes)) throw new Unreadable(`its header has ${headerBytes} bytes`);
  const end = FILE_HEADER_BYTES + headerBytes;
  if (end > bytes.length) throw new RangeError("the header is cut off");
  const isTopDown = view.getUint8(25) === 0xff;
  const height = view.getUint32(22, true);
  const bits = view.getUint16(28, true);
  const compression = COMPRESSIONS[view.getUint32(30, true)];
  const usesMasks = compression === "bit fields";
  return layout(bytes, offset, {
    width: view.getUint32(18, true),
    height: isTopDown ? 2 ** 32 - height : height,
    isTopDown,
    bits,
    compression,
    colours: view.getUint32(46, true) || 2 ** bits,
    colourBytes: 4,
    headerEnd: end,
    // In the shortest header they come behind it.
    paletteAt: usesMasks && headerBytes === 40 ? end + 12 : end,
    masks: usesMasks ? readMasks(view, bits, headerBytes >= 56) : USUAL_MASKS[bits],
  });
}

function os2Layout(bytes: Uint8Array, view: DataView, offset: number): BmpLayout {
  const bits = view.getUint16(24, true);
  const end = FILE_HEADER_BYTES + OS2_HEADER_BYTES;
  return layout(bytes, offset, {
    width: view.getUint16(18, true),
    height: view.getUint16(20, true),
    isTopDown: false,
    bits,
    compression: "none",
    colours: 2 ** bits,
    colourBytes: 3,
    headerEnd: end,
    paletteAt: end,
    masks: USUAL_MASKS[bits],
  });
}

interface Fields extends Pick<BmpLayout, "width" | "height" | "isTopDown" | "bits" | "masks"> {
  readonly compression: (typeof COMPRESSIONS)[number] | undefined;
  readonly colours: number;
  readonly colourBytes: number;
  readonly headerEnd: number;
  readonly paletteAt: number;
}

function layout(bytes: Uint8Array, offset: number, fields: Fields): BmpLayout {
  const { width, height, isTopDown, bits, compression, colours, colourBytes, masks } = fields;
  if (![1, 4, 8, 16, 24, 32].includes(bits)) throw new Unreadable(`it has ${bits} bits a pixel`);
  const hasPalette = bits <= 8;
  const isRuns = compression === "rle8" || compression === "rle4";
  if (
    compression === undefined ||
    compression === "JPEG" ||
    compression === "PNG" ||
    (isRuns && !hasPalette)
  ) {
    throw new Unreadable(`its compression (${compression ?? "unknown"}) is not read`);
  }
  const held = Math.floor(Math.max(0, bytes.length - fields.paletteAt) / colourBytes);
  // More colours than there can be do no harm when the file ends before.
  if (hasPalette && (compression === "bit fields" || colours > 65536 || Math.min(colours, held) > 256)) {
    throw new Unreadable("its palette makes no sense");
  }
  const paletteBytes = hasPalette ? colours * colourBytes : 0;
  const paletteEnd = fields.paletteAt + paletteBytes;
  // Some files point at their palette.
  const pixelsAt = offset === fields.headerEnd && hasPalette ? offset + paletteBytes : offset || paletteEnd;
  return {
    width,
    height,
    isTopDown,
    bits,
    compression: isRuns ? compression : "none",
    palette: hasPalette
      ? { bytes: bytes.subarray(fields.paletteAt, paletteEnd), step: colourBytes }
      : undefined,
    masks: hasPalette ? undefined : masks,
    pixelsAt,
  };
}

function readMasks(view: DataView, bits: number, hasAlpha: boolean): Masks {
  const [red, green, blue, alpha] = [54, 58, 62, 66].map((at) => view.getUint32(at, true)) as [
    number,
    number,
    number,
    number,
  ];
  const found: Masks = [red, green, blue, hasAlpha && bits === 32 ? alpha : 0];
  if (bits === 32 && found.every((mask) => mask === 0)) return NO_MASKS;
  const known = KNOWN_MASKS[bits]?.find((masks) => masks.every((mask, i) => mask === found[i]));
  if (!known) throw new Unreadable("the places of its colours are not known");
  return known;
}
