/** Composes the frames of an animation: what a viewer shows at each of them. */

import type { Animation, AnimationFrame } from "./animation.ts";

/**
 * Reads composed frames, RGBA [height, width, 4] each. Going forward costs one decode a frame; going back starts
 * again at the last frame that owes nothing to those before it. Calls must not overlap.
 */
export class AnimationReader {
  readonly #animation: Animation;
  #canvas: Uint8Array;
  /** The last frame on the canvas, and what its area showed before when that has to come back. */
  #last = -1;
  #before: Uint8Array | undefined;

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
    return this.#canvas.slice();
  }

  async #startAt(index: number): Promise<void> {
    this.#canvas = this.#blank();
    this.#before = undefined;
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
    const { frames, width } = this.#animation;
    const frame = frames[index] as AnimationFrame;
    const pixels = await frame.decode();
    const last = frames[this.#last];
    if (last) this.#dispose(last);
    this.#before = frame.dispose === "restore" ? this.#canvas.slice() : undefined;
    for (let row = 0; row < frame.height; row++) {
      const at = ((frame.y + row) * width + frame.x) * 4;
      const from = pixels.subarray(row * frame.width * 4, (row + 1) * frame.width * 4);
      if (frame.blend === "replace") this.#canvas.set(from, at);
      else blendOver(this.#canvas.subarray(at, at + from.length), from);
    }
    this.#last = index;
  }

  #dispose(frame: AnimationFrame): void {
    if (frame.dispose === "clear") this.#fill(frame);
    if (frame.dispose === "restore" && this.#before) this.#canvas = this.#before;
  }

  #fill({ x, y, width, height }: Pick<AnimationFrame, "x" | "y" | "width" | "height">): void {
    const { background } = this.#animation;
    for (let row = y; row < y + height; row++) {
      for (let column = x; column < x + width; column++) {
        this.#canvas.set(background, (row * this.#animation.width + column) * 4);
      }
    }
  }

  #blank(): Uint8Array {
    const { width, height, background } = this.#animation;
    const canvas = new Uint8Array(width * height * 4);
    if (background.some((value) => value !== 0)) {
      for (let at = 0; at < canvas.length; at += 4) canvas.set(background, at);
    }
    return canvas;
  }
}

/** Pixels that are not premultiplied, blended as libwebp does (BlendPixelNonPremult of its animation decoder). */
function blendOver(below: Uint8Array, above: Uint8Array): void {
  for (let i = 0; i < above.length; i += 4) {
    const alpha = above[i + 3] as number;
    if (alpha === 0) continue;
    if (alpha === 255) {
      below.set(above.subarray(i, i + 4), i);
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
