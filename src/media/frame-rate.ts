/** The rate of a video from the times of its frames. */

/** Start and length of a timestamp may each be off by half a unit of the file's clock, and so may the last length. */
const UNITS_OFF = 1.5;
/** Matroska gives the length of a frame in nanoseconds: relative error of a rate made from it. */
const NOMINAL_ERROR = 1e-6;

export interface FrameTiming {
  /** Start of each frame, ascending. */
  readonly seconds: readonly number[];
  /** Length of the last one in seconds. */
  readonly lastDuration: number;
  /** Ticks a second of the file's clock. */
  readonly resolution: number;
}

/**
 * Frames a second, on average. Files round times (WebM to milliseconds), so a rate that people film at is taken
 * when the file can not tell it from what it says: a whole number, or 1000/1001 of one (29.97). A nominal length that
 * is finer than the clock decides between them.
 */
export function frameRate({ seconds, lastDuration, resolution }: FrameTiming): number {
  const frames = seconds.length;
  const span = (seconds.at(-1) as number) + lastDuration - (seconds[0] as number);
  const average = frames / span;
  const off = UNITS_OFF / resolution / span;
  const isNear = (rate: number, other: number, error: number) => Math.abs(rate / other - 1) <= error;

  const ticks = lastDuration * resolution;
  const nominal = 1 / lastDuration;
  const hasNominal = Math.abs(ticks - Math.round(ticks)) > 1e-4 && isNear(nominal, average, off);
  const [best, error] = hasNominal ? [nominal, NOMINAL_ERROR] : [average, off];
  const whole = Math.round(best);
  return [whole, (whole * 1000) / 1001].find((rate) => rate > 0 && isNear(rate, best, error)) ?? best;
}
