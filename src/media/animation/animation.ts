/** An animated picture: frames that are laid on a canvas one after another, whatever file they come from. */

export interface AnimationFrame {
  /** Place on the canvas, in pixels. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** How long it shows. */
  readonly seconds: number;
  /** "over": laid on what is there; "replace": takes its place, transparency included. */
  readonly blend: "over" | "replace";
  /** What becomes of its area before the next frame: stays, is cleared, or shows again what was there before. */
  readonly dispose: "keep" | "clear" | "restore";
  /** RGBA of width x height, not premultiplied. @throws what the codec throws for a corrupt frame */
  decode(): Promise<Uint8Array>;
}

export interface Animation {
  readonly width: number;
  readonly height: number;
  /** RGBA of a cleared canvas. */
  readonly background: readonly [r: number, g: number, b: number, a: number];
  readonly frames: readonly AnimationFrame[];
}

/** Files of use have a few thousand; each costs far more memory than its bytes. */
export const MOST_FRAMES = 2 ** 16;

/** Times up to this are a way to say "unset": viewers show such frames for DEFAULT_SECONDS. */
const UNSET_SECONDS = 0.01;
const DEFAULT_SECONDS = 0.1;

/** The time a frame is shown, as browsers and FFmpeg have it. */
export function shownSeconds(seconds: number): number {
  return seconds <= UNSET_SECONDS ? DEFAULT_SECONDS : seconds;
}

/** Why a frame can not be part of the canvas, or undefined. */
export function frameProblem(
  { width, height }: Pick<Animation, "width" | "height">,
  frame: Pick<AnimationFrame, "x" | "y" | "width" | "height">,
): string | undefined {
  const fits = frame.x + frame.width <= width && frame.y + frame.height <= height;
  if (fits && frame.width > 0 && frame.height > 0) return undefined;
  const area = `${frame.width} x ${frame.height} at (${frame.x}, ${frame.y})`;
  return `covers ${area}, which is not on the canvas of ${width} x ${height}`;
}
