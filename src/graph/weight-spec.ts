/** What a graph asks of a checkpoint: a weight is the concatenation, by rows, of tensors or rectangles of them. */
import type { WeightFormat } from "../tensor/storage.ts";

/** `count` rows or columns from `first` on. */
export interface IndexRange {
  readonly first: number;
  readonly count: number;
}

export interface WeightSource {
  /** Published tensor name, e.g. "model.language_model.layers.0.self_attn.q_proj.weight". */
  readonly tensor: string;
  /** The shape it must have in the checkpoint; it is used as [shape[0], product of the rest]. */
  readonly shape: readonly number[];
  /** Its rows that are used; absent for all. */
  readonly rows?: IndexRange;
  /** Its columns that are used; absent for all, as they must be for "conv2x2". */
  readonly cols?: IndexRange;
  /** "conv2x2" reorders each row of an [out, in, kh, kw] kernel to (kh, kw, in), so that it is a linear on merged rows. */
  readonly layout: "rows" | "conv2x2";
  /** What its values are multiplied by, in float32; absent for 1. */
  readonly scale?: number;
}

export interface WeightSpec {
  /** Unique within a model; the name a program binds it by. */
  readonly name: string;
  /** [rows, cols], or [n] for a vector. */
  readonly shape: readonly number[];
  /** How it is stored on the device. Vectors are always f32. */
  readonly dtype: WeightFormat;
  readonly sources: readonly WeightSource[];
  /** Whose weight it is: absent for the model itself, or an adapter. Weights of different origins are never stacked. */
  readonly origin?: string;
  /** The rank of a device group that holds it; absent where there is one device. */
  readonly rank?: number;
}

/** The rows and columns of a weight that a part of it has; absent for all. */
export interface WeightRectangle {
  readonly rows?: IndexRange;
  readonly cols?: IndexRange;
}

/** Part of a weight, as a weight of its own: named after what it has. */
export function weightPart(spec: WeightSpec, { rows, cols }: WeightRectangle): WeightSpec {
  if (!rows && !cols) return spec;
  const [, ...others] = spec.shape;
  const width = cols ? [cols.count] : others;
  return {
    ...spec,
    name: `${spec.name}[${rows ? rangeText(rows) : ""}${cols ? `,${rangeText(cols)}` : ""}]`,
    shape: [rows?.count ?? (spec.shape[0] as number), ...width],
    sources: sourcesOfRows(spec, rows).map((source) => (cols ? columnsOf(source, cols) : source)),
  };
}

/** A copy that belongs to a rank of a device group. */
export function weightOfRank(spec: WeightSpec, rank: number): WeightSpec {
  return { ...spec, name: `${spec.name}@${rank}`, rank };
}

/** Those that give the rows, cut to them. */
function sourcesOfRows({ sources }: WeightSpec, rows: IndexRange | undefined): readonly WeightSource[] {
  if (!rows) return sources;
  let start = 0;
  return sources.flatMap((source) => {
    const { rows: all } = sourceRectangle(source);
    const from = Math.max(rows.first, start);
    const to = Math.min(rows.first + rows.count, start + all.count);
    const first = all.first + from - start;
    start += all.count;
    return from < to ? [{ ...source, rows: { first, count: to - from } }] : [];
  });
}

function columnsOf(source: WeightSource, { first, count }: IndexRange): WeightSource {
  return { ...source, cols: { first: sourceRectangle(source).cols.first + first, count } };
}

function rangeText({ first, count }: IndexRange): string {
  return `${first}..${first + count}`;
}

/** The rectangle of its tensor that a source uses, and how long the tensor's rows are. */
export function sourceRectangle({ shape, rows, cols }: Pick<WeightSource, "shape" | "rows" | "cols">): {
  readonly rows: IndexRange;
  readonly cols: IndexRange;
  readonly tensorCols: number;
} {
  const tensorCols = shape.slice(1).reduce((product, size) => product * size, 1);
  return {
    rows: rows ?? { first: 0, count: shape[0] ?? 1 },
    cols: cols ?? { first: 0, count: tensorCols },
    tensorCols,
  };
}
