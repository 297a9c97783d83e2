/** Device memory of the reference backend: host arrays in their storage dtype, with a count of live bytes. */
import { GlimtError } from "../../errors.ts";
import { type DType, type HostArray, hostArray } from "../../tensor/dtype.ts";
import { storageBytes } from "../../tensor/storage.ts";
import type { DeviceTensor } from "../backend.ts";

export class ReferenceTensor implements DeviceTensor {
  readonly dtype: DType;
  readonly rows: number;
  readonly cols: number;
  readonly layout = "plain";
  readonly bytes: number;
  readonly data: HostArray;

  constructor(dtype: DType, rows: number, cols: number) {
    this.dtype = dtype;
    this.rows = rows;
    this.cols = cols;
    this.bytes = storageBytes(dtype, rows, cols);
    this.data = allocateArray(dtype, rows * cols);
  }
}

/** The tensors an engine owns, and the arena of a run while it lasts. */
export class Memory {
  readonly #tensors = new Set<DeviceTensor>();
  #liveBytes = 0;

  get liveBytes(): number {
    return this.#liveBytes;
  }

  allocate(dtype: DType, rows: number, cols: number): ReferenceTensor {
    const tensor = new ReferenceTensor(dtype, rows, cols);
    this.#tensors.add(tensor);
    this.#liveBytes += tensor.bytes;
    return tensor;
  }

  free(tensor: DeviceTensor): void {
    this.owned(tensor);
    this.#tensors.delete(tensor);
    this.#liveBytes -= tensor.bytes;
  }

  /** @throws DISPOSED when the tensor was freed or belongs to another engine. */
  owned(tensor: DeviceTensor): ReferenceTensor {
    if (tensor instanceof ReferenceTensor && this.#tensors.has(tensor)) return tensor;
    throw new GlimtError("DISPOSED", "The tensor was freed, or belongs to another engine.");
  }

  /** Memory for temporaries, filled with ones (NaN in every float type) so that reading too early shows. */
  async withArena<T>(
    bytesOfSlots: readonly number[],
    use: (slots: readonly ArrayBuffer[]) => Promise<T>,
  ): Promise<T> {
    const slots = bytesOfSlots.map((bytes) => {
      const words = allocateArray("i32", Math.ceil(bytes / 4)) as Int32Array<ArrayBuffer>;
      return words.fill(-1).buffer;
    });
    const total = slots.reduce((sum, slot) => sum + slot.byteLength, 0);
    this.#liveBytes += total;
    try {
      return await use(slots);
    } finally {
      this.#liveBytes -= total;
    }
  }

  freeAll(): void {
    for (const tensor of [...this.#tensors]) this.free(tensor);
  }
}

function allocateArray(dtype: DType, length: number): HostArray {
  try {
    return hostArray(dtype, length);
  } catch (cause) {
    const bytes = storageBytes(dtype, 1, length);
    throw new GlimtError("OUT_OF_MEMORY", `The reference backend could not allocate ${bytes} bytes.`, {
      cause,
    });
  }
}
