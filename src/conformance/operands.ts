/** Makers of operands for conformance cases. */
import type { Shape } from "../tensor/dims.ts";
import type { Operand } from "./case.ts";
import type { Random } from "./random.ts";

/** Normally distributed values. */
export function normal(shape: Shape, { scale = 1, mean = 0 } = {}): Operand {
  return each(shape, (_, random) => mean + scale * random.normal());
}

/** Uniform values in [low, high). */
export function uniform(shape: Shape, low: number, high: number): Operand {
  return each(shape, (_, random) => low + (high - low) * random.uniform());
}

/** Each element from its index. */
export function each(shape: Shape, value: (index: number, random: Random) => number): Operand {
  const fill = (random: Random, count: number) => {
    const values = new Float64Array(count);
    for (let index = 0; index < count; index++) values[index] = value(index, random);
    return values;
  };
  return { shape, fill };
}

/** The values as they are. */
export function fixed(shape: Shape, values: ArrayLike<number>): Operand {
  return { shape, fill: () => values };
}

/** The same values with some replaced, by index. */
export function withValues(operand: Operand, replaced: Readonly<Record<number, number>>): Operand {
  return {
    ...operand,
    fill: (random, count) => {
      const values = Float64Array.from(operand.fill(random, count));
      for (const [index, value] of Object.entries(replaced)) values[Number(index)] = value;
      return values;
    },
  };
}

/** As a slice of a wider buffer. */
export function strided(operand: Operand, before = 3, after = 5): Operand {
  return { ...operand, padding: [before, after] };
}
