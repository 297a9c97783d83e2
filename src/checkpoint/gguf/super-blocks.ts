/** ggml's blocks of 256 values, whose sub-blocks of 16 or 32 have scales (and minima) of few bits under one of 16 bits. */
import { byBlock, half, NONLINEAR } from "./decode.ts";

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
