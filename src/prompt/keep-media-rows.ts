/** Leaves rows of images and videos out of a prompt, for pruning: fewer rows to read, everything else where it was. */
import { GlimtError } from "../errors.ts";
import type { PositionIds } from "../mrope/positions.ts";
import type { PlacedMedia, PromptLayout, PromptRows } from "./layout.ts";

/** Of each image and video of a layout, in order: not 0 for the features to keep; null or nothing keeps all. */
export type KeptMedia = readonly (ArrayLike<number> | null)[];

/**
 * The rows of a prompt that are left when only some features of its media are kept. Text always stays, with the marks
 * and timestamps around frames of which nothing is kept.
 *
 * Positions are those of vLLM's video pruning (EVS: multimodal/evs.py, recompute_mrope_positions): they are reckoned on
 * the unpruned prompt, and rows that are kept keep theirs on all three axes. So positions are not closed up inside a
 * picture, and text behind it goes on after its full extent, however little of it is kept. ropeDelta moves with the
 * number of rows left out, so that the continuation has the positions it has behind the unpruned prompt; vLLM's
 * max + 1 - length is the same for prompts that end in text. vLLM guesses the ids before it encodes and corrects them
 * afterwards; here they are made once, after encoding, so ids, features and positions always agree.
 *
 * Keeping everything gives the layout's own rows.
 *
 * @throws INPUT_INVALID when there are more masks than media, or a mask has another length than its features.
 */
export function keepMediaRows(layout: PromptLayout, kept: KeptMedia): PromptRows {
  const { inputIds, positionIds, features, ropeDelta } = layout;
  const isKept = new Uint8Array(inputIds.length).fill(1);
  checkMasks(layout, kept);
  for (const [index, media] of layout.media.entries()) {
    const mask = kept[index];
    if (mask) markRows(isKept, media, mask);
  }
  const rows = Int32Array.from(isKept.keys()).filter((row) => isKept[row] === 1);
  const axis = (values: Int32Array) => rows.map((row) => values[row] as number);
  return {
    inputIds: Array.from(rows, (row) => inputIds[row] as number),
    positionIds: positionIds.map(axis) as PositionIds,
    ropeDelta: ropeDelta + inputIds.length - rows.length,
    features: axis(features),
  };
}

/** Where the rows that are left of a layout stand among all of its rows. */
export function placesInLayout(layout: PromptLayout, { features }: Pick<PromptRows, "features">): Int32Array {
  const places = new Int32Array(features.length);
  let row = 0;
  for (const [index, feature] of features.entries()) {
    // Text always stays: only rows with another feature were left out before it.
    while (layout.features[row] !== feature) row += 1;
    places[index] = row++;
  }
  return places;
}

function markRows(isKept: Uint8Array, { spans }: PlacedMedia, mask: ArrayLike<number>): void {
  let feature = 0;
  for (const { start, length } of spans) {
    for (let row = start; row < start + length; row++) isKept[row] = mask[feature++] === 0 ? 0 : 1;
  }
}

function checkMasks({ media }: PromptLayout, kept: KeptMedia): void {
  if (kept.length > media.length) {
    throw new GlimtError(
      "INPUT_INVALID",
      `There are ${kept.length} masks of features to keep, but the prompt has ${media.length} images and videos.`,
    );
  }
  for (const [index, { type, gridThw, numFeatures }] of media.entries()) {
    const mask = kept[index];
    if (!mask || mask.length === numFeatures) continue;
    throw new GlimtError(
      "INPUT_INVALID",
      `The mask of ${type} ${index} has ${mask.length} entries, expected ${numFeatures} (from its grid ${gridThw.join(" x ")}).`,
    );
  }
}
