/** The blocks of a GIF file, read as Pillow reads them. */

import { viewOf } from "../bytes.ts";

export interface GifScreen {
  readonly width: number;
  readonly height: number;
  /** The global table, RGB; empty when there is none. */
  readonly colours: Uint8Array;
}

export interface GifFrame {
  /** Place on the screen, which it may leave. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly isInterlaced: boolean;
  /** Its own table, or the global one; RGB. */
  readonly colours: Uint8Array;
  /** The colour that is transparent. */
  readonly transparent: number | undefined;
  /** 0 and 1: stays, 2: is cleared, 3: what was there before comes back. */
  readonly disposal: number;
  /** Hundredths of a second. */
  readonly delay: number;
  /** Bits of the smallest codes less one, as the file says. */
  readonly codeSize: number;
  /** Where the blocks of its data begin. */
  readonly dataAt: number;
}

const COLOUR_TABLE = 0x80;
const INTERLACED = 0x40;
const HEADER_BYTES = 13;
const EXTENSION = 0x21;
const GRAPHIC_CONTROL = 0xf9;
const IMAGE = 0x2c;
const TRAILER = 0x3b;

/** @throws RangeError for a file that ends in its header */
export function gifScreen(bytes: Uint8Array): GifScreen {
  const view = viewOf(bytes);
  const colours = colourTable(bytes, view.getUint8(10), HEADER_BYTES);
  view.getUint8(HEADER_BYTES - 1);
  return { width: view.getUint16(6, true), height: view.getUint16(8, true), colours };
}

/**
 * The frames in their order. A frame's data is passed over when the one after it is asked for. Bytes between blocks
 * that begin none are skipped, and a file may end without its trailer.
 *
 * @throws RangeError for a file that ends inside a block
 */
export function* gifFrames(bytes: Uint8Array, screen: GifScreen): Generator<GifFrame> {
  const view = viewOf(bytes);
  let at = HEADER_BYTES + tableBytes(view.getUint8(10));
  let control = NO_CONTROL;
  while (at < bytes.length && bytes[at] !== TRAILER) {
    const block = bytes[at++];
    if (block === EXTENSION) {
      const label = view.getUint8(at++);
      if (label === GRAPHIC_CONTROL && view.getUint8(at) > 0) control = controlOf(view, at, control);
      at = pastBlocks(view, at);
    } else if (block === IMAGE) {
      const flags = view.getUint8(at + 8);
      const own = flags & COLOUR_TABLE ? colourTable(bytes, flags, at + 9) : undefined;
      const dataAt = at + 9 + tableBytes(flags) + 1;
      yield {
        x: view.getUint16(at, true),
        y: view.getUint16(at + 2, true),
        width: view.getUint16(at + 4, true),
        height: view.getUint16(at + 6, true),
        isInterlaced: (flags & INTERLACED) !== 0,
        colours: own ?? screen.colours,
        ...control,
        codeSize: view.getUint8(dataAt - 1),
        dataAt,
      };
      at = pastBlocks(view, dataAt);
      control = NO_CONTROL;
    }
  }
}

type Control = Pick<GifFrame, "transparent" | "disposal" | "delay">;

/** Absent in GIF87a. */
const NO_CONTROL: Control = { transparent: undefined, disposal: 0, delay: 0 };

function controlOf(view: DataView, at: number, before: Control): Control {
  const flags = view.getUint8(at + 1);
  if (view.getUint8(at) < (flags & 1 ? 4 : 3)) throw new RangeError("a control block is too short");
  return {
    transparent: flags & 1 ? view.getUint8(at + 4) : before.transparent,
    disposal: (flags >> 2) & 7,
    delay: view.getUint16(at + 2, true),
  };
}

function tableBytes(flags: number): number {
  return flags & COLOUR_TABLE ? 3 * 2 ** ((flags & 7) + 1) : 0;
}

function colourTable(bytes: Uint8Array, flags: number, at: number): Uint8Array {
  return bytes.subarray(at, at + tableBytes(flags));
}

/** Behind a chain of blocks, which one of no length ends. @throws RangeError past the end */
function pastBlocks(view: DataView, start: number): number {
  let at = start;
  for (let length = view.getUint8(at); length !== 0; length = view.getUint8(at)) at += 1 + length;
  return at + 1;
}
