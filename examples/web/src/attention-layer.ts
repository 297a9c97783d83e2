/** Where a token of the answer looks, over the picture: a pixel a patch, which the page enlarges. */
import type { GridThw } from "glimt";

/** What is not looked at is veiled; what is most looked at glows. */
const VEIL = [9, 14, 18, 140] as const;
const GLOW = [255, 184, 0, 95] as const;

/**
 * @param weights of all frames, [t, rows, columns]; shown relative to the largest of them
 * @param frame which of the t
 */
export function paintAttention(
  canvas: HTMLCanvasElement,
  [, rows, columns]: GridThw,
  weights: Float32Array,
  frame: number,
): void {
  canvas.width = columns;
  canvas.height = rows;
  const largest = weights.reduce((most, weight) => Math.max(most, weight), 0);
  const pixels = new ImageData(columns, rows);
  const first = frame * rows * columns;
  for (let patch = 0; patch < rows * columns; patch++) {
    // The root lets small weights be seen beside the largest.
    const share = largest === 0 ? 0 : Math.sqrt((weights[first + patch] as number) / largest);
    for (let channel = 0; channel < 4; channel++) {
      const [dark, bright] = [VEIL[channel] as number, GLOW[channel] as number];
      pixels.data[4 * patch + channel] = dark + share * (bright - dark);
    }
  }
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
}
