/** SHA-256 (FIPS 180-4) of what comes piece by piece: browsers' own digest takes a file in one go. */
import { turnWhenDue } from "../../event-loop.ts";
import type { Hasher } from "./cache.ts";

const BLOCK = 64;
/** Hashed before others have a turn. */
const BYTES_A_TURN = 2 ** 20;
const [CONSTANTS, START] = constants();

/** The first 32 bits of the fractional parts of roots of the first primes: cube roots, and for the start square roots. */
function constants(): readonly [Int32Array, Int32Array] {
  const primes: number[] = [];
  for (let n = 2; primes.length < BLOCK; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  const fraction = (root: (scaled: bigint) => bigint, power: bigint) => (prime: number) =>
    Number(root(BigInt(prime) << (32n * power)) & 0xffff_ffffn);
  const cubes = primes.map(fraction((scaled) => integerRoot(scaled, 3n), 3n));
  const squares = primes.slice(0, 8).map(fraction((scaled) => integerRoot(scaled, 2n), 2n));
  // Signed, as engines keep integers.
  return [new Int32Array(Uint32Array.from(cubes).buffer), new Int32Array(Uint32Array.from(squares).buffer)];
}

/** The largest integer whose power is not above `value`. */
function integerRoot(value: bigint, power: bigint): bigint {
  let low = 0n;
  let high = 1n << 40n;
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle ** power <= value) low = middle;
    else high = middle;
  }
  return low;
}

/** Of bytes that are there, on this thread: where the host has no digest, or none of shared memory. @throws ABORTED */
export async function sha256InTurns(bytes: Uint8Array, signal?: AbortSignal): Promise<string> {
  const hasher = createSha256();
  for (let at = 0; at < bytes.length; at += BYTES_A_TURN) {
    await turnWhenDue(signal);
    hasher.update(bytes.subarray(at, at + BYTES_A_TURN));
  }
  return hasher.digest();
}

export function createSha256(): Hasher {
  const state = START.slice();
  const words = new Int32Array(BLOCK);
  const rest = new Uint8Array(BLOCK);
  let held = 0;
  let total = 0;
  const take = (bytes: Uint8Array): void => {
    let at = 0;
    if (held > 0) {
      at = Math.min(BLOCK - held, bytes.length);
      rest.set(bytes.subarray(0, at), held);
      held += at;
      if (held < BLOCK) return;
      addBlock(state, words, rest, 0);
    }
    for (; at + BLOCK <= bytes.length; at += BLOCK) addBlock(state, words, bytes, at);
    rest.set(bytes.subarray(at));
    held = bytes.length - at;
  };
  return {
    update(bytes) {
      total += bytes.length;
      take(bytes);
    },
    digest() {
      const padding = new Uint8Array((held < 56 ? 64 : 128) - held);
      padding[0] = 0x80;
      new DataView(padding.buffer).setBigUint64(padding.length - 8, 8n * BigInt(total));
      take(padding);
      return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
    },
  };
}

function addBlock(state: Int32Array, w: Int32Array, bytes: Uint8Array, at: number): void {
  for (let i = 0; i < 16; i++) {
    const p = at + 4 * i;
    w[i] =
      ((bytes[p] as number) << 24) |
      ((bytes[p + 1] as number) << 16) |
      ((bytes[p + 2] as number) << 8) |
      (bytes[p + 3] as number);
  }
  for (let i = 16; i < BLOCK; i++) {
    const x = w[i - 15] as number;
    const y = w[i - 2] as number;
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = ((w[i - 16] as number) + s0 + (w[i - 7] as number) + s1) | 0;
  }
  // By hand: a destructuring goes through an iterator, for each block.
  let a = state[0] as number;
  let b = state[1] as number;
  let c = state[2] as number;
  let d = state[3] as number;
  let e = state[4] as number;
  let f = state[5] as number;
  let g = state[6] as number;
  let h = state[7] as number;
  for (let i = 0; i < BLOCK; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + (CONSTANTS[i] as number) + (w[i] as number)) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  state[0] = (state[0] as number) + a;
  state[1] = (state[1] as number) + b;
  state[2] = (state[2] as number) + c;
  state[3] = (state[3] as number) + d;
  state[4] = (state[4] as number) + e;
  state[5] = (state[5] as number) + f;
  state[6] = (state[6] as number) + g;
  state[7] = (state[7] as number) + h;
}
