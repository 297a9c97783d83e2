/** Whether a prompt's tokens stand for the pictures and videos that its markers were put there for. */
import { GlimtError } from "../errors.ts";
import { type GridThw, numMergedTokens } from "../processor/grid.ts";

export interface MarkedMedia {
  /** The marker of each in the rendered prompt, and the grids in the order of the markers. */
  readonly image: { readonly marker: string; readonly gridThw: readonly GridThw[] };
  readonly video: { readonly marker: string; readonly gridThw: readonly GridThw[] };
  readonly mergeSize: number;
}

/**
 * A picture counts as a video's frame by the tokens around it, so text that holds such a token would make one of the other.
 *
 * @param rendered the prompt with one marker a picture or video
 * @param mmTokenTypeIds of its tokens
 * @throws INPUT_INVALID
 */
export function checkMediaOrder(
  rendered: string,
  mmTokenTypeIds: Int32Array,
  { image, video, mergeSize }: MarkedMedia,
): void {
  const found = mmTokenTypeIds.filter((type) => type !== 0);
  let at = 0;
  for (const { type, gridThw } of inOrder(rendered, image, video)) {
    const end = at + numMergedTokens(gridThw, mergeSize);
    for (; at < end; at++) if (found[at] !== type) throw mixedUp();
  }
  if (at !== found.length) throw mixedUp();
}

function inOrder(rendered: string, image: MarkedMedia["image"], video: MarkedMedia["video"]) {
  const places = [image, video].flatMap(({ marker, gridThw }, index) => {
    let start = -1;
    return gridThw.map((grid) => {
      start = rendered.indexOf(marker, start + 1);
      return { start, type: index + 1, gridThw: grid };
    });
  });
  return places.sort((a, b) => a.start - b.start);
}

function mixedUp(): GlimtError {
  return new GlimtError(
    "INPUT_INVALID",
    "The prompt's tokens do not stand for its pictures and videos in their order. Text that holds <|begin_of_video|>, " +
      '<|end_of_video|> or the token of a picture does this; with specialTokensInText: "text" it is plain text.',
  );
}
