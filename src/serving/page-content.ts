/** Rows of a page of the KV cache as numbers, and as the text that pages are found by. */

/** Of a row: its id, or which media it takes which feature of; and three positions. */
export const ROW_NUMBERS = 5;

/** What tells a request's rows from those of others with the same ids. */
export interface PageScope {
  /** The adapters it runs with, and their scales. */
  readonly adapters: string;
  /** Only requests with the same salt share pages. */
  readonly salt: string;
  /** Whether the layer that drafts has read the rows too: it has a part of each page, that others leave empty. */
  readonly withDrafter: boolean;
}

/**
 * @param numbers `ROW_NUMBERS` a row; the first is -1 - i for a row that takes a feature of the i-th of `media`, with the
 * feature's number behind it
 * @param media what tells each image and video from all others
 * @param scope of the first page; null for those behind it, which are found behind it alone
 */
export function contentText(numbers: Int32Array, media: readonly string[], scope: PageScope | null): string {
  // Which number a picture has in its prompt is no matter.
  const used: number[] = [];
  const own = numbers.slice();
  for (let at = 0; at < own.length; at += ROW_NUMBERS) {
    const item = -1 - (own[at] as number);
    if (item < 0) continue;
    if (!used.includes(item)) used.push(item);
    own[at] = -1 - used.indexOf(item);
  }
  const parts = scope ? [scope.adapters, scope.salt, scope.withDrafter] : [];
  // The numbers are as long for every page, and what is behind them is JSON: no two of them can be mistaken.
  return `${String.fromCharCode(...new Uint16Array(own.buffer))}${JSON.stringify([
    ...parts,
    ...used.map((item) => media[item]),
  ])}`;
}
