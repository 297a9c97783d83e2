/** sample: the chosen tokens must be the same on every backend. */
import { keptWeights } from "../../backends/reference/sample.ts";
import { symbolDim } from "../../tensor/dims.ts";
import { M, type OpCase, type OpCases, type Operand, opCase } from "../case.ts";
import { each, fixed, normal, strided } from "../operands.ts";
import { Random } from "../random.ts";

const A = symbolDim("a");

/** [temperature, topP, minP, topK] */
type Settings = readonly [number, number, number, number];

const GREEDY: Settings = [0, 1, 0, 0];
const SETTINGS = {
  greedy: GREEDY,
  plain: [1, 1, 0, 0],
  cold: [0.05, 1, 0, 0],
  hot: [30, 1, 0, 0],
  "top-1": [1, 1, 0, 1],
  "top-5": [1.5, 1, 0, 5],
  "top-k past the vocabulary": [1, 1, 0, 2 ** 31 - 1],
  "top-p 0.9": [1, 0.9, 0, 0],
  "top-p 0.5": [0.7, 0.5, 0, 0],
  "top-p tiny": [1, 1e-6, 0, 0],
  "min-p 0.1": [1, 1, 0.1, 0],
  "min-p 1": [1, 1, 1, 0],
  "top-k, top-p": [2, 0.8, 0, 30],
  "top-k, min-p": [1, 1, 0.02, 12],
  all: [0.8, 0.95, 0.01, 50],
  // No caller can ask for these; they must do no harm.
  "keeps none": [1, 0, 0, 0],
  "negative temperature": [-1, 1, 0, 0],
} as const satisfies Record<string, Settings>;

/** The least, the largest, and a quarter: where weights are equal that is on the border of two tokens. */
const DRAWS = [0, -1, 2 ** 30];

/** One row of each. */
const MIXED = Object.values(SETTINGS);

/** Makers of rows of logits; with 16-bit activations many become equal. */
const LOGITS = {
  usual: (shape) => normal(shape, { scale: 3 }),
  far: (shape) => normal(shape, { scale: 40 }),
  ties: (shape) => each(shape, (_, random) => random.integer(3)),
  equal: (shape) => each(shape, () => -1.5),
  signs: (shape) => each(shape, (_, random) => (random.uniform() < 0.5 ? -0 : 0)),
  masked: (shape) =>
    each(shape, (index, random) => (index % 5 === 2 ? random.normal() : Number.NEGATIVE_INFINITY)),
  "all masked": (shape) => each(shape, () => Number.NEGATIVE_INFINITY),
  infinite: (shape) =>
    each(shape, (_, random) => (random.uniform() < 0.1 ? Number.POSITIVE_INFINITY : random.normal())),
  "with NaN": (shape) => each(shape, (_, random) => (random.uniform() < 0.02 ? Number.NaN : random.normal())),
} as const satisfies Record<string, (shape: Operand["shape"]) => Operand>;

function sampleCases(): OpCase[] {
  const sizes = [1, 2, 7, 65, 1009, 2048, 2049, 4099].map((v) => sampleCase(v, MIXED, "usual"));
  const alone = Object.entries(SETTINGS).map(([name, one]) =>
    sampleCase(300, new Array<Settings>(5).fill(one), "usual", { settings: name }),
  );
  const values = (Object.keys(LOGITS) as (keyof typeof LOGITS)[])
    .filter((name) => name !== "usual")
    .flatMap((name) => [36, 2311].map((v) => sampleCase(v, MIXED, name)));
  return [
    sampleCase(9, [], "usual"),
    ...sizes,
    ...alone,
    ...values,
    sampleCase(61, MIXED, "usual", { memory: "strided" }),
    borderCase(150, 2, -20),
    borderCase(150, 64, -6),
    sampleCase(40_009, [GREEDY, SETTINGS.all, SETTINGS.plain], "usual"),
  ];
}

/**
 * Pairs of rows whose last token is the largest, with draws on the two sides of the border between it and the others,
 * nearer to each other than a weight is to the next: weights that are off choose another token. Logits are exact in
 * every type, and x reaches down to `lowest`.
 */
function borderCase(pairs: number, v: number, lowest: number): OpCase {
  const random = new Random("borders");
  const rows = Array.from({ length: pairs }, () => {
    const top = random.integer(2) * 3;
    const logits = Array.from({ length: v }, (_, token) =>
      token === v - 1 ? top : top - (64 + random.integer(64)) / 32,
    );
    const temperature = Math.fround(4 / (-lowest * (1 - 0.9 * random.uniform() ** 2)));
    const weights = keptWeights(Float32Array.from(logits), { temperature, topP: 1, minP: 0, topK: 0 });
    const border = weights.subarray(0, v - 1).reduce((sum, weight) => sum + weight, 0);
    const total = border + (weights[v - 1] as number);
    let draw = Math.ceil((border / total) * 2 ** 32);
    while ((draw / 2 ** 32) * total >= border) draw--;
    return [draw, draw + 1].map((side) => ({ logits, settings: [temperature, 1, 0], draw: side }));
  }).flat();
  return opCase("sample", {
    fields: { m: rows.length, v, draws: "borders" },
    symbols: { m: rows.length, a: 0 },
    operands: {
      logits: fixed(
        [M, v],
        rows.flatMap(({ logits }) => logits),
      ),
      settings: fixed(
        [M, 3],
        rows.flatMap(({ settings }) => settings),
      ),
      choices: fixed(
        [M, 2],
        rows.flatMap(({ draw }) => [0, draw | 0]),
      ),
      adjusted: fixed([A, v], []),
      adjustedAs: each([M], () => -1),
    },
    exact: true,
  });
}

function sampleCase(
  v: number,
  rows: readonly Settings[],
  logits: keyof typeof LOGITS,
  { settings = "mixed", memory = "whole" }: { settings?: string; memory?: "whole" | "strided" } = {},
): OpCase {
  const m = rows.length;
  const operand = LOGITS[logits]([M, v]);
  // Every other row has an adjusted one, in falling order; one more is nobody's.
  const a = Math.ceil(m / 2) + 1;
  return opCase("sample", {
    fields: { m, v, logits, settings, memory },
    symbols: { m, a },
    operands: {
      logits: memory === "strided" ? strided(operand) : operand,
      settings: fixed(
        [M, 3],
        rows.flatMap((row) => row.slice(0, 3)),
      ),
      choices: {
        shape: [M, 2],
        fill: (random) =>
          rows.flatMap(([, , , topK], row) => [topK, DRAWS[row % 5] ?? random.integer(2 ** 32) | 0]),
      },
      adjusted: LOGITS[logits]([A, v]),
      adjustedAs: each([M], (row) => (row % 2 === 0 ? a - 1 - row / 2 : -1)),
    },
    exact: true,
  });
}

export const samplingCases = { sample: sampleCases } satisfies OpCases;
