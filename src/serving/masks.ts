/** Bit masks of tokens, as `LogitAdjustments` has them. */
import { maskWords } from "../models/decoder.ts";
import type { LogitAdjustments } from "../runtime/sampling-rows.ts";

/** Allows these. */
export function maskOf(tokens: Iterable<number>, vocabSize: number): Int32Array {
  const mask = new Int32Array(maskWords(vocabSize));
  for (const token of tokens) mask[token >>> 5] = (mask[token >>> 5] as number) | (1 << (token & 31));
  return mask;
}

/** Allows what both allow; null allows all. */
export function masksBoth(a: Int32Array | null, b: Int32Array | null): Int32Array | null {
  return a && b ? a.map((word, index) => word & (b[index] as number)) : (a ?? b);
}

/** Whether a token is neither masked nor banned. */
export function isAnyLeft({ changes, mask }: LogitAdjustments, vocabSize: number): boolean {
  const left = new Set<number>();
  for (let token = 0; token < vocabSize; token++) {
    if (!mask || ((mask[token >>> 5] as number) >>> (token & 31)) & 1) left.add(token);
  }
  for (const { ids, values } of changes) {
    ids.forEach((token, index) => {
      // A later change of it may take a ban back; none does.
      if (values[2 * index + 1] === Number.NEGATIVE_INFINITY) left.delete(token);
    });
  }
  return left.size > 0;
}
