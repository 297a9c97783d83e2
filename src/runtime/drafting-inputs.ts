/** What the decoder's program that drafts reads beside the decoder's own inputs, and what its drafts are drafts of. */
import { MOST_MTP_DRAFTS } from "../models/mtp.ts";
import type { PositionIds } from "../mrope/positions.ts";
import type { textRotary } from "../mrope/rotary.ts";
import type { SamplingRow } from "./sampling-rows.ts";
import type { SliceFeatures, StepRows, stepInputs } from "./step-inputs.ts";

/** What drafts are made of, and chosen by. */
export interface Drafting {
  /** The id behind the slice, of one that chooses no token: a prompt that goes on. */
  readonly nextId?: number | undefined;
  /** Features as the slice has them, each for the row before. */
  readonly features?: SliceFeatures | undefined;
  /** Most drafts; 0 reads the rows for later ones. */
  readonly most: number;
  /** What the tokens behind the first one that is chosen are drafted by: draws of their own, and the settings of the first. */
  readonly sampling: readonly Pick<SamplingRow, "settings" | "choices">[];
}

export interface DraftedSlice extends StepRows {
  readonly drafting?: Drafting | undefined;
  /** Where its chosen rows begin among those of the step, and how many they are: its last ones. */
  readonly firstChosen: number;
  readonly numChosen: number;
}

/** Slices that are drafted for, by draft: number j of those that have at least j. */
export type DraftedFor = readonly (readonly number[])[];

/** As many drafts of each as were asked for and as there is room for behind all its rows; none where nothing is chosen. */
export function draftedFor(slices: readonly DraftedSlice[]): DraftedFor {
  const counts = slices.map(({ sequence, start, inputIds, drafting, numChosen }) =>
    numChosen === 0
      ? 0
      : Math.min(drafting?.most ?? 0, sequence.capacity - start - inputIds.length + 1, MOST_MTP_DRAFTS),
  );
  return Array.from({ length: MOST_MTP_DRAFTS }, (_, draft) =>
    [...slices.keys()].filter((slice) => (counts[slice] as number) > draft),
  );
}

/**
 * @param inputs of the slices
 * @param numChosen rows of the step for which a token is chosen
 */
export function draftingInputs(
  slices: readonly DraftedSlice[],
  drafted: DraftedFor,
  inputs: ReturnType<typeof stepInputs>,
  numChosen: number,
  hiddenSize: number,
  rotary: ReturnType<typeof textRotary>,
): Record<string, Int32Array | Float32Array> {
  const [ofFirst] = drafted as [readonly number[]];
  const found: Record<string, Int32Array | Float32Array> = {
    ...nextInputs(slices, inputs, hiddenSize),
    guesses: byChosenRow(slices, numChosen, 1, ({ inputIds }, row) => [inputIds[row + 1] ?? -1]),
    firstChosen: Int32Array.from(ofFirst, (slice) => slices[slice]?.firstChosen as number),
  };
  for (const [index, members] of drafted.entries()) {
    const j = index + 1;
    found[`plain.${j}`] = new Int32Array(members.length).fill(-1);
    found[`settings.${j}`] = Float32Array.from(
      members.flatMap((slice) => slices[slice]?.drafting?.sampling[0]?.settings ?? []),
    );
    found[`choices.${j}`] = byChosenRow(slices, numChosen, 2, ({ drafting }, _, place) => [
      ...(drafting?.sampling[place + index]?.choices ?? [0, 0]),
    ]);
    if (index > 0) Object.assign(found, placesOf(slices, drafted, index, inputs, numChosen, rotary));
  }
  return found;
}

