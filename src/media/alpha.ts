/** RGBA to RGB, in place: the result is a view of the same memory. */

/** What becomes of transparency: laid on white, or dropped so that the hidden colour shows. */
export type AlphaRule = "white" | "drop";

/**
 * @param rgba u8 [pixels, 4], not premultiplied; overwritten.
 * @returns u8 [pixels, 3] over the same buffer. Blends are rounded to nearest, as Pillow's paste does.
 */
export function rgbaToRgb(rgba: Uint8Array, rule: AlphaRule): Uint8Array {
  const pixels = rgba.length / 4;
  for (let i = 0; i < pixels; i++) {
    const alpha = rule === "drop" ? 255 : (rgba[i * 4 + 3] as number);
    const white = 255 * (255 - alpha) + 127.5;
    for (let c = 0; c < 3; c++) {
      const value = rgba[i * 4 + c] as number;
      rgba[i * 3 + c] = alpha === 255 ? value : Math.floor((value * alpha + white) / 255);
    }
  }
  return rgba.subarray(0, pixels * 3);
}
