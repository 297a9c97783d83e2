/**
 * How fast each pair of dimensions turns, in float32 with the reference's order of operations. Scaled rotaries stretch
 * the slow ones, so that positions past those of the training turn no further.
 *
 * Source: ROPE_INIT_FUNCTIONS in transformers' modeling_rope_utils.py.
 */
import type { RopeScaling, TextRopeConfig } from "../config/types.ts";

export interface TextFrequencies {
  /** Radians a position, [rotaryDim / 2]. */
  readonly frequencies: Float32Array;
  /** What cosines and sines are multiplied by, a float32. */
  readonly scale: number;
}

type Of<T extends RopeScaling["type"]> = Extract<RopeScaling, { readonly type: T }>;

/** Rounds to float32, as torch does after each operation. */
const f = Math.fround;

/** theta^(-2i / dim) for i < dim / 2. */
export function inverseFrequencies(theta: number, dim: number): Float32Array {
  return powers(theta, dim).map((power) => 1 / power);
}

export function textFrequencies({ theta, rotaryDim, scaling }: TextRopeConfig): TextFrequencies {
  const frequencies = inverseFrequencies(theta, rotaryDim);
  switch (scaling?.type) {
    case undefined:
      return { frequencies, scale: 1 };
    case "linear":
      return { frequencies: frequencies.map((value) => value / f(scaling.factor)), scale: 1 };
    case "llama3":
      return { frequencies: frequencies.map((value) => llama3(value, scaling)), scale: 1 };
    case "yarn":
      return { frequencies: yarn(theta, rotaryDim, scaling), scale: f(scaling.attentionFactor) };
  }
}

function powers(theta: number, dim: number): Float32Array {
  return Float32Array.from({ length: dim / 2 }, (_, i) => theta ** f((2 * i) / dim));
}

/** Fast pairs stay, slow ones are divided by the factor, and between `low` and `high` one goes over into the other. */
function yarn(theta: number, dim: number, scaling: Of<"yarn">): Float32Array {
  const { factor, betaFast, betaSlow, originalMaxPositions, truncate } = scaling;
  const turning = (rotations: number) =>
    (dim * Math.log(originalMaxPositions / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = [turning(betaFast), turning(betaSlow)];
  const low = Math.max(truncate ? Math.floor(first) : first, 0);
  const end = Math.min(truncate ? Math.ceil(last) : last, dim - 1);
  // Prevents a division by zero.
  const high = low === end ? end + 0.001 : end;
  return powers(theta, dim).map((power, i) => {
    const ramp = Math.min(Math.max(f(f(i - f(low)) / f(high - low)), 0), 1);
    const kept = f(1 - ramp);
    const stretched = f(1 / f(f(factor) * power));
    return f(stretched * f(1 - kept)) + f(f(1 / power) * kept);
  });
}

/** As yarn, by wavelengths. */
function llama3(frequency: number, scaling: Of<"llama3">): number {
  const { lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions: original } = scaling;
  const factor = f(scaling.factor);
  const wavelength = f(f(1 / frequency) * f(2 * Math.PI));
  const isSlow = wavelength > f(original / low);
  const isFast = wavelength < f(original / high);
  const turned = isSlow ? f(frequency / factor) : frequency;
  if (isSlow || isFast) return turned;
  const share = f(f(f(f(1 / wavelength) * original) - low) / f(high - low));
  return f(f(f(1 - share) * turned) / factor) + f(share * turned);
}
