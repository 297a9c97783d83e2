/**
 * Unsigned integers of a few bits one after another, lowest bits first. In little-endian words, which is how safetensors
 * keeps them, that is one stream of bits, across the borders of words too.
 */

/** into[at + i] = field i of `bytes`, i in 0..count. `bits` are at most 8. */
export function unpackFields(
  bytes: Uint8Array,
  bits: number,
  count: number,
  into: Uint8Array,
  at: number,
): void {
  const mask = 2 ** bits - 1;
  if (bits === 4) {
    for (let i = 0; i < count; i++) into[at + i] = ((bytes[i >> 1] as number) >> ((i & 1) * 4)) & mask;
    return;
  }
  if (bits === 8) {
    into.set(bytes.subarray(0, count), at);
    return;
  }
  for (let i = 0, bit = 0; i < count; i++, bit += bits) {
    const byte = bit >> 3;
    const pair = (bytes[byte] as number) | ((bytes[byte + 1] ?? 0) << 8);
    into[at + i] = (pair >> (bit & 7)) & mask;
  }
}

/** 32-bit words that hold `count` fields. */
export function wordsOf(count: number, bits: number): number {
  return Math.ceil((count * bits) / 32);
}
