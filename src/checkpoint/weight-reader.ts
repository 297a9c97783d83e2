/** Reads one weight's rows from wherever its tensors lie, straight into the caller's memory where the layout allows. */
import { throwIfAborted } from "../errors.ts";
import { sourceRectangle, type WeightSource, type WeightSpec } from "../graph/weight-spec.ts";
import { toFloat32 } from "../tensor/convert.ts";
import type { WeightDType } from "../tensor/dtype.ts";
import { countNotFinite } from "../tensor/finite.ts";
import { storageBytes } from "../tensor/storage.ts";
import type { CheckpointFiles } from "./files.ts";
import { ELEMENT_BYTES, type StoredTensor } from "./safetensors.ts";

export interface ResolvedSource extends Omit<WeightSource, "tensor" | "shape"> {
  readonly tensor: StoredTensor;
  /** What it is read as: its own type, or f32 for F64. */
  readonly dtype: WeightDType;
}

/** Where the first element that it uses lies in its file. */
export function sourceOffset(source: ResolvedSource): number {
  const { rows, cols, tensorCols } = rectangleOf(source);
  return source.tensor.offset + storedBytes(source, rows.first * tensorCols + cols.first);
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
  /** What `readRows` hands out: the tensors' common dtype, or f32 when they differ (widening is exact) or are scaled. */
  readonly dtype: WeightDType;
  readonly rows: number;
  readonly cols: number;
  /** Of the first byte, all weight files laid end to end: reading in this order goes through them once. */
  readonly position: number;
  readonly #files: CheckpointFiles;
  readonly #sources: readonly ResolvedSource[];

  constructor(
    files: CheckpointFiles,
    spec: WeightSpec,
    sources: readonly ResolvedSource[],
    position: number,
  ) {
    const [first] = sources;
    this.spec = spec;
    const asStored = sources.every(({ dtype, scale }) => dtype === first?.dtype && scale === undefined);
    this.dtype = first && asStored ? first.dtype : "f32";
    this.rows = spec.shape[0] ?? 1;
    this.cols = spec.shape.slice(1).reduce((product, size) => product * size, 1);
    this.position = position;
    this.#files = files;
    this.#sources = sources;
  }

  /** Of all rows, in `dtype`. */
  get bytes(): number {
    return storageBytes(this.dtype, this.rows, this.cols);
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
      const { tensor, dtype } = source;
      const { rows } = rectangleOf(source);
      const staging = new Staging(source, rows.count);
      for (let row = 0; row < rows.count; row += staging.rows) {
        const count = Math.min(staging.rows, rows.count - row);
        const values = await staging.read(this.#files, row, count, signal);
        if (countNotFinite(dtype, values) > 0) return { tensor: tensor.name, file: tensor.file };
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
    const { layout, dtype, scale } = source;
    const { cols, tensorCols } = rectangleOf(source);
    const isAsRead = dtype === this.dtype && scale === undefined && source.tensor.dtype !== "F64";
    const inPlace = layout === "rows" && isAsRead && cols.count === tensorCols;
    const rowBytes = into.length / count;
    const batchRows = batchOf(source);
    const staging = inPlace ? null : new Staging(source, count);
    for (let row = 0; row < count; row += batchRows) {
      throwIfAborted(signal);
      const rows = Math.min(batchRows, count - row);
      const target = into.subarray(row * rowBytes, (row + rows) * rowBytes);
      if (staging) {
        this.#place(source, await staging.read(this.#files, first + row, rows, signal), target, rows);
      } else {
        const offset = sourceOffset(source) + (first + row) * rowBytes;
        await this.#files.readInto(source.tensor.file, offset, target, signal);
      }
    }
  }

  /** Reorders, widens and scales staged rows into the caller's memory. */
  #place(
    { tensor, dtype, layout, scale }: ResolvedSource,
    stored: Float32Array | Uint16Array,
    target: Uint8Array,
    rows: number,
  ): void {
    let values = stored;
    if (dtype !== this.dtype) values = toFloat32(dtype, values);
    if (scale !== undefined) values = values.map((value) => value * scale);
    const out = elements(target, this.dtype);
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

/** Memory for a batch of whole rows of a source's tensor, as they are stored. */
class Staging {
  readonly rows: number;
  readonly #source: ResolvedSource;
  readonly #data: Float64Array | Float32Array | Uint16Array;

  /** For at most `rows` rows at a time. */
  constructor(source: ResolvedSource, rows: number) {
    this.rows = Math.min(batchOf(source), rows);
    this.#source = source;
    this.#data = storedArray(source, this.rows * rectangleOf(source).tensorCols);
  }

  /** The columns used of rows [first, first + count) of those used; valid until the next call. */
  async read(
    files: CheckpointFiles,
    first: number,
    count: number,
    signal?: AbortSignal,
  ): Promise<Float32Array | Uint16Array> {
    const { tensor } = this.#source;
    const { cols, tensorCols } = rectangleOf(this.#source);
    const data = this.#data;
    // From the first column used in the first row to the last one in the last.
    const bytes = storedBytes(this.#source, (count - 1) * tensorCols + cols.count);
    const offset = sourceOffset(this.#source) + storedBytes(this.#source, first * tensorCols);
    await files.readInto(tensor.file, offset, new Uint8Array(data.buffer, 0, bytes), signal);
    if (cols.count < tensorCols) {
      for (let row = 1; row < count; row++) {
        const start = row * tensorCols;
        data.copyWithin(row * cols.count, start, start + cols.count);
      }
    }
    const read = data.subarray(0, count * cols.count);
    return read instanceof Float64Array ? Float32Array.from(read) : read;
  }
}

function rectangleOf(source: ResolvedSource): ReturnType<typeof sourceRectangle> {
  return sourceRectangle({ ...source, shape: source.tensor.shape });
}

function batchOf(source: ResolvedSource): number {
  const rowBytes = storedBytes(source, rectangleOf(source).tensorCols);
  return Math.max(1, Math.floor(BATCH / Math.max(1, rowBytes)));
}

function elements(bytes: Uint8Array, dtype: WeightDType): Float32Array | Uint16Array {
  const { buffer, byteOffset, length } = bytes;
  return dtype === "f32"
    ? new Float32Array(buffer, byteOffset, length / Float32Array.BYTES_PER_ELEMENT)
    : new Uint16Array(buffer, byteOffset, length / Uint16Array.BYTES_PER_ELEMENT);
}

/** Of so many elements in their file. */
function storedBytes({ tensor }: ResolvedSource, elements: number): number {
  return elements * ELEMENT_BYTES[tensor.dtype];
}

function storedArray(
  { tensor, dtype }: ResolvedSource,
  length: number,
): Float64Array | Float32Array | Uint16Array {
  if (tensor.dtype === "F64") return new Float64Array(length);
  return dtype === "f32" ? new Float32Array(length) : new Uint16Array(length);
}