/** Of what is behind each row of the step. */
function nextInputs(
  slices: readonly DraftedSlice[],
  { cuSeqlens, inputIds }: ReturnType<typeof stepInputs>,
  hiddenSize: number,
) {
  const nextIds = new Int32Array(inputIds.length);
  nextIds.set(inputIds.subarray(1));
  const sources: number[] = [];
  const rows: number[] = [];
  const firstRows: number[] = [];
  for (const [index, { start, drafting }] of slices.entries()) {
    const first = cuSeqlens[index] as number;
    nextIds[(cuSeqlens[index + 1] as number) - 1] = drafting?.nextId ?? -1;
    sources.push(...(drafting?.features?.sources ?? []));
    for (const row of drafting?.features?.rows ?? []) rows.push(first + row);
    if (start === 0) firstRows.push(first);
  }
  return {
    nextIds,
    nextFeatureSources: Int32Array.from(sources),
    nextFeatureRows: Int32Array.from(rows),
    zeros: new Float32Array(firstRows.length * hiddenSize),
    firstRows: Int32Array.from(firstRows),
  };
}

/** Where the draft behind draft `index` is read: by chosen row, as if that were the last true one. */
function placesOf(
  slices: readonly DraftedSlice[],
  drafted: DraftedFor,
  index: number,
  { blockTable, contextLens }: ReturnType<typeof stepInputs>,
  numChosen: number,
  rotary: ReturnType<typeof textRotary>,
) {
  const [before, members] = [drafted[index - 1], drafted[index]] as [readonly number[], readonly number[]];
  const j = index + 1;
  const blocks = blockTable.length / contextLens.length;
  const table = new Int32Array(members.length * blocks);
  members.forEach((slice, at) => {
    table.set(blockTable.subarray(slice * blocks, (slice + 1) * blocks), at * blocks);
  });
  // Drafts are text: the same position on all axes.
  const axis = byChosenRow(slices, numChosen, 1, ({ positionIds }, row) => [
    (positionIds[0][row] as number) + index,
  ]);
  const positionIds: PositionIds = [axis, axis, axis];
  const { cos, sin } = rotary(positionIds);
  return {
    [`draftOf.${j}`]: Int32Array.from(members, (slice) => before.indexOf(slice)),
    [`slots.${j}`]: byChosenRow(slices, numChosen, 1, ({ sequence, start }, row) => {
      const place = start + row + index;
      return [place < sequence.capacity ? sequence.slot(place) : -1];
    }),
    [`lengths.${j}`]: byChosenRow(slices, numChosen, 1, ({ start }, row) => [start + row + index + 1]),
    [`cos.${j}`]: cos,
    [`sin.${j}`]: sin,
    [`blockTable.${j}`]: table,
    [`cuSeqlens.${j}`]: Int32Array.from({ length: members.length + 1 }, (_, at) => at),
  };
}

/** `width` numbers for each chosen row: of a slice, its row, and the place of that among the chosen ones. */
function byChosenRow(
  slices: readonly DraftedSlice[],
  numChosen: number,
  width: number,
  numbers: (slice: DraftedSlice, row: number, place: number) => readonly number[],
): Int32Array {
  const all = new Int32Array(numChosen * width);
  for (const slice of slices) {
    const first = slice.inputIds.length - slice.numChosen;
    for (let place = 0; place < slice.numChosen; place++) {
      all.set(numbers(slice, first + place, place), (slice.firstChosen + place) * width);
    }
  }
  return all;
}

/** Sizes of these inputs, as the program names them. */
export function draftingSymbols(
  inputs: ReturnType<typeof draftingInputs>,
  drafted: DraftedFor,
): Record<string, number> {
  return {
    nextFeatures: inputs.nextFeatureRows?.length ?? 0,
    firsts: inputs.firstRows?.length ?? 0,
    ...Object.fromEntries(drafted.map((members, index) => [`drafts.${index + 1}`, members.length])),
  };
}

/** Where the drafts are written to. */
export function draftOutputs(drafted: DraftedFor): Record<string, Int32Array> {
  return Object.fromEntries(
    drafted.map((members, index) => [`drafts.${index + 1}`, new Int32Array(members.length)]),
  );
}

/** The drafts of a slice, up to where there was nothing to choose from. */
export function draftsOf(slice: number, drafted: DraftedFor, outputs: Record<string, Int32Array>): number[] {
  const drafts = drafted.flatMap((members, index) => {
    const at = members.indexOf(slice);
    return at < 0 ? [] : [outputs[`drafts.${index + 1}`]?.[at] as number];
  });
  const end = drafts.indexOf(-1);
  return end < 0 ? drafts : drafts.slice(0, end);
}
