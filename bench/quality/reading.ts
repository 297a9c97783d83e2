/** How well a model reads pictures whose text is known, as examples/demo/train/evaluate.py scores it. */

export interface ReadText {
  /** What stands in the picture. */
  readonly truth: string;
  readonly answer: string;
}

export interface ReadingScore {
  /** Share of pictures that were read without a mistake. */
  readonly exact: number;
  /** Share of characters that were read right: those of all pictures, less insertions, deletions and replacements. */
  readonly characters: number;
}

export function readingScore(texts: readonly ReadText[]): ReadingScore {
  let [exact, characters, wrong] = [0, 0, 0];
  for (const { truth, answer } of texts) {
    if (truth === answer) exact++;
    const length = [...truth].length;
    characters += length;
    wrong += Math.min(length, editDistance([...answer], [...truth]));
  }
  return { exact: exact / texts.length, characters: 1 - wrong / characters };
}

function editDistance(first: readonly string[], second: readonly string[]): number {
  let row = Array.from({ length: second.length + 1 }, (_, j) => j);
  for (const [i, left] of first.entries()) {
    const next = [i + 1];
    for (const [j, right] of second.entries()) {
      const replaced = (row[j] as number) + (left === right ? 0 : 1);
      next.push(Math.min((row[j + 1] as number) + 1, (next[j] as number) + 1, replaced));
    }
    row = next;
  }
  return row[second.length] as number;
}
