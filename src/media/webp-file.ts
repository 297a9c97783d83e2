/** The chunks of a WebP file, taken and refused as libwebp's demuxer does, through which Pillow reads. */

import { MOST_FRAMES } from "./animation/animation.ts";
import { ascii, concatBytes, letters, uint24, viewOf } from "./bytes.ts";
import { Unreadable } from "./codecs/unreadable.ts";

export interface WebpFrame {
  /** Place on the canvas, in pixels. */
  readonly x: number;
  readonly y: number;
  /** As its bitstream says. */
  readonly width: number;
  readonly height: number;
  readonly milliseconds: number;
  readonly isReplacing: boolean;
  readonly isCleared: boolean;
  /** The frame as a file of its own. */
  still(): Uint8Array;
}

export interface WebpFile {
  /** Of the canvas. */
  readonly width: number;
  readonly height: number;
  /** Without, what a frame leaves open is black. */
  readonly hasAlpha: boolean;
  readonly isAnimation: boolean;
  /** At least one. */
  readonly frames: readonly WebpFrame[];
  readonly exif: Uint8Array | undefined;
  readonly xmp: Uint8Array | undefined;
}

const [ANIMATED, HAS_XMP, HAS_EXIF, HAS_ALPHA, HAS_PROFILE] = [0x02, 0x04, 0x08, 0x10, 0x20] as const;
const KNOWN_FLAGS = ANIMATED | HAS_XMP | HAS_EXIF | HAS_ALPHA | HAS_PROFILE;
const CHUNK_HEADER = 8;
const CANVAS_BYTES = 10;
const CONTROL_BYTES = 6;
const FRAME_BYTES = 16;
const MOST_PIXELS = 2 ** 32;

/** @throws RangeError for a truncated file, Unreadable for another that is none */
export function webpFile(bytes: Uint8Array): WebpFile {
  return new WebpReader(bytes).read();
}

interface Chunk {
  readonly type: string;
  /** The chunk without its padding. */
  readonly whole: Uint8Array;
  readonly data: Uint8Array;
}

interface Picture {
  readonly width: number;
  readonly height: number;
  readonly hasAlpha: boolean;
  readonly alpha: Chunk | undefined;
  readonly image: Chunk;
}

class WebpReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #end: number;
  #at = 12;

  constructor(bytes: Uint8Array) {
    const view = viewOf(bytes);
    this.#end = CHUNK_HEADER + view.getUint32(4, true);
    if (this.#end > bytes.length) throw new RangeError("shorter than its RIFF size");
    this.#bytes = bytes.subarray(0, this.#end);
    this.#view = viewOf(this.#bytes);
  }

  read(): WebpFile {
    return this.#peek() === "VP8X" ? this.#readExtended() : this.#readSimple();
  }

  #readSimple(): WebpFile {
    if (!["VP8 ", "VP8L"].includes(this.#peek())) throw new Unreadable("it does not begin with a picture");
    const picture = this.#readPicture();
    const { width, height, hasAlpha } = picture;
    const frames = [frameOf(picture, STILL)];
    return { width, height, hasAlpha, isAnimation: false, frames, exif: undefined, xmp: undefined };
  }

  #readExtended(): WebpFile {
    const { data } = this.#next();
    if (data.length < CANVAS_BYTES) throw new Unreadable("its header is too short");
    const flags = data[0] as number;
    const canvas = { width: 1 + uint24(viewOf(data), 4), height: 1 + uint24(viewOf(data), 7) };
    if (canvas.width * canvas.height >= MOST_PIXELS || flags & ~KNOWN_FLAGS) {
      throw new Unreadable("its header makes no sense");
    }
    const isAnimation = (flags & ANIMATED) !== 0;
    const hasAlpha = (flags & HAS_ALPHA) !== 0;
    const frames: WebpFrame[] = [];
    let hasControl = false;
    let exif: Uint8Array | undefined;
    let xmp: Uint8Array | undefined;
    do {
      const type = this.#peek();
      if (type === "VP8 " || type === "VP8L" || type === "ALPH") {
        if (hasControl || isAnimation || frames.length > 0) throw new Unreadable("it has a picture too many");
        const picture = this.#readPicture();
        // What the header does not tell is not there.
        frames.push(frameOf(hasAlpha ? picture : { ...picture, alpha: undefined }, STILL));
      } else if (type === "ANMF") {
        if (!hasControl) throw new Unreadable("its frames come too early");
        const frame = this.#readFrame();
        if (isAnimation && frame) frames.push(frame);
        if (frames.length > MOST_FRAMES) throw new Unreadable(`it has more than ${MOST_FRAMES} frames`);
      } else {
        const chunk = this.#next();
        if (type === "VP8X") throw new Unreadable("it has two headers");
        if (type === "ANIM" && chunk.data.length < CONTROL_BYTES)
          throw new Unreadable("a chunk is too short");
        if (type === "ANIM") hasControl = true;
        if (type === "EXIF" && flags & HAS_EXIF) exif ??= chunk.data;
        if (type === "XMP " && flags & HAS_XMP) xmp ??= chunk.data;
      }
    } while (this.#at < this.#end);
    if (frames.length === 0) throw new Unreadable("it has no picture");
    for (const { x, y, width, height } of frames) {
      const fits = isAnimation
        ? x + width <= canvas.width && y + height <= canvas.height
        : width === canvas.width && height === canvas.height;
      if (!fits) throw new Unreadable("a frame does not fit its canvas");
    }
    return { ...canvas, hasAlpha, isAnimation, frames, exif, xmp };
  }

  /** Undefined for a frame of no chunk that belongs to a picture; what it has instead is read next. */
  #readFrame(): WebpFrame | undefined {
    const start = this.#at + CHUNK_HEADER;
    const { data } = this.#next();
    const behind = this.#at;
    if (data.length < FRAME_BYTES) throw new Unreadable("a frame is too short");
    const view = viewOf(data);
    const flags = view.getUint8(15);
    this.#at = start + FRAME_BYTES;
    if (this.#at < this.#end && !["ALPH", "VP8 ", "VP8L"].includes(this.#peek())) return undefined;
    const picture = this.#readPicture();
    if (this.#at > behind) throw new Unreadable("a frame reaches past its chunk");
    return frameOf(picture, {
      x: 2 * uint24(view, 0),
      y: 2 * uint24(view, 3),
      milliseconds: uint24(view, 12),
      isReplacing: (flags & 2) !== 0,
      isCleared: (flags & 1) !== 0,
    });
  }

  /** Of the chunks that are next at most one of alpha and one picture. */
  #readPicture(): Picture {
    let alpha: Chunk | undefined;
    let image: Chunk | undefined;
    do {
      const type = this.#peek();
      if (type === "ALPH" && !alpha) {
        alpha = this.#next();
        if (image) throw new Unreadable("its alpha comes too late");
      } else if ((type === "VP8 " || type === "VP8L") && !image) {
        if (type === "VP8L" && alpha) throw new Unreadable("it has alpha twice");
        image = this.#next();
      } else {
        break;
      }
    } while (this.#at < this.#end);
    if (!image) throw new Unreadable("a frame has no picture");
    const size = image.type === "VP8L" ? losslessSize(image.data) : lossySize(image.data);
    return { ...size, hasAlpha: size.hasAlpha || alpha !== undefined, alpha, image };
  }

  /** Type of the next chunk, which must be whole. */
  #peek(): string {
    if (this.#at + CHUNK_HEADER > this.#end) throw new RangeError("a chunk is cut off");
    const size = this.#view.getUint32(this.#at + 4, true);
    if (this.#at + CHUNK_HEADER + size + (size % 2) > this.#end) {
      throw new RangeError("a chunk reaches past the end");
    }
    return ascii(this.#bytes, this.#at, this.#at + 4);
  }

  #next(): Chunk {
    const type = this.#peek();
    const start = this.#at + CHUNK_HEADER;
    const end = start + this.#view.getUint32(this.#at + 4, true);
    const whole = this.#bytes.subarray(this.#at, end);
    this.#at = end + ((end - start) % 2);
    return { type, whole, data: this.#bytes.subarray(start, end) };
  }
}

type Showing = Omit<WebpFrame, "width" | "height" | "still">;

const STILL: Showing = { x: 0, y: 0, milliseconds: 0, isReplacing: true, isCleared: false };

function frameOf({ width, height, alpha, image }: Picture, showing: Showing): WebpFrame {
  return { ...showing, width, height, still: () => stillFile(width, height, alpha, image) };
}

function losslessSize(data: Uint8Array) {
  const packed = viewOf(data).getUint32(1, true);
  if (data[0] !== 0x2f || packed >>> 29 !== 0) throw new Unreadable("its picture is corrupt");
  const hasAlpha = ((packed >>> 28) & 1) === 1;
  return { width: 1 + (packed & 0x3fff), height: 1 + ((packed >>> 14) & 0x3fff), hasAlpha };
}

/** A key frame that is shown, of a known profile, whose first part is in the chunk. */
function lossySize(data: Uint8Array) {
  const view = viewOf(data);
  const bits = uint24(view, 0);
  const width = view.getUint16(6, true) & 0x3fff;
  const height = view.getUint16(8, true) & 0x3fff;
  const isShownKey = (bits & 1) === 0 && ((bits >> 1) & 7) <= 3 && ((bits >> 4) & 1) === 1;
  const isWhole = bits >> 5 < data.length && ascii(data, 3, 6) === "\x9d\x01\x2a";
  if (!isShownKey || !isWhole || width === 0 || height === 0) throw new Unreadable("its picture is corrupt");
  return { width, height, hasAlpha: false };
}

/** A separate alpha plane needs the extended header. */
function stillFile(width: number, height: number, alpha: Chunk | undefined, image: Chunk): Uint8Array {
  const parts = alpha ? [extendedHeader(width, height), padded(alpha), padded(image)] : [padded(image)];
  const body = concatBytes(parts);
  const header = new Uint8Array(12);
  header.set(letters("RIFF"), 0);
  viewOf(header).setUint32(4, 4 + body.length, true);
  header.set(letters("WEBP"), 8);
  return concatBytes([header, body]);
}

function padded({ whole }: Chunk): Uint8Array {
  return whole.length % 2 === 0 ? whole : concatBytes([whole, new Uint8Array(1)]);
}

function extendedHeader(width: number, height: number): Uint8Array {
  const chunk = new Uint8Array(CHUNK_HEADER + CANVAS_BYTES);
  const view = viewOf(chunk);
  chunk.set(letters("VP8X"), 0);
  view.setUint32(4, CANVAS_BYTES, true);
  view.setUint8(8, HAS_ALPHA);
  for (const [at, size] of [
    [12, width - 1],
    [15, height - 1],
  ] as const) {
    view.setUint16(at, size & 0xffff, true);
    view.setUint8(at + 2, size >>> 16);
  }
  return chunk;
}
