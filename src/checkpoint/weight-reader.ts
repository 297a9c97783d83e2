/** Reads one weight's rows from wherever its tensors lie, straight into the caller's memory where the layout allows. */
import { throwIfAborted } from "../errors.ts";
import type { WeightSource, WeightSpec } from "../graph/weight-spec.ts";
import { toFloat32 } from "../tensor/convert.ts";
import { hostArray, type WeightDType } from "../tensor/dtype.ts";
import { countNotFinite } from "../tensor/finite.ts";
import { storageBytes } from "../tensor/storage.ts";
import type { CheckpointFiles } from "./files.ts";
import type { StoredTensor } from "./safetensors.ts";

export interface ResolvedSource {
  readonly tensor: StoredTensor;
  readonly dtype: WeightDType;
  readonly layout: WeightSource["layout"];
  readonly scale?: number | undefined;
}

/** A tensor of a checkpoint that holds NaN or infinity. */
export interface NotFiniteTensor {
  readonly tensor: string;
  readonly file: string;
}

/** Bytes of one read; the staging of rows that must be reordered or widened is no larger (or one row, if that is). */
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
      const sourceRows = source.tensor.shape[0] ?? 1;
      const from = Math.max(first, sourceStart);
      const to = Math.min(first + count, sourceStart + sourceRows);
      if (from < to) {
        const target = into.subarray((from - first) * rowBytes, (to - first) * rowBytes);
        await this.#readSource(source, from - sourceStart, to - from, target, signal);
      }
      sourceStart += sourceRows;
    }
  }

  /** The first of its tensors with a value that is NaN or infinite, once somebody found that there is one. */
  async findNotFinite(): Promise<NotFiniteTensor | null> {
    for (const { tensor, dtype } of this.#sources) {
      const rows = tensor.shape[0] ?? 1;
      const rowBytes = storageBytes(dtype, 1, this.cols);
      const batchRows = Math.max(1, Math.floor(BATCH / Math.max(1, rowBytes)));
      const stored = new Uint8Array(Math.min(rows, batchRows) * rowBytes);
      for (let row = 0; row < rows; row += batchRows) {
        const batch = stored.subarray(0, Math.min(batchRows, rows - row) * rowBytes);
        await this.#files.readInto(tensor.file, tensor.offset + row * rowBytes, batch);
        if (countNotFinite(dtype, batch) > 0) return { tensor: tensor.name, file: tensor.file };
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
    const { scale } = source;
    const inPlace = source.layout === "rows" && source.dtype === this.dtype && scale === undefined;
    const storedRowBytes = storageBytes(source.dtype, 1, this.cols);
    const rowBytes = into.length / count;
    const batchRows = Math.max(1, Math.floor(BATCH / Math.max(1, storedRowBytes)));
    const staging = inPlace ? null : hostArray(source.dtype, Math.min(batchRows, count) * this.cols);
    for (let row = 0; row < count; row += batchRows) {
      throwIfAborted(signal);
      const rows = Math.min(batchRows, count - row);
      const target = into.subarray(row * rowBytes, (row + rows) * rowBytes);
      const stored = staging ? new Uint8Array(staging.buffer, 0, rows * storedRowBytes) : target;
      const offset = source.tensor.offset + (first + row) * storedRowBytes;
      await this.#files.readInto(source.tensor.file, offset, stored, signal);
      if (staging) this.#place(source, stored, target, rows);
    }
  }

  /** Reorders, widens and scales staged rows into the caller's memory. */
  #place(
    { tensor, dtype, layout, scale }: ResolvedSource,
    stored: Uint8Array,
    target: Uint8Array,
    rows: number,
  ): void {
    let values = elements(stored, dtype);
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

function elements(bytes: Uint8Array, dtype: WeightDType): Float32Array | Uint16Array {
  const { buffer, byteOffset, length } = bytes;
  return dtype === "f32"
    ? new Float32Array(buffer, byteOffset, length / Float32Array.BYTES_PER_ELEMENT)
    : new Uint16Array(buffer, byteOffset, length / Uint16Array.BYTES_PER_ELEMENT);
}
