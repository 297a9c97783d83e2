/** Bytes of TIFF samples, changed in place. */

/** @returns the first bytes with their bits in reverse */
export function reversedBits(data: Uint8Array, size: number): Uint8Array {
  const out = data.slice(0, size);
  for (let i = 0; i < out.length; i++) out[i] = REVERSED[out[i] as number] as number;
  return out;
}

const REVERSED = Uint8Array.from({ length: 256 }, (_, byte) => {
  let reversed = 0;
  for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) reversed |= 0x80 >> bit;
  return reversed;
});

/** Between the byte orders. */
export function swapBytes(block: Uint8Array, bits: number): void {
  const size = bits / 8;
  if (size !== 2 && size !== 4) return;
  for (let at = 0; at + size <= block.length; at += size) block.subarray(at, at + size).reverse();
}

/** Rows of differences to the samples of the pixel before, little-endian, become samples. */
export function undoPrediction(block: Uint8Array, rowBytes: number, samples: number, bits: number): void {
  const size = bits / 8;
  const step = samples * size;
  for (let row = 0; row + rowBytes <= block.length; row += rowBytes) {
    for (let at = row + step; at < row + rowBytes; at += size) {
      for (let i = 0, carry = 0; i < size; i++) {
        const sum = (block[at + i] as number) + (block[at + i - step] as number) + carry;
        block[at + i] = sum;
        carry = sum >> 8;
      }
    }
  }
}
