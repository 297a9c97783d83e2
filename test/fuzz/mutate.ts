/** Damaged copies of files: the same for the same seed and index. */

/** Whole numbers below `limit`, evenly. */
export type Random = (limit: number) => number;

/** Mulberry32 over a seed and a position. */
export function randomAt(seed: number, index: number): Random {
  let state = (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

const NUMBERS = [
  0,
  1,
  2,
  7,
  8,
  127,
  128,
  255,
  256,
  32767,
  32768,
  65535,
  65536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
];
const MOST_CHANGES = 6;
/** Longest piece that is inserted, removed or repeated. */
const MOST_PIECE = 64;
const MOST_REPEATS = 200;

/** One of `seeds` with a few changes; `words` are what the format's own words are made of. */
export function mutated(
  seeds: readonly Uint8Array[],
  words: readonly Uint8Array[],
  random: Random,
): Uint8Array {
  const pick = <T>(list: readonly T[]) => list[random(list.length)] as T;
  let bytes: Uint8Array = pick(seeds).slice();
  for (let changes = 1 + random(MOST_CHANGES); changes > 0; changes--) {
    const at = random(bytes.length + 1);
    const length = Math.min(1 + random(MOST_PIECE), bytes.length - at);
    const piece = bytes.subarray(at, at + length);
    switch (random(words.length > 0 ? 9 : 8)) {
      case 0:
        if (bytes.length > 0) bytes[random(bytes.length)] = random(256);
        break;
      case 1:
        if (bytes.length > 0) bytes[random(bytes.length)]! ^= 1 << random(8);
        break;
      case 2:
        setNumber(bytes, at, pick([1, 2, 4, 8]), pick(NUMBERS), random(2) === 0);
        break;
      case 3:
        bytes = spliced(bytes, at, length, []);
        break;
      case 4:
        bytes = spliced(bytes, at, 0, [piece]);
        break;
      case 5:
        bytes = spliced(
          bytes,
          random(bytes.length + 1),
          0,
          Array(1 + random(MOST_REPEATS)).fill(piece.slice()),
        );
        break;
      case 6:
        bytes = bytes.slice(0, at);
        break;
      case 7: {
        const other = pick(seeds);
        const from = random(other.length + 1);
        bytes = spliced(bytes, at, length, [other.subarray(from, from + random(4 * MOST_PIECE))]);
        break;
      }
      case 8:
        bytes = spliced(bytes, at, random(2) * length, [pick(words)]);
    }
  }
  return bytes;
}

function setNumber(bytes: Uint8Array, at: number, size: number, value: number, little: boolean): void {
  for (let i = 0; i < size && at + i < bytes.length; i++) {
    const digit = little ? i : size - 1 - i;
    bytes[at + i] = Math.floor(value / 256 ** digit) % 256;
  }
}

function spliced(
  bytes: Uint8Array,
  at: number,
  removed: number,
  inserted: readonly Uint8Array[],
): Uint8Array {
  return Uint8Array.from(Buffer.concat([bytes.subarray(0, at), ...inserted, bytes.subarray(at + removed)]));
}
