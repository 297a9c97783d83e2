/** attention_weights: how much a query row attends to each key of the paged cache, in float64, the mean over its heads. */
import { checkedIndex, type Kernel, type Kernels } from "./kernel.ts";
import { cacheColumn } from "./kv-cache.ts";
import { dot } from "./linear.ts";

const OP = "attention_weights";

const attentionWeights: Kernel<"attention_weights"> = (
  { q, cache, blockTable, sequences, lengths },
  { weights },
  attrs,
) => {
  const { numHeads, numKvHeads, headDim, pageSize, scale } = attrs;
  const [tables, counts, blocks] = [sequences.toInt32(), lengths.toInt32(), blockTable.toInt32()];
  const query = new Float32Array(headDim);
  for (let row = 0; row < q.rows; row++) {
    const table = checkedIndex(OP, "sequence", tables[row], blockTable.rows) * blockTable.cols;
    const count = checkedIndex(OP, "length", counts[row], blockTable.cols * pageSize + 1);
    const keys = new Float32Array(count * headDim);
    const sums = new Float64Array(weights.cols);
    for (let head = 0; head < numHeads; head++) {
      const kvHead = Math.floor(head / (numHeads / numKvHeads));
      for (let position = 0; position < count; position++) {
        const page = checkedIndex(OP, "page", blocks[table + Math.floor(position / pageSize)], cache.rows);
        const column = cacheColumn(attrs, "k", kvHead, position % pageSize);
        cache.readPart(page, column, headDim, keys, position * headDim);
      }
      q.readPart(row, head * headDim, headDim, query);
      addSoftmax(query, keys, count, scale, sums);
    }
    weights.writeRow(
      row,
      sums.map((sum) => sum / numHeads),
    );
  }
};

/** sums[i] += softmax(scale query keysᵀ)[i], i below `count`. */
function addSoftmax(
  query: Float32Array,
  keys: Float32Array,
  count: number,
  scale: number,
  sums: Float64Array,
): void {
  const size = query.length;
  const scores = Float64Array.from(
    { length: count },
    (_, key) => scale * dot(query, 0, keys, key * size, size),
  );
  const highest = scores.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY);
  const powers = scores.map((score) => Math.exp(score - highest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  for (let key = 0; key < count; key++) {
    sums[key] = (sums[key] as number) + (powers[key] as number) / total;
  }
}

export const attentionWeightsKernels = {
  attention_weights: attentionWeights,
} satisfies Kernels;
