/** Composes the frames of an animation: what a viewer shows at each of them. */

import type { Animation, AnimationFrame } from "./animation.ts";

/**
 * Reads composed frames, RGBA [height, width, 4] each. Going forward costs one decode a frame; going back starts
 * again at the last frame that owes nothing to those before it. Calls must not overlap.
 */
export class AnimationReader {
  readonly #animation: Animation;
  #canvas: Uint8Array;
  /** The last frame on the canvas, and the rows of its area before it when they have to come back. */
  #last = -1;
  #before: Uint8Array[] = [];

  constructor(animation: Animation) {
    this.#animation = animation;
    this.#canvas = this.#blank();
  }

  /** The canvas at frame `index`; the caller owns the copy. */
  async frame(index: number): Promise<Uint8Array> {
    const isNext = index === this.#last || index === this.#last + 1;
    const start = isNext ? index : this.#startOf(index);
    if (index < this.#last || start > this.#last + 1) await this.#startAt(start);
    while (this.#last < index) await this.#show(this.#last + 1);
    const shown = this.#canvas.slice();
    // A canvas that is never transparent takes no transparency from its frames either.
    const isOpaque = this.#animation.background[3] === 255;
    if (isOpaque) for (let at = 3; at < shown.length; at += 4) shown[at] = 255;
    return shown;
  }

  async #startAt(index: number): Promise<void> {
    this.#canvas = this.#blank();
    this.#before = [];
    // Not the frame before: nothing of it is on the canvas to be disposed of.
    this.#last = -1;
    await this.#show(index);
  }

  /** The last frame up to `index` that covers the canvas and hides all before it. */
  #startOf(index: number): number {
    const { width, height, frames } = this.#animation;
    for (let start = index; start > 0; start--) {
      const frame = frames[start] as AnimationFrame;
      if (frame.blend === "replace" && frame.width === width && frame.height === height) {
        if (frame.dispose !== "restore") return start;
      }
    }
    return 0;
  }

  async #show(index: number): Promise<void> {
    const { frames } = this.#animation;
    const frame = frames[index] as AnimationFrame;
    const pixels = await frame.decode();
    const last = frames[this.#last];
    if (last) this.#dispose(last);
    const rows = this.#rows(frame);
    this.#before = frame.dispose === "restore" ? rows.map((row) => row.slice()) : [];
    rows.forEach((row, y) => {
      const from = pixels.subarray(y * row.length, (y + 1) * row.length);
      if (frame.blend === "replace") row.set(from);
      else blendOver(row, from);
    });
    this.#last = index;
  }

  #dispose(frame: AnimationFrame): void {
    if (frame.dispose === "keep") return;
    this.#rows(frame).forEach((row, y) => {
      const before = this.#before[y];
      if (before) row.set(before);
      else fill(row, this.#animation.background);
    });
  }

  /** A frame's area of the canvas, row by row. */
  #rows({ x, y, width, height }: AnimationFrame): Uint8Array[] {
    const canvas = this.#animation;
    return Array.from({ length: height }, (_, row) => {
      const at = ((y + row) * canvas.width + x) * 4;
      return this.#canvas.subarray(at, at + width * 4);
    });
  }

  #blank(): Uint8Array {
    const { width, height, background } = this.#animation;
    return fill(new Uint8Array(width * height * 4), background);
  }
}

/** Writes one colour everywhere. */
function fill(pixels: Uint8Array, colour: readonly number[]): Uint8Array {
  pixels.set(colour.slice(0, pixels.length));
  // What is written doubles.
  for (let done = 4; done < pixels.length; done *= 2) pixels.copyWithin(done, 0, done);
  return pixels;
}

/** Pixels that are not premultiplied, blended as libwebp does (BlendPixelNonPremult of its animation decoder). */
function blendOver(below: Uint8Array, above: Uint8Array): void {
  for (let i = 0; i < above.length; i += 4) {
    const alpha = above[i + 3] as number;
    if (alpha === 0) continue;
    if (alpha === 255) {
      below[i] = above[i] as number;
      below[i + 1] = above[i + 1] as number;
      below[i + 2] = above[i + 2] as number;
      below[i + 3] = alpha;
      continue;
    }
    const belowShare = ((below[i + 3] as number) * (256 - alpha)) >> 8;
    const total = alpha + belowShare;
    const scale = Math.floor(2 ** 24 / total);
    for (let c = i; c < i + 3; c++) {
      const sum = (above[c] as number) * alpha + (below[c] as number) * belowShare;
      below[c] = Math.floor((sum * scale) / 2 ** 24);
    }
    below[i + 3] = total;
  }
}
