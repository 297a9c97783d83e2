/** Attention: softmax(scale q kᵀ) v in float64, one query row and head at a time. */
import { attendBlocks } from "./block-attention.ts";
import { blockRows, partOf } from "./block-product.ts";
import { checkedIndex, type Kernel, type Kernels } from "./kernel.ts";
import { cacheColumn } from "./kv-cache.ts";
import { dot } from "./linear.ts";

/** Of blocks that are one group, and without minima. */
const NO_CODES = {
  scaleCodes: new Int8Array(0),
  minima: new Float32Array(0),
  minimumCodes: new Uint8Array(0),
};

const attentionVarlen: Kernel<"attention_varlen"> = (
  { q, k, v, cuSeqlens },
  { y },
  { numHeads, headDim, scale },
) => {
  const bounds = cuSeqlens.toInt32();
  for (let run = 0; run + 1 < bounds.length; run++) {
    const end = checkedIndex("attention_varlen", "cuSeqlens", bounds[run + 1], q.rows + 1);
    const first = checkedIndex("attention_varlen", "cuSeqlens", bounds[run], end + 1);
    const count = end - first;
    for (let head = 0; head < numHeads; head++) {
      const column = head * headDim;
      const gather = (operand: typeof k) => {
        const rows = new Float32Array(count * headDim);
        for (let i = 0; i < count; i++) operand.readPart(first + i, column, headDim, rows, i * headDim);
        return rows;
      };
      const queries = gather(q);
      const keys = gather(k);
      const values = gather(v);
      for (let i = 0; i < count; i++) {
        const query = queries.subarray(i * headDim, (i + 1) * headDim);
        y.writePart(first + i, column, headDim, attend(query, keys, values, count, scale));
      }
    }
  }
};

const attentionPaged: Kernel<"attention_paged"> = (
  { q, cache, blockTable, cuSeqlens, contextLens },
  { y },
  attrs,
) => {
  const { numHeads, numKvHeads, headDim, pageSize, scale } = attrs;
  const bounds = cuSeqlens.toInt32();
  const lengths = contextLens.toInt32();
  const blocks = blockTable.toInt32();
  const group = numHeads / numKvHeads;
  const query = new Float32Array(headDim);
  for (let sequence = 0; sequence < lengths.length; sequence++) {
    const end = checkedIndex("attention_paged", "cuSeqlens", bounds[sequence + 1], q.rows + 1);
    const first = checkedIndex("attention_paged", "cuSeqlens", bounds[sequence], end + 1);
    const length = lengths[sequence] as number;
    if (end - first === 0) continue;
    checkedIndex("attention_paged", "the query count of a context", end - first, length + 1);
    checkedIndex("attention_paged", "context length", length, blockTable.cols * pageSize + 1);
    const forPlaces = (part: "k" | "v", kvHead: number, visit: CacheVisit) => {
      for (let position = 0; position < length; position++) {
        const block = blocks[sequence * blockTable.cols + Math.floor(position / pageSize)];
        const page = checkedIndex("attention_paged", "page", block, cache.rows);
        visit(position, page, cacheColumn(attrs, part, kvHead, position % pageSize));
      }
    };
    const gather = (part: "k" | "v", kvHead: number) => {
      const rows = new Float32Array(length * headDim);
      forPlaces(part, kvHead, (position, page, column) =>
        cache.readPart(page, column, headDim, rows, position * headDim),
      );
      return rows;
    };
    const gatherBlocks = (part: "k" | "v", kvHead: number) => {
      const rows = blockRows(length, headDim);
      forPlaces(part, kvHead, (position, page, column) => {
        const [quants, scales] = partOf(rows, position);
        cache.readBlocksPart(page, column, headDim, { quants, scales, ...NO_CODES });
      });
      return rows;
    };
    /** The attention of a query over the first keys of a head. */
    const attention = (kvHead: number): ((query: Float32Array, visible: number) => ArrayLike<number>) => {
      if (cache.blockFormat) {
        const [keys, values] = [gatherBlocks("k", kvHead), gatherBlocks("v", kvHead)];
        return (query, visible) => attendBlocks(query, keys, values, visible, scale);
      }
      const [keys, values] = [gather("k", kvHead), gather("v", kvHead)];
      return (query, visible) => attend(query, keys, values, visible, scale);
    };
    for (let kvHead = 0; kvHead < numKvHeads; kvHead++) {
      const attendTo = attention(kvHead);
      for (let row = first; row < end; row++) {
        const visible = length - (end - first) + (row - first) + 1;
        for (let head = kvHead * group; head < (kvHead + 1) * group; head++) {
          q.readPart(row, head * headDim, headDim, query);
          y.writePart(row, head * headDim, headDim, attendTo(query, visible));
        }
      }
    }
  }
};

/** A key or value of the cache: its position, and its page and column there. */
type CacheVisit = (position: number, page: number, column: number) => void;

/** The attention of one query over the first `count` rows of keys and values ([count, headDim] each). */
function attend(
  query: Float32Array,
  keys: Float32Array,
  values: Float32Array,
  count: number,
  scale: number,
): Float64Array {
  const size = query.length;
  const scores = new Float64Array(count);
  let highest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const score = scale * dot(query, 0, keys, i * size, size);
    scores[i] = score;
    // Not Math.max only: a NaN score must reach the output.
    if (!(score <= highest)) highest = score;
  }
  const mixed = new Float64Array(size);
  let total = 0;
  for (let i = 0; i < count; i++) {
    const weight = Math.exp((scores[i] as number) - highest);
    total += weight;
    for (let c = 0; c < size; c++)
      mixed[c] = (mixed[c] as number) + weight * (values[i * size + c] as number);
  }
  return mixed.map((value) => value / total);
}

export const attentionKernels = {
  attention_varlen: attentionVarlen,
  attention_paged: attentionPaged,
} satisfies Kernels;
