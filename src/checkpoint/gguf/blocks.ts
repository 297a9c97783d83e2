/**
 * ggml's blocks of 32 values beside Q4_0 and Q8_0, which are storage formats of their own. Four bits of value i are in the
 * low half of byte i, those of value i + 16 in its high half; a fifth bit is bit i of a word before them.
 */
import { byBlock, half, NONLINEAR } from "./decode.ts";

const VALUES = 32;
const HALF = VALUES / 2;

export const q4_1 = byBlock(VALUES, 20, (bytes, at, into, to) => {
  const [scale, minimum] = [half(bytes, at), half(bytes, at + 2)];
  for (let i = 0; i < HALF; i++) {
    const pair = bytes[at + 4 + i] as number;
    into[to + i] = Math.fround(scale * (pair & 15)) + minimum;
    into[to + HALF + i] = Math.fround(scale * (pair >> 4)) + minimum;
  }
});

export const q5_0 = byBlock(VALUES, 22, (bytes, at, into, to) => {
  const scale = half(bytes, at);
  const high = word(bytes, at + 2);
  for (let i = 0; i < HALF; i++) {
    const pair = bytes[at + 6 + i] as number;
    into[to + i] = scale * (((pair & 15) | (bit(high, i) << 4)) - 16);
    into[to + HALF + i] = scale * (((pair >> 4) | (bit(high, HALF + i) << 4)) - 16);
  }
});

export const q5_1 = byBlock(VALUES, 24, (bytes, at, into, to) => {
  const [scale, minimum] = [half(bytes, at), half(bytes, at + 2)];
  const high = word(bytes, at + 4);
  for (let i = 0; i < HALF; i++) {
    const pair = bytes[at + 8 + i] as number;
    into[to + i] = Math.fround(scale * ((pair & 15) | (bit(high, i) << 4))) + minimum;
    into[to + HALF + i] = Math.fround(scale * ((pair >> 4) | (bit(high, HALF + i) << 4))) + minimum;
  }
});

export const iq4Nl = byBlock(VALUES, 18, (bytes, at, into, to) => {
  const scale = half(bytes, at);
  for (let i = 0; i < HALF; i++) {
    const pair = bytes[at + 2 + i] as number;
    into[to + i] = scale * (NONLINEAR[pair & 15] as number);
    into[to + HALF + i] = scale * (NONLINEAR[pair >> 4] as number);
  }
});

function word(bytes: Uint8Array, at: number): number {
  let bits = 0;
  for (let i = 3; i >= 0; i--) bits = (bits << 8) | (bytes[at + i] as number);
  return bits;
}

function bit(bits: number, index: number): number {
  return (bits >>> index) & 1;
}
