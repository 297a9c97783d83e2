/** accept_drafts, follow_drafts: which guesses were right, and what is read behind them. */
import { checkedIndex, type Kernel, type Kernels } from "./kernel.ts";
import type { MatrixView } from "./matrix-view.ts";

const acceptDrafts: Kernel<"accept_drafts"> = (
  { tokens, guesses, firsts, rowOf, choicesOf },
  { accepted, rows, choices },
) => {
  const [chosen, guessed] = [tokens.toInt32(), guesses.toInt32()];
  const found = firsts.toInt32().map((first) => {
    let at = checkedIndex("accept_drafts", "row", first, chosen.length);
    while (at + 1 < chosen.length && (guessed[at] as number) >= 0 && guessed[at] === chosen[at]) at++;
    return at;
  });
  writeAll(accepted, found);
  writeAll(rows, entries(rowOf.toInt32(), found));
  writeAll(choices, entries(choicesOf.toInt32(), found, 2));
};

const followDrafts: Kernel<"follow_drafts"> = (
  { of, drafts, chosen, slotOf, lengthOf, cosOf, sinOf, choicesOf },
  { ids, accepted, slots, lengths, cos, sin, choices },
) => {
  const from = of.toInt32();
  for (const draft of from) checkedIndex("follow_drafts", "draft", draft, drafts.rows * drafts.cols);
  const found = entries(chosen.toInt32(), from);
  for (const at of found) checkedIndex("follow_drafts", "row", at, slotOf.rows * slotOf.cols);
  writeAll(ids, entries(drafts.toInt32(), from));
  writeAll(accepted, found);
  writeAll(slots, entries(slotOf.toInt32(), found));
  writeAll(lengths, entries(lengthOf.toInt32(), found));
  writeAll(choices, entries(choicesOf.toInt32(), found, 2));
  for (const [all, some] of [
    [cosOf, cos],
    [sinOf, sin],
  ] as const) {
    const row = new Float32Array(all.cols);
    found.forEach((at, index) => {
      all.readRow(at, row);
      some.writeRow(index, row);
    });
  }
};

function entries(values: Int32Array, at: Int32Array, width = 1): Int32Array {
  return Int32Array.from(
    { length: at.length * width },
    (_, index) => values[(at[Math.floor(index / width)] as number) * width + (index % width)] as number,
  );
}

/** Whichever way a vector lies. */
function writeAll(to: MatrixView, values: Int32Array): void {
  for (let row = 0; row < to.rows; row++) to.writeRow(row, values, row * to.cols);
}

export const draftsKernels = {
  accept_drafts: acceptDrafts,
  follow_drafts: followDrafts,
} satisfies Kernels;
