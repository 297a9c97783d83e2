/** ggml's blocks of 256 values, whose sub-blocks of 16 or 32 have scales (and minima) of few bits under one of 16 bits. */
import { byBlock, half, NONLINEAR, signed8 } from "./decode.ts";

const VALUES = 256;
const { fround } = Math;

/** Four bits of scale and of minimum for 16 values each; two bits a value, four values 32 apart in a byte. */
export const q2K = byBlock(VALUES, 84, (bytes, at, into, to) => {
  const [codes, quants] = [at, at + 16];
  const [scale, minimum] = [half(bytes, at + 80), half(bytes, at + 82)];
  for (let i = 0; i < VALUES; i++) {
    const code = bytes[codes + (i >> 4)] as number;
    const quant = ((bytes[quants + (i >> 7) * 32 + (i & 31)] as number) >> (2 * ((i >> 5) & 3))) & 3;
    into[to + i] = fround(fround(scale * (code & 15)) * quant) - fround(minimum * (code >> 4));
  }
});

/** Six bits of scale for 16 values each; two bits a value as in Q2_K, and a third that is 0 where 4 is taken off. */
export const q3K = byBlock(VALUES, 110, (bytes, at, into, to) => {
  const [mask, quants, codes] = [at, at + 32, at + 96];
  const scale = half(bytes, at + 108);
  for (let i = 0; i < VALUES; i++) {
    const group = i >> 4;
    const low = ((bytes[codes + (group & 7)] as number) >> (4 * (group >> 3))) & 15;
    const high = ((bytes[codes + 8 + (group & 3)] as number) >> (2 * (group >> 2))) & 3;
    const quant = ((bytes[quants + (i >> 7) * 32 + (i & 31)] as number) >> (2 * ((i >> 5) & 3))) & 3;
    const isHigh = ((bytes[mask + (i & 31)] as number) >> (i >> 5)) & 1;
    into[to + i] = fround(scale * ((low | (high << 4)) - 32)) * (quant - (isHigh ? 0 : 4));
  }
});

/** Scale and minimum of 32 values each; four bits a value, of 64 values the first 32 in the low halves of 32 bytes. */
export const q4K = byBlock(VALUES, 144, (bytes, at, into, to) => {
  const [codes, quants] = [at + 4, at + 16];
  const [scale, minimum] = [half(bytes, at), half(bytes, at + 2)];
  for (let group = 0; group < 8; group++) {
    const step = fround(scale * scaleCode(bytes, codes, group));
    const least = fround(minimum * minimumCode(bytes, codes, group));
    const shift = 4 * (group & 1);
    for (let i = 0; i < 32; i++) {
      const quant = ((bytes[quants + (group >> 1) * 32 + i] as number) >> shift) & 15;
      into[to + group * 32 + i] = fround(step * quant) - least;
    }
  }
});

/** As Q4_K, with a fifth bit: of group g bit g of byte i. */
export const q5K = byBlock(VALUES, 176, (bytes, at, into, to) => {
  const [codes, high, quants] = [at + 4, at + 16, at + 48];
  const [scale, minimum] = [half(bytes, at), half(bytes, at + 2)];
  for (let group = 0; group < 8; group++) {
    const step = fround(scale * scaleCode(bytes, codes, group));
    const least = fround(minimum * minimumCode(bytes, codes, group));
    const shift = 4 * (group & 1);
    for (let i = 0; i < 32; i++) {
      const low = ((bytes[quants + (group >> 1) * 32 + i] as number) >> shift) & 15;
      const quant = low | ((((bytes[high + i] as number) >> group) & 1) << 4);
      into[to + group * 32 + i] = fround(step * quant) - least;
    }
  }
});

/** Scales of 8 bits for 16 values each, the block's scale at the end; four bits a value in one run, two in another. */
export const q6K = byBlock(VALUES, 210, (bytes, at, into, to) => {
  const [lows, highs, codes] = [at, at + 128, at + 192];
  const scale = half(bytes, at + 208);
  for (let i = 0; i < VALUES; i++) {
    const side = i >> 7;
    const quarter = (i >> 5) & 3;
    const lane = i & 31;
    const low =
      ((bytes[lows + side * 64 + (quarter & 1) * 32 + lane] as number) >> (4 * (quarter >> 1))) & 15;
    const high = ((bytes[highs + side * 32 + lane] as number) >> (2 * quarter)) & 3;
    const step = fround(scale * signed8(bytes[codes + (i >> 4)] as number));
    into[to + i] = step * ((low | (high << 4)) - 32);
  }
});

/** Six bits of scale for 32 values each; four bits a value, which stand for numbers that are no even steps. */
export const iq4Xs = byBlock(VALUES, 136, (bytes, at, into, to) => {
  const [highs, lows, quants] = [at + 2, at + 4, at + 8];
  const scale = half(bytes, at);
  for (let group = 0; group < 8; group++) {
    const low = ((bytes[lows + (group >> 1)] as number) >> (4 * (group & 1))) & 15;
    const high = ((bytes[highs + (group >> 2)] as number) >> (2 * (group & 3))) & 3;
    const step = fround(scale * ((low | (high << 4)) - 32));
    for (let i = 0; i < 16; i++) {
      const pair = bytes[quants + group * 16 + i] as number;
      into[to + group * 32 + i] = step * (NONLINEAR[pair & 15] as number);
      into[to + group * 32 + 16 + i] = step * (NONLINEAR[pair >> 4] as number);
    }
  }
});

/** Six bits each of eight scales and eight minima in twelve bytes. */
function scaleCode(bytes: Uint8Array, codes: number, group: number): number {
  if (group < 4) return (bytes[codes + group] as number) & 63;
  return ((bytes[codes + group + 4] as number) & 15) | (((bytes[codes + group - 4] as number) >> 6) << 4);
}

function minimumCode(bytes: Uint8Array, codes: number, group: number): number {
  if (group < 4) return (bytes[codes + group + 4] as number) & 63;
  return ((bytes[codes + group + 4] as number) >> 4) | (((bytes[codes + group] as number) >> 6) << 4);
}
