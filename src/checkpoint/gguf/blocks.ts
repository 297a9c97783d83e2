/** ggml's IQ4_NL: blocks of 32 codes, of value i in the low half of byte i, of value i + 16 in its high half. */
import { byBlock, half, NONLINEAR } from "./decode.ts";

const VALUES = 32;
const HALF = VALUES / 2;

export const iq4Nl = byBlock(VALUES, 18, (bytes, at, into, to) => {
  const scale = half(bytes, at);
  for (let i = 0; i < HALF; i++) {
    const pair = bytes[at + 2 + i] as number;
    into[to + i] = scale * (NONLINEAR[pair & 15] as number);
    into[to + HALF + i] = scale * (NONLINEAR[pair >> 4] as number);
  }
});
