/** Runs of a model's programs with inputs out of thin air, and their results held against each other. */
import * as assert from "uvu/assert";
import { Random } from "../../src/conformance/random.ts";
import type { Program } from "../../src/program/program.ts";
import { evaluateDim, type SymbolValues } from "../../src/tensor/dims.ts";
import type { HostArray } from "../../src/tensor/dtype.ts";
import type { Inputs } from "./lockstep.ts";

export type Results = ReadonlyMap<string, HostArray>;

export function compareResults(found: Results, expected: Results, toTheBit: boolean): void {
  assert.equal([...found.keys()].sort(), [...expected.keys()].sort());
  for (const [name, values] of expected) {
    const others = found.get(name) as HostArray;
    if (toTheBit || values instanceof Int32Array) {
      assert.equal([...others], [...values], name);
      continue;
    }
    const scale = Math.max(...Array.from(values, Math.abs));
    const worst = Math.max(
      ...Array.from(values, (value, index) => Math.abs(value - (others[index] as number))),
    );
    assert.ok(worst <= 1e-5 * scale, `${name}: ${worst / scale} relative`);
  }
}

/** Two sequences that read a prompt with pictures, then a token each; or two pictures. */
export function runsOf(program: Program): { symbols: SymbolValues; inputs: Inputs }[] {
  const common = {
    sequences: 2,
    blocks: 2,
    pages: 4,
    slab: 6,
    adjusted: 0,
    changes: 0,
    masks: 0,
    nextFeatures: 1,
    firsts: 1,
    "drafts.1": 2,
    "drafts.2": 2,
    "drafts.3": 1,
  };
  const runs =
    program.name === "vision"
      ? [{ symbols: { patches: 24, frames: 2 }, given: { cuSeqlens: [0, 16, 24] } }]
      : [
          {
            symbols: { ...common, tokens: 20, features: 3, logits: 2 },
            given: {
              cuAdjustedIds: [0],
              cuSeqlens: [0, 17, 20],
              contextLens: [17, 3],
              slots: [...Array(17).keys()].map((at) => (at < 16 ? at : 32)).concat([48, 49, 50]),
              blockTable: [0, 2, 3, 1],
              featureSources: [5, 0, 2],
              featureRows: [3, 4, 18],
              logitRows: [16, 19],
              firstRows: [17],
              nextFeatureSources: [5],
              nextFeatureRows: [2],
              ...draftPlaces([33, 51], [18, 4]),
            },
          },
          {
            symbols: { ...common, tokens: 2, features: 0, logits: 2 },
            given: {
              cuAdjustedIds: [0],
              cuSeqlens: [0, 1, 2],
              contextLens: [18, 4],
              slots: [33, 51],
              blockTable: [0, 2, 3, 1],
              logitRows: [0, 1],
              firstRows: [1],
              nextFeatureSources: [1],
              nextFeatureRows: [0],
              ...draftPlaces([34, 52], [19, 5]),
            },
          },
        ];
  return runs.map(({ symbols, given }) => ({ symbols, inputs: inputsOf(program, symbols, given) }));
}

/** Of two sequences, the second alone has a third draft. @param slots and lengths of the second drafts */
function draftPlaces(slots: readonly number[], lengths: readonly number[]) {
  return {
    firstChosen: [0, 1],
    "draftOf.2": [0, 1],
    "draftOf.3": [1],
    "slots.2": slots,
    "slots.3": slots.map((slot) => slot + 1),
    "lengths.2": lengths,
    "lengths.3": lengths.map((length) => length + 1),
    "blockTable.2": [0, 2, 3, 1],
    "blockTable.3": [3, 1],
    "cuSeqlens.2": [0, 1, 2],
    "cuSeqlens.3": [0, 1],
  };
}

function inputsOf(
  { buffers }: Program,
  symbols: SymbolValues,
  given: Readonly<Record<string, readonly number[]>>,
): Inputs {
  const fill = ({ name, rows, cols, dtype }: Program["buffers"][number]): HostArray => {
    const count = evaluateDim(rows, symbols) * evaluateDim(cols, symbols);
    const random = new Random(name);
    if (name in given) return Int32Array.from(given[name] as readonly number[]);
    if (name === "adjustedAs" || name.startsWith("plain.")) return new Int32Array(count).fill(-1);
    if (dtype === "i32") return Int32Array.from({ length: count }, () => random.integer(40));
    if (name === "samplingSettings" || name.startsWith("settings."))
      return Float32Array.from({ length: count }, (_, at) => [0.8, 0.9, 0][at % 3] as number);
    return Float32Array.from({ length: count }, () => random.normal() / 2);
  };
  return Object.fromEntries(
    buffers.filter(({ kind }) => kind === "input").map((buffer) => [buffer.name, fill(buffer)]),
  );
}
