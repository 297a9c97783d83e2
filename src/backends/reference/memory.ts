/** Device memory of the reference backend: tensors as arrays of their dtype, weights as stored, with a count of live bytes. */
import { GlimtError } from "../../errors.ts";
import type { HostArray, TensorDType } from "../../tensor/dtype.ts";
import { storageBytes, type WeightFormat } from "../../tensor/storage.ts";
import type { DeviceTensor, DeviceWeight } from "../backend.ts";
import { notOwned, notTensor } from "../not-owned.ts";
import { OPEN_WEIGHT, type StoredWeight, typedArray, type WeightElements } from "./elements.ts";

export class ReferenceTensor implements DeviceTensor {
  readonly dtype: TensorDType;
  readonly rows: number;
  readonly cols: number;
  readonly bytes: number;
  readonly data: HostArray;

  constructor(dtype: TensorDType, rows: number, cols: number) {
    this.dtype = dtype;
    this.rows = rows;
    this.cols = cols;
    this.bytes = storageBytes(dtype, rows, cols);
    this.data = typedArray(dtype, allocateBytes(this.bytes));
  }
}

export class ReferenceWeight implements StoredWeight {
  readonly format: WeightFormat;
  readonly layout = "plain";
  readonly rows: number;
  readonly cols: number;
  readonly bytes: number;
  readonly stored: ArrayBuffer;
  readonly elements: WeightElements;

  /** @param weightOnly see Backend: its blocks are widened, whatever they meet. */
  constructor(format: WeightFormat, rows: number, cols: number, weightOnly = false) {
    this.format = format;
    this.rows = rows;
    this.cols = cols;
    this.bytes = storageBytes(format, rows, cols);
    this.stored = allocateBytes(this.bytes);
    const elements = OPEN_WEIGHT[format](this);
    this.elements = weightOnly ? { read: elements.read } : elements;
  }
}

/** The tensors and weights an engine owns, and the arena of a run while it lasts. */
export class Memory {
  readonly #owned = new Set<DeviceTensor | DeviceWeight>();
  readonly #weightOnly: boolean;
  #liveBytes = 0;

  constructor(weightOnly = false) {
    this.#weightOnly = weightOnly;
  }

  get liveBytes(): number {
    return this.#liveBytes;
  }

  allocate(dtype: TensorDType, rows: number, cols: number): ReferenceTensor {
    return this.#own(new ReferenceTensor(dtype, rows, cols));
  }

  allocateWeight(format: WeightFormat, rows: number, cols: number): ReferenceWeight {
    return this.#own(new ReferenceWeight(format, rows, cols, this.#weightOnly));
  }

  /** @throws DISPOSED when it was freed or belongs to another engine. */
  free(memory: DeviceTensor | DeviceWeight): void {
    if (!this.#owned.delete(memory)) throw notOwned(memory);
    this.#liveBytes -= memory.bytes;
  }

  /** @throws DISPOSED when the tensor was freed or belongs to another engine; INPUT_INVALID for a weight. */
  owned(tensor: DeviceTensor): ReferenceTensor {
    if (tensor instanceof ReferenceTensor && this.#owned.has(tensor)) return tensor;
    throw notTensor(tensor);
  }

  /** @throws DISPOSED when the weight was freed or belongs to another engine. */
  ownedWeight(weight: DeviceWeight): ReferenceWeight {
    if (weight instanceof ReferenceWeight && this.#owned.has(weight)) return weight;
    throw notOwned(weight);
  }

  /** Memory for temporaries, filled with ones (NaN in every float type) so that reading too early shows. */
  async withArena<T>(
    bytesOfSlots: readonly number[],
    use: (slots: readonly ArrayBuffer[]) => Promise<T>,
  ): Promise<T> {
    const slots = bytesOfSlots.map((bytes) => {
      const slot = allocateBytes(Math.ceil(bytes / 4) * 4);
      new Uint8Array(slot).fill(255);
      return slot;
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
    for (const memory of [...this.#owned]) this.free(memory);
  }

  #own<T extends DeviceTensor | DeviceWeight>(memory: T): T {
    this.#owned.add(memory);
    this.#liveBytes += memory.bytes;
    return memory;
  }
}

function allocateBytes(bytes: number): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes);
  } catch (cause) {
    throw new GlimtError("OUT_OF_MEMORY", `The reference backend could not allocate ${bytes} bytes.`, {
      cause,
    });
  }
}
