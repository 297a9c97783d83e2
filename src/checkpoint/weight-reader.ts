/** Reads one weight's rows from wherever its tensors lie, straight into the caller's memory where the layout allows. */
import { throwIfAborted } from "../errors.ts";
import {
  type IndexRange,
  sourceRectangle,
  type WeightSource,
  type WeightSpec,
} from "../graph/weight-spec.ts";
import { fitsInto8Bits, into8Bits } from "../tensor/blocks.ts";
import { countNotFiniteRows, rowElements, widenRows } from "../tensor/rows.ts";
import { holdsColumns, isGroupedFormat, storageBytes, type WeightFormat } from "../tensor/storage.ts";
import type { FileRange } from "./files.ts";
import type { StoredWeight } from "./stored-weight.ts";

export interface ResolvedSource extends Omit<WeightSource, "tensor" | "shape"> {
  readonly tensor: StoredWeight;
}

/** Where the first element that it uses lies in its file, if they lie there one after another. */
export function sourceOffset(source: ResolvedSource): number {
  const { offset, bytes, shape } = source.tensor;
  const { rows, cols, tensorCols } = rectangleOf(source);
  const elements = (shape[0] ?? 1) * tensorCols;
  return offset + (bytes * (rows.first * tensorCols + cols.first)) / Math.max(1, elements);
}

/** A tensor of a checkpoint that holds NaN or infinity. */
export interface NotFiniteTensor {
  readonly tensor: string;
  readonly file: string;
}

/** Bytes of one read; the staging of rows that must be cut, reordered or widened is no larger (or one row, if that is). */
const BATCH = 4 << 20;

export class WeightReader {
  readonly spec: WeightSpec;
  /**
   * What `readRows` hands out: the tensors' common format, or f32 where they differ (widening is exact) or are scaled.
   * Blocks are handed out for a weight that is stored in just these, or in 8 bits that hold them.
   */
  readonly dtype: WeightFormat;
  readonly rows: number;
  readonly cols: number;
  /** Of the first byte, all weight files laid end to end: reading in this order goes through them once. */
  readonly position: number;
  readonly #sources: readonly ResolvedSource[];

  constructor(spec: WeightSpec, sources: readonly ResolvedSource[], position: number) {
    this.spec = spec;
    this.dtype = commonFormat(spec, sources);
    this.rows = spec.shape[0] ?? 1;
    this.cols = spec.shape.slice(1).reduce((product, size) => product * size, 1);
    this.position = position;
    const areWide = !isGroupedFormat(this.dtype);
    this.#sources = areWide ? sources.map(exactly) : sources;
  }

  /** Of all rows, in `dtype`. */
  get bytes(): number {
    return storageBytes(this.dtype, this.rows, this.cols);
  }

  /** About what reading all rows reads: whole rows of its tensors, one after another where they lie so. */
  get ranges(): FileRange[] {
    return this.#sources.map(({ tensor, ...source }) => {
      const { rows } = rectangleOf({ ...source, tensor });
      const rowBytes = tensor.bytes / Math.max(1, tensor.shape[0] ?? 1);
      const [first, end] = [rows.first * rowBytes, (rows.first + rows.count) * rowBytes].map(Math.floor);
      return {
        file: tensor.file,
        offset: tensor.offset + (first as number),
        bytes: (end as number) - (first as number),
      };
    });
  }

  /**
   * Fills `into` with rows [first, first + count), row-major, little-endian, in `dtype`. `into` holds exactly
   * count * cols elements and starts at a multiple of their size. The memory must not be moved while this runs.
   * @throws CHECKPOINT_INVALID, ABORTED. Values may be NaN or infinite: who stores them counts those.
   */
  async readRows(first: number, count: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    const rowBytes = storageBytes(this.dtype, 1, this.cols);
    if (first < 0 || first + count > this.rows || into.length !== count * rowBytes) {
      throw new RangeError(
        `${this.spec.name}: rows ${first} to ${first + count} of ${this.rows}, ${into.length} bytes for them`,
      );
    }
    let sourceStart = 0;
    for (const source of this.#sources) {
      const sourceRows = rectangleOf(source).rows.count;
      const from = Math.max(first, sourceStart);
      const to = Math.min(first + count, sourceStart + sourceRows);
      if (from < to) {
        const target = into.subarray((from - first) * rowBytes, (to - first) * rowBytes);
        await this.#readSource(source, from - sourceStart, to - from, target, signal);
      }
      sourceStart += sourceRows;
    }
  }

  /** The first of its tensors with a value among those used that is NaN or infinite, once somebody found that there is one. */
  async findNotFinite(signal?: AbortSignal): Promise<NotFiniteTensor | null> {
    for (const source of this.#sources) {
      const { name, file } = source.tensor;
      const { rows } = rectangleOf(source);
      const staging = new Staging(source, rows.count);
      for (let row = 0; row < rows.count; row += staging.rows) {
        const count = Math.min(staging.rows, rows.count - row);
        const { format, bytes } = await staging.read(row, count, signal);
        if (countNotFiniteRows(format, bytes) > 0) return { tensor: name, file };
      }
    }
    return null;
  }

  async #readSource(
    source: ResolvedSource,
    first: number,
    count: number,
    into: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { tensor, layout, scale } = source;
    const { rows, cols, tensorCols } = rectangleOf(source);
    const isAsRead = tensor.format === this.dtype && scale === undefined;
    const inPlace = layout === "rows" && isAsRead && cols.count === tensorCols;
    const rowBytes = into.length / count;
    const batchRows = batchOf(source);
    const staging = inPlace ? null : new Staging(source, count);
    for (let row = 0; row < count; row += batchRows) {
      throwIfAborted(signal);
      const some = Math.min(batchRows, count - row);
      const target = into.subarray(row * rowBytes, (row + some) * rowBytes);
      if (staging) this.#place(source, await staging.read(first + row, some, signal), target, some);
      else await tensor.readRows(rows.first + first + row, some, target, signal);
    }
  }

  /** Reorders, widens and scales staged rows into the caller's memory. */
  #place({ tensor, layout, scale }: ResolvedSource, staged: Rows, target: Uint8Array, rows: number): void {
    const { format } = staged;
    if (isGroupedFormat(this.dtype)) {
      target.set(
        fitsInto8Bits(format) && this.dtype === "q8" ? into8Bits(format, staged.bytes) : staged.bytes,
      );
      return;
    }
    const isWide = isGroupedFormat(format) || format !== this.dtype || scale !== undefined;
    let values = isWide ? widenRows(format, staged.bytes) : rowElements(format, staged.bytes);
    if (scale !== undefined) values = values.map((value) => value * scale);
    const out = rowElements(this.dtype, target);
    if (layout === "rows") {
      out.set(values);
      return;
    }
    const [, channels = 1, height = 1, width = 1] = tensor.shape;
    const taps = height * width;
    for (let row = 0; row < rows; row++) {
      const start = row * this.cols;
      for (let channel = 0; channel < channels; channel++) {
        for (let tap = 0; tap < taps; tap++) {
          out[start + tap * channels + channel] = values[start + channel * taps + tap] as number;
        }
      }
    }
  }
}

