/** The engine's memory: tensors and blocks inside the module's linear memory, with a count of live bytes. */
import { type HostArray, hostLength, type TensorDType } from "../../tensor/dtype.ts";
import { storageBytes, type WeightFormat, type WeightLayout } from "../../tensor/storage.ts";
import type { DeviceTensor, DeviceWeight } from "../backend.ts";
import { notOwned, notTensor } from "../not-owned.ts";
import type { Kernels, Pointer } from "./kernels.ts";
import { outOfMemory } from "./memory-limit.ts";

/** Every block starts at a multiple of this. */
const ALIGNMENT = 64;

export interface Block {
  readonly pointer: Pointer;
  readonly bytes: number;
}

export class WasmTensor implements DeviceTensor, Block {
  readonly dtype: TensorDType;
  readonly rows: number;
  readonly cols: number;
  readonly bytes: number;
  readonly pointer: Pointer;

  constructor(dtype: TensorDType, rows: number, cols: number, block: Block) {
    this.dtype = dtype;
    this.rows = rows;
    this.cols = cols;
    this.bytes = block.bytes;
    this.pointer = block.pointer;
  }
}

export class WasmWeight implements DeviceWeight, Block {
  readonly format: WeightFormat;
  readonly layout: WeightLayout;
  readonly rows: number;
  readonly cols: number;
  readonly bytes: number;
  readonly pointer: Pointer;

  constructor(format: WeightFormat, layout: WeightLayout, rows: number, cols: number, block: Block) {
    this.format = format;
    this.layout = layout;
    this.rows = rows;
    this.cols = cols;
    this.bytes = block.bytes;
    this.pointer = block.pointer;
  }
}

export class WasmMemory {
  readonly #kernels: Kernels;
  readonly #owned = new Set<DeviceTensor | DeviceWeight>();
  #liveBytes = 0;

  constructor(kernels: Kernels) {
    this.#kernels = kernels;
  }

  get liveBytes(): number {
    return this.#liveBytes;
  }

  /** @throws OUT_OF_MEMORY naming `what` the bytes are for. */
  allocateBlock(bytes: number, what: string): Block {
    const rounded = Math.max(1, Math.ceil(bytes / ALIGNMENT)) * ALIGNMENT;
    const pointer = rounded < this.#kernels.limit.bytes ? this.#kernels.glimt_allocate(rounded) : 0;
    if (pointer === 0) throw outOfMemory(this.#kernels, bytes, what);
    this.#liveBytes += bytes;
    return { pointer, bytes };
  }

  freeBlock(block: Block): void {
    this.#kernels.glimt_free(block.pointer);
    this.#liveBytes -= block.bytes;
  }

  /** Its content is what was in memory before. */
  allocate(dtype: TensorDType, rows: number, cols: number): WasmTensor {
    const block = this.allocateBlock(storageBytes(dtype, rows, cols), `a tensor ${dtype}[${rows}, ${cols}]`);
    const tensor = new WasmTensor(dtype, rows, cols, block);
    this.#owned.add(tensor);
    return tensor;
  }

  /** Its content is what was in memory before. */
  allocateWeight(format: WeightFormat, rows: number, cols: number, layout: WeightLayout): WasmWeight {
    const bytes = storageBytes(format, rows, cols, layout);
    const block = this.allocateBlock(bytes, `a weight ${format}[${rows}, ${cols}]`);
    const weight = new WasmWeight(format, layout, rows, cols, block);
    this.#owned.add(weight);
    return weight;
  }

  /** @throws DISPOSED when it was freed or belongs to another engine. */
  free(memory: DeviceTensor | DeviceWeight): void {
    const isBlock = memory instanceof WasmTensor || memory instanceof WasmWeight;
    if (!isBlock || !this.#owned.delete(memory)) throw notOwned(memory);
    this.freeBlock(memory);
  }

  /** @throws DISPOSED when the tensor was freed or belongs to another engine; INPUT_INVALID for a weight. */
  owned(tensor: DeviceTensor): WasmTensor {
    if (tensor instanceof WasmTensor && this.#owned.has(tensor)) return tensor;
    throw notTensor(tensor);
  }

  /** @throws DISPOSED when the weight was freed or belongs to another engine. */
  ownedWeight(weight: DeviceWeight): WasmWeight {
    if (weight instanceof WasmWeight && this.#owned.has(weight)) return weight;
    throw notOwned(weight);
  }

  /** The block's bytes now; any later allocation may detach this view. */
  bytes({ pointer, bytes }: Block): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#kernels.memory.buffer as ArrayBuffer, pointer, bytes);
  }

  /** Like `bytes`, as `length` elements from element `first` on. */
  elements(dtype: TensorDType, { pointer }: Block, first: number, length: number): HostArray {
    const buffer = this.#kernels.memory.buffer;
    const at = pointer + storageBytes(dtype, 1, first);
    switch (dtype) {
      case "f32":
        return new Float32Array(buffer, at, length);
      case "i32":
        return new Int32Array(buffer, at, length);
      case "bf16":
      case "f16":
        return new Uint16Array(buffer, at, length);
      case "q8":
        return new Uint8Array(buffer, at, hostLength(dtype, length));
    }
  }
}
