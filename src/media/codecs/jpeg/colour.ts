/** Rows of component samples to RGB, in libjpeg's fixed-point numbers and with Pillow's CMYK. */

/** What the components mean. "ycck" is CMYK with its first three turned into YCbCr. */
export type ColourSpace = "grey" | "rgb" | "ycbcr" | "cmyk" | "ycck";

/** Factors of the conversion, with 16 fractional bits. */
const RED_CR = 91881;
const BLUE_CB = 116130;
const GREEN_CB = -22554;
const GREEN_CR = -46802;
const HALF = 32768;

/** Samples by value + 256: as the conversion makes them, from -256 to 511. A table is faster here than comparing. */
const CLAMPED = Uint8Array.from({ length: 768 }, (_, i) => Math.max(0, Math.min(255, i - 256)));

/**
 * @param rows u8 [components][width]
 * @param rgb u8 [.., 3], written from place `to` on
 */
export function writeRgb(
  space: ColourSpace,
  rows: readonly Uint8ClampedArray[],
  width: number,
  rgb: Uint8Array,
  to: number,
): void {
  const [first, second, third, black] = rows as readonly [
    Uint8ClampedArray,
    Uint8ClampedArray,
    Uint8ClampedArray,
    Uint8ClampedArray,
  ];
  if (space === "grey") {
    for (let x = 0, out = to; x < width; x++, out += 3) {
      rgb[out] = first[x] as number;
      rgb[out + 1] = first[x] as number;
      rgb[out + 2] = first[x] as number;
    }
  } else if (space === "ycbcr" || space === "ycck") {
    writeConverted(first, second, third, width, rgb, to);
  } else {
    for (let x = 0, out = to; x < width; x++, out += 3) {
      rgb[out] = first[x] as number;
      rgb[out + 1] = second[x] as number;
      rgb[out + 2] = third[x] as number;
    }
  }
  if (space === "ycck") {
    // The three are now RGB; of CMYK they are the complements.
    for (let i = to; i < to + width * 3; i++) rgb[i] = 255 - (rgb[i] as number);
  }
  if (space === "ycck" || space === "cmyk") blacken(black, width, rgb, to);
}

function writeConverted(
  lumas: Uint8ClampedArray,
  blues: Uint8ClampedArray,
  reds: Uint8ClampedArray,
  width: number,
  rgb: Uint8Array,
  to: number,
): void {
  const clamped = CLAMPED;
  for (let x = 0, out = to; x < width; x++, out += 3) {
    const y = (lumas[x] as number) + 256;
    const cb = (blues[x] as number) - 128;
    const cr = (reds[x] as number) - 128;
    const green = Math.imul(cb, GREEN_CB) + Math.imul(cr, GREEN_CR);
    rgb[out] = clamped[y + ((Math.imul(cr, RED_CR) + HALF) >> 16)] as number;
    rgb[out + 1] = clamped[y + ((green + HALF) >> 16)] as number;
    rgb[out + 2] = clamped[y + ((Math.imul(cb, BLUE_CB) + HALF) >> 16)] as number;
  }
}

/** CMYK in `rgb` and `black`, inverted as Adobe writes it and Pillow takes all of it, becomes RGB. */
function blacken(black: Uint8ClampedArray, width: number, rgb: Uint8Array, to: number): void {
  for (let x = 0, out = to; x < width; x++, out += 3) {
    const light = black[x] as number;
    for (let i = out; i < out + 3; i++) {
      const product = (255 - (rgb[i] as number)) * light + 128;
      rgb[i] = light - ((product + (product >> 8)) >> 8);
    }
  }
}
