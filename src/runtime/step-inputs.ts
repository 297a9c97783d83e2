/** Rows of sequences as programs over the paged cache read them. */
import type { PositionIds } from "../mrope/positions.ts";
import type { textRotary } from "../mrope/rotary.ts";
import type { Sequence } from "./kv-pool.ts";

/** Vision features that stand in for the embeddings of some rows of a slice: as many sources as rows. */
export interface SliceFeatures {
  /** Rows of the feature slab. */
  readonly sources: Int32Array;
  /** Rows of the slice, each once. */
  readonly rows: Int32Array;
}

/** Rows of one sequence, from row `start` of its cache on. */
export interface StepRows {
  readonly sequence: Sequence;
  readonly start: number;
  readonly inputIds: ArrayLike<number>;
  /** Three axes of inputIds.length positions each. */
  readonly positionIds: PositionIds;
  readonly features?: SliceFeatures | undefined;
}

/**
 * Columns of a block table for sequences of up to `pages` pages: few widths, so that what a backend prepares for the
 * sizes of a step serves many steps. Columns past a sequence's pages are not read.
 */
export function blockTableColumns(pages: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, pages)));
}

export function stepInputs(slices: readonly StepRows[], rotary: ReturnType<typeof textRotary>) {
  const tokens = slices.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
  const inputIds = new Int32Array(tokens);
  const slots = new Int32Array(tokens);
  const positionIds: PositionIds = [new Int32Array(tokens), new Int32Array(tokens), new Int32Array(tokens)];
  const cuSeqlens = new Int32Array(slices.length + 1);
  const contextLens = new Int32Array(slices.length);
  const blocks = blockTableColumns(Math.max(...slices.map(({ sequence }) => sequence.blockTable.length)));
  const blockTable = new Int32Array(slices.length * blocks);
  const features = slices.reduce((sum, slice) => sum + (slice.features?.rows.length ?? 0), 0);
  const featureSources = new Int32Array(features);
  const featureRows = new Int32Array(features);
  let firstFeature = 0;
  slices.forEach((slice, index) => {
    const { sequence, start } = slice;
    const first = cuSeqlens[index] as number;
    const count = slice.inputIds.length;
    inputIds.set(slice.inputIds, first);
    for (let token = 0; token < count; token++) slots[first + token] = sequence.slot(start + token);
    slice.positionIds.forEach((axis, a) => {
      positionIds[a]?.set(axis, first);
    });
    cuSeqlens[index + 1] = first + count;
    contextLens[index] = start + count;
    blockTable.set(sequence.blockTable, index * blocks);
    if (!slice.features) return;
    featureSources.set(slice.features.sources, firstFeature);
    for (const row of slice.features.rows) featureRows[firstFeature++] = first + row;
  });
  return {
    inputIds,
    slots,
    ...rotary(positionIds),
    cuSeqlens,
    contextLens,
    blockTable,
    featureSources,
    featureRows,
  };
}

/** Sizes of these inputs, as programs over the paged cache name them; of the feature slab and the pool's pages too. */
export function stepSymbols(inputs: ReturnType<typeof stepInputs>, pages: number, slab: number) {
  const sequences = inputs.contextLens.length;
  return {
    tokens: inputs.inputIds.length,
    sequences,
    blocks: inputs.blockTable.length / sequences,
    pages,
    slab,
    features: inputs.featureRows.length,
  };
}
