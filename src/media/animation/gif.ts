/** GIF, still or animated, through gifuct-js. */

import { decompressFrame, type ParsedGif, parseGIF } from "gifuct-js";
import { type Animation, type AnimationFrame, shownSeconds } from "./animation.ts";

type ImageBlock = Extract<ParsedGif["frames"][number], { image: unknown }>;

const DISPOSE = { 2: "clear", 3: "restore" } as const;

/** @throws Error for bytes that are no GIF, or end inside a block */
export function readGif(bytes: Uint8Array): Animation {
  checkBlocks(bytes);
  const gif = parseGIF(new Uint8Array(bytes).buffer);
  const { width, height } = gif.lsd;
  const blocks = gif.frames.filter((block): block is ImageBlock => "image" in block && Boolean(block.image));
  return {
    width,
    height,
    // FFmpeg's, which shows when transparency is dropped.
    background: [255, 255, 255, 0],
    frames: blocks.map((block) => frameOf(block, gif)),
  };
}

function frameOf(block: ImageBlock, { gct }: ParsedGif): AnimationFrame {
  const { left: x, top: y, width, height } = block.image.descriptor;
  // Absent in GIF87a.
  const control = block.gce as ImageBlock["gce"] | undefined;
  const disposal = control?.extras.disposal ?? 0;
  return {
    x,
    y,
    width,
    height,
    seconds: shownSeconds((control?.delay ?? 0) / 100),
    blend: control?.extras.transparentColorGiven ? "over" : "replace",
    dispose: disposal === 2 || disposal === 3 ? DISPOSE[disposal] : "keep",
    decode: async () => {
      const { blocks, minCodeSize } = block.image.data;
      if (blocks.length === 0) throw new Error("the frame has no data");
      // gifuct-js makes a table of 2^minCodeSize entries, which takes the process down when the byte is damaged.
      if (minCodeSize < 1 || minCodeSize > LARGEST_CODE_SIZE)
        throw new Error(`its code size is ${minCodeSize}`);
      const { patch } = decompressFrame(block, gct ?? [], true);
      return new Uint8Array(patch.buffer, patch.byteOffset, patch.byteLength);
    },
  };
}

/** Bits of a colour index. */
const LARGEST_CODE_SIZE = 8;

const COLOUR_TABLE = 0x80;
const HEADER_BYTES = 13;
const EXTENSION = 0x21;
const IMAGE = 0x2c;

/**
 * gifuct-js fills up what is missing, so the length of every block is checked first. A file may end without its
 * trailer.
 */
function checkBlocks(bytes: Uint8Array): void {
  const at = (index: number) => {
    const byte = bytes[index];
    if (byte === undefined) throw new RangeError("it ends inside a block");
    return byte;
  };
  const tableBytes = (flags: number) => (flags & COLOUR_TABLE ? 3 * 2 ** ((flags & 7) + 1) : 0);
  const pastSubBlocks = (start: number) => {
    let next = start;
    while (at(next) !== 0) next += 1 + at(next);
    return next + 1;
  };
  let next = HEADER_BYTES + tableBytes(at(10));
  at(next - 1);
  while (bytes[next] === EXTENSION || bytes[next] === IMAGE) {
    const data = bytes[next] === IMAGE ? next + 11 + tableBytes(at(next + 9)) : next + 2;
    next = pastSubBlocks(data);
  }
}
