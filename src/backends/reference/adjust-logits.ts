/** adjust_logits: what requests ask of single tokens, and masks, done to copies of logits in float32. */
import { checkedIndex, type Kernel, type Kernels } from "./kernel.ts";

const f32 = Math.fround;

const adjustLogits: Kernel<"adjust_logits"> = (
  { logits, rows, ids, changes, cuIds, masks, maskOf },
  { adjusted },
) => {
  const v = logits.cols;
  const [row, mask] = [new Float32Array(v), new Int32Array(masks.cols)];
  const sources = rows.toInt32();
  const tokens = ids.toInt32();
  const bounds = cuIds.toInt32();
  const words = masks.toInt32();
  const masksOf = maskOf.toInt32();
  const changesOf = changes.toFloat32();
  for (const source of sources) checkedIndex("adjust_logits", "row", source, logits.rows);
  for (const id of tokens) if (id !== -1) checkedIndex("adjust_logits", "token", id, v);
  for (const bound of bounds) checkedIndex("adjust_logits", "cuIds", bound, tokens.length + 1);
  for (const index of masksOf) if (index !== -1) checkedIndex("adjust_logits", "mask", index, masks.rows);
  sources.forEach((source, a) => {
    logits.readRow(source, row);
    const changed = new Map<number, number>();
    for (let j = bounds[a] as number; j < (bounds[a + 1] as number); j++) {
      const id = tokens[j] as number;
      if (id < 0) continue;
      const [factor, addend] = [changesOf[2 * j] as number, changesOf[2 * j + 1] as number];
      const logit = row[id] as number;
      changed.set(id, f32(f32(logit > 0 ? logit / factor : logit * factor) + addend));
    }
    for (const [id, logit] of changed) row[id] = logit;
    const index = masksOf[a] as number;
    if (index >= 0) {
      mask.set(words.subarray(index * mask.length, (index + 1) * mask.length));
      for (let token = 0; token < v; token++) {
        if (!allows(mask, token)) row[token] = Number.NEGATIVE_INFINITY;
      }
    }
    adjusted.writeRow(a, row);
  });
};

/** Whether a mask's bit of a token is set. */
function allows(mask: ArrayLike<number>, token: number): boolean {
  return (((mask[token >>> 5] as number) >>> (token & 31)) & 1) === 1;
}

export const adjustLogitsKernels = {
  adjust_logits: adjustLogits,
} satisfies Kernels;
