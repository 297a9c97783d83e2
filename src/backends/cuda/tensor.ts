/** Device memory of the CUDA backend. */
import { GlimtError } from "../../errors.ts";
import type { DType } from "../../tensor/dtype.ts";
import { storageBytes } from "../../tensor/storage.ts";
import type { DeviceTensor } from "../backend.ts";
import type { EngineHandle, TensorHandle } from "./addon.ts";

export class CudaTensor implements DeviceTensor {
  readonly dtype: DType;
  readonly rows: number;
  readonly cols: number;
  readonly layout = "plain";
  readonly bytes: number;
  readonly handle: TensorHandle;
  readonly #engine: EngineHandle;
  #freed = false;

  constructor(dtype: DType, rows: number, cols: number, handle: TensorHandle, engine: EngineHandle) {
    this.dtype = dtype;
    this.rows = rows;
    this.cols = cols;
    this.bytes = storageBytes(dtype, rows, cols);
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

/** @throws DISPOSED when the tensor was freed or belongs to another engine. */
export function ownedTensor(tensor: DeviceTensor, engine: EngineHandle): CudaTensor {
  if (tensor instanceof CudaTensor && tensor.isOwnedBy(engine)) return tensor;
  throw new GlimtError("DISPOSED", "The tensor was freed, or belongs to another engine.");
}
