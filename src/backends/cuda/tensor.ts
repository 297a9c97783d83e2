/** Device memory of the CUDA backend. */
import type { DType } from "../../tensor/dtype.ts";
import { storageBytes, type WeightFormat, type WeightLayout } from "../../tensor/storage.ts";
import type { DeviceTensor, DeviceWeight } from "../backend.ts";
import { notOwned, notTensor } from "../not-owned.ts";
import type { EngineHandle, TensorHandle } from "./addon.ts";

/** What the addon holds for an engine until it is freed. */
class CudaMemory {
  readonly handle: TensorHandle;
  readonly #engine: EngineHandle;
  #freed = false;

  constructor(handle: TensorHandle, engine: EngineHandle) {
    this.handle = handle;
    this.#engine = engine;
  }

  isOwnedBy(engine: EngineHandle): boolean {
    return !this.#freed && this.#engine === engine;
  }

  markFreed(): void {
    this.#freed = true;
  }
}

export class CudaTensor extends CudaMemory implements DeviceTensor {
  readonly dtype: DType;
  readonly rows: number;
  readonly cols: number;
  readonly bytes: number;

  constructor(dtype: DType, rows: number, cols: number, handle: TensorHandle, engine: EngineHandle) {
    super(handle, engine);
    this.dtype = dtype;
    this.rows = rows;
    this.cols = cols;
    this.bytes = storageBytes(dtype, rows, cols);
  }
}

export class CudaWeight extends CudaMemory implements DeviceWeight {
  readonly format: WeightFormat;
  readonly layout: WeightLayout;
  readonly rows: number;
  readonly cols: number;
  readonly bytes: number;

  constructor(
    format: WeightFormat,
    layout: WeightLayout,
    rows: number,
    cols: number,
    handle: TensorHandle,
    engine: EngineHandle,
  ) {
    super(handle, engine);
    this.format = format;
    this.layout = layout;
    this.rows = rows;
    this.cols = cols;
    this.bytes = storageBytes(format, rows, cols, layout);
  }
}

/** @throws DISPOSED when it was freed or belongs to another engine. */
export function ownedMemory(memory: DeviceTensor | DeviceWeight, engine: EngineHandle): CudaMemory {
  if (memory instanceof CudaMemory && memory.isOwnedBy(engine)) return memory;
  throw notOwned(memory);
}

/** @throws DISPOSED when the tensor was freed or belongs to another engine; INPUT_INVALID for a weight. */
export function ownedTensor(tensor: DeviceTensor, engine: EngineHandle): CudaTensor {
  if (tensor instanceof CudaTensor && tensor.isOwnedBy(engine)) return tensor;
  throw notTensor(tensor);
}
