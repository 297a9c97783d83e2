/** Conversions of Pillow between kinds of pixels, on RGBA in place. */

/** The first channel becomes all colours. */
export function spreadGrey(rgba: Uint8Array): void {
  for (let at = 0; at < rgba.length; at += 4) {
    rgba[at + 1] = rgba[at] as number;
    rgba[at + 2] = rgba[at] as number;
  }
}

/** The first channel is an index. @param palette RGB of 256 colours */
export function spreadPalette(rgba: Uint8Array, palette: Uint8Array): void {
  for (let at = 0; at < rgba.length; at += 4) {
    const index = (rgba[at] as number) * 3;
    rgba[at] = palette[index] as number;
    rgba[at + 1] = palette[index + 1] as number;
    rgba[at + 2] = palette[index + 2] as number;
  }
}

/** The fourth channel is black ink. */
export function cmykToRgb(pixels: Uint8Array): void {
  for (let at = 0; at < pixels.length; at += 4) {
    const white = 255 - (pixels[at + 3] as number);
    for (let i = at; i < at + 3; i++) {
      const product = (pixels[i] as number) * white + 128;
      pixels[i] = Math.max(0, white - (((product >> 8) + product) >> 8));
    }
    pixels[at + 3] = 255;
  }
}

/** Divides colours by their alpha. */
export function unpremultiply(rgba: Uint8Array): void {
  for (let at = 0; at < rgba.length; at += 4) {
    const alpha = rgba[at + 3] as number;
    if (alpha === 255) continue;
    for (let i = at; i < at + 3; i++) {
      rgba[i] = alpha === 0 ? 0 : Math.min(255, Math.floor(((rgba[i] as number) * 255) / alpha));
    }
  }
}