interface Rows {
  readonly format: WeightFormat;
  readonly bytes: Uint8Array;
}

/** Memory for a batch of whole rows of a source's tensor, as it gives them. */
class Staging {
  readonly rows: number;
  readonly #source: ResolvedSource;
  readonly #bytes: Uint8Array;

  /** For at most `rows` rows at a time. */
  constructor(source: ResolvedSource, rows: number) {
    this.rows = Math.min(batchOf(source), rows);
    this.#source = source;
    this.#bytes = new Uint8Array(
      storageBytes(source.tensor.format, this.rows, rectangleOf(source).tensorCols),
    );
  }

  /** The columns used of rows [first, first + count) of those used; valid until the next call. */
  async read(first: number, count: number, signal?: AbortSignal): Promise<Rows> {
    const { tensor } = this.#source;
    const { rows, cols, tensorCols } = rectangleOf(this.#source);
    const bytes = this.#bytes.subarray(0, storageBytes(tensor.format, count, tensorCols));
    await tensor.readRows(rows.first + first, count, bytes, signal);
    const whole = { format: tensor.format, bytes };
    return cols.count === tensorCols ? whole : cutColumns(whole, count, cols, tensorCols);
  }
}

/** In place; columns that are no whole blocks are those of the widened rows. */
function cutColumns({ format, bytes }: Rows, rows: number, cols: IndexRange, tensorCols: number): Rows {
  if (!isWholeBlocks(format, cols)) {
    const { buffer } = widenRows(format, bytes);
    return cutColumns({ format: "f32", bytes: new Uint8Array(buffer) }, rows, cols, tensorCols);
  }
  const rowBytes = storageBytes(format, 1, tensorCols);
  const start = storageBytes(format, 1, cols.first);
  const length = storageBytes(format, 1, cols.count);
  for (let row = 0; row < rows; row++) {
    const from = row * rowBytes + start;
    bytes.copyWithin(row * length, from, from + length);
  }
  return { format, bytes: bytes.subarray(0, rows * length) };
}

function isWholeBlocks(format: WeightFormat, { first, count }: IndexRange): boolean {
  return holdsColumns(format, first) && holdsColumns(format, count);
}

/** What is not read for its blocks is read for its values. */
function exactly(source: ResolvedSource): ResolvedSource {
  return { ...source, tensor: source.tensor.exact ?? source.tensor };
}

function commonFormat(spec: WeightSpec, sources: readonly ResolvedSource[]): WeightFormat {
  const format = sources[0]?.tensor.format ?? "f32";
  const areInto8Bits = spec.dtype === "q8" && sources.every(({ tensor }) => fitsInto8Bits(tensor.format));
  const isCommon = sources.every(({ tensor, scale }) => tensor.format === format && scale === undefined);
  if (!isCommon) return "f32";
  if (!isGroupedFormat(format)) return format;
  const asBlocks = sources.every(
    (source) => source.layout === "rows" && isWholeBlocks(format, rectangleOf(source).cols),
  );
  return asBlocks && (spec.dtype === format || areInto8Bits) ? spec.dtype : "f32";
}

function rectangleOf(source: ResolvedSource): ReturnType<typeof sourceRectangle> {
  return sourceRectangle({ ...source, shape: source.tensor.shape });
}

function batchOf(source: ResolvedSource): number {
  const rowBytes = storageBytes(source.tensor.format, 1, rectangleOf(source).tensorCols);
  return Math.max(1, Math.floor(BATCH / Math.max(1, rowBytes)));
}
