/** adjust_logits: logits and what becomes of them must be the same on every backend. */
import { offsetDim, symbolDim } from "../../tensor/dims.ts";
import { M, type OpCase, type OpCases, opCase } from "../case.ts";
import { each, fixed, normal, strided, withValues } from "../operands.ts";
import { Random } from "../random.ts";

const [R, P, K] = [symbolDim("r"), symbolDim("p"), symbolDim("k")];

function adjustCases(): OpCase[] {
  const sizes = [1, 2, 31, 32, 33, 257, 2047, 2048, 2049, 4099];
  return [
    // Nothing to do at all.
    adjustCase(9, 40, []),
    ...sizes.map((v) => adjustCase(4, v, [2, 0, 3, 3, 1])),
    adjustCase(3, 61, [1, 2], { memory: "strided" }),
    adjustCase(2, 300, [1, 0], { masks: 0 }),
    adjustCase(2, 300, [0], { changes: false }),
    adjustCase(1, 40_009, [0]),
    oddValues(),
  ];
}

/** @param rows of the logits that are adjusted */
function adjustCase(
  m: number,
  v: number,
  rows: readonly number[],
  { masks = 3, changes = true, memory = "whole" }: Partial<Choices> = {},
): OpCase {
  const random = new Random(`adjusted ${m} ${v} ${rows.join()}`);
  const { ids, bounds } = changedTokens(random, rows.length, changes ? v : 0);
  const words = Math.ceil(v / 32);
  const logits = normal([M, v], { scale: 3 });
  return opCase("adjust_logits", {
    fields: { m, v, rows: rows.join() || "none", masks, changes: String(changes), memory },
    symbols: { m, r: rows.length, p: ids.length, k: masks },
    operands: {
      logits: memory === "strided" ? strided(logits) : logits,
      rows: fixed([R], rows),
      ids: fixed([P], ids),
      changes: each([P, 2], changeValue),
      cuIds: fixed([offsetDim(R, 1)], bounds),
      // One that bans none, one that bans all, then any.
      masks: each([K, words], (index, bits) => {
        const mask = Math.floor(index / words);
        return mask < 2 ? mask - 1 : bits.integer(2 ** 32) | 0;
      }),
      maskOf: each([R], (row) => (masks === 0 ? -1 : ((row + 3) % (masks + 1)) - 1)),
    },
    exact: true,
  });
}

interface Choices {
  readonly masks: number;
  readonly changes: boolean;
  readonly memory: "whole" | "strided";
}

/** Penalties, bonuses, biases and bans. */
function changeValue(index: number, random: Random): number {
  if (index % 2 === 0) return [1, 1, 1.3, 0.7][random.integer(4)] as number;
  return [0, random.normal(), -100, Number.NEGATIVE_INFINITY][random.integer(4)] as number;
}

/** For each row some tokens, with twins and -1 among them, for every fourth none; then padding of no row. */
function changedTokens(random: Random, rows: number, v: number) {
  const ids: number[] = [];
  const bounds = [0];
  for (let row = 0; row < rows; row++) {
    const count = row % 4 === 3 || v === 0 ? 0 : 1 + random.integer(Math.min(v, 600));
    for (let i = 0; i < count; i++) {
      const twin = random.uniform() < 0.2 && i > 0;
      ids.push(i % 7 === 5 ? -1 : twin ? (ids.at(-1) as number) : random.integer(v));
    }
    bounds.push(ids.length);
  }
  return { ids: rows === 0 ? ids : [...ids, -1, -1], bounds };
}

/** Logits that are no usual numbers, each changed, changed twice, masked or left. */
function oddValues(): OpCase {
  const odd = [0, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 1e-30, -3e4, 3e4];
  const v = odd.length;
  return opCase("adjust_logits", {
    fields: { values: "odd" },
    symbols: { m: 1, r: 4, p: 3 * v, k: 1 },
    operands: {
      logits: withValues(normal([M, v]), { ...odd }),
      rows: fixed([R], [0, 0, 0, 0]),
      ids: each([P], (index) => index % v),
      changes: each([P, 2], (index) =>
        index % 2 === 0 ? 1.5 : index < 2 * v ? -0.25 : Number.NEGATIVE_INFINITY,
      ),
      cuIds: fixed([offsetDim(R, 1)], [0, v, 3 * v, 3 * v, 3 * v]),
      masks: fixed([K, 1], [0b01010101]),
      maskOf: fixed([R], [-1, -1, 0, -1]),
    },
    exact: true,
  });
}

export const adjustLogitsCases = { adjust_logits: adjustCases } satisfies OpCases;
