/** The pictures of test/golden/make_processor.py: even seeds are noise, odd ones black and white. */

export function noise(seed: number, height: number, width: number): Uint8Array {
  const rgb = new Uint8Array(height * width * 3);
  for (let i = 0; i < rgb.length; i++) {
    let mixed = (Math.imul(i, 2654435761) + Math.imul(seed, 40503)) >>> 0;
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 2246822519) >>> 0;
    mixed ^= mixed >>> 13;
    rgb[i] = seed % 2 === 0 ? mixed & 255 : ((mixed >>> 8) & 1) * 255;
  }
  return rgb;
}
