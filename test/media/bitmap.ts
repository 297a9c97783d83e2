/** A BMP file with 24 bits a pixel, all of one colour. */
export function bitmap(width: number, height: number): Uint8Array<ArrayBuffer> {
  const file = new Uint8Array(54 + 3 * width * height).fill(120);
  file.fill(0, 0, 54);
  file.set(new TextEncoder().encode("BM"));
  const header = new DataView(file.buffer);
  for (const [at, value] of [
    [2, file.length],
    [10, 54],
    [14, 40],
    [18, width],
    [22, height],
    [26, 1 | (24 << 16)],
  ] as const) {
    header.setUint32(at, value, true);
  }
  return file;
}
