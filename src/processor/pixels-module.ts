/** The WebAssembly pixel loops (wasm/pixels) and the memory of one operation on them. */

import { size, text } from "../../build/wasm/pixels.wasm?packed";
import { GlimtError } from "../errors.ts";
import { unpackWasm } from "../media/packed-wasm.ts";
import { namedSmallWasm } from "../wasm-code.ts";

interface PixelExports {
  readonly memory: WebAssembly.Memory;
  heapBase(): number;
  resampleRows(
    inPtr: number,
    inWidth: number,
    firstRow: number,
    rows: number,
    startsPtr: number,
    countsPtr: number,
    weightsPtr: number,
    taps: number,
    precision: number,
    ringPtr: number,
    ringRows: number,
    outWidth: number,
  ): void;
  resampleColumns(
    ringPtr: number,
    ringRows: number,
    rowBytes: number,
    firstRow: number,
    count: number,
    weightsPtr: number,
    precision: number,
    outPtr: number,
  ): void;
  patchifyBand(
    bandPtr: number,
    frameStride: number,
    frames: number,
    width: number,
    patch: number,
    merge: number,
    tablePtr: number,
    outPtr: number,
  ): void;
}

const PAGE = 65536;
const ALIGNMENT = 16;

let compiled: WebAssembly.Module | undefined;

/**
 * An instance of the pixel loops for one operation. Buffers are only ever added; dropping the arena frees all of
 * them. The module is under 4 KB, so that browsers compile it synchronously on their main thread too.
 */
export class PixelArena {
  readonly kernels: PixelExports;
  private top: number;

  constructor() {
    compiled ??= namedSmallWasm("pixels", () => unpackWasm({ text, size }));
    this.kernels = instantiate(compiled);
    this.top = align(this.kernels.heapBase());
  }

  /** Address of `bytes` new zeroed bytes, followed by at least 16 more that may be read and written. */
  allocate(bytes: number): number {
    const address = this.top;
    this.top = align(address + bytes + ALIGNMENT);
    const { memory } = this.kernels;
    const missing = Math.ceil(this.top / PAGE) - memory.buffer.byteLength / PAGE;
    if (missing > 0) grow(memory, missing);
    return address;
  }

  /** Address of a copy of `data`. */
  place(data: Int32Array | Float32Array): number {
    const address = this.allocate(data.byteLength);
    this.bytes(address, data.byteLength).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return address;
  }

  /** A view that the next allocation invalidates. */
  bytes(address: number, length: number): Uint8Array {
    return new Uint8Array(this.kernels.memory.buffer, address, length);
  }

  /** A view that the next allocation invalidates. */
  floats(address: number, length: number): Float32Array {
    return new Float32Array(this.kernels.memory.buffer, address, length);
  }
}

/** @throws OUT_OF_MEMORY */
function instantiate(module: WebAssembly.Module): PixelExports {
  try {
    return new WebAssembly.Instance(module, {}).exports as unknown as PixelExports;
  } catch (cause) {
    throw new GlimtError("OUT_OF_MEMORY", "There is no memory to resize a picture in.", { cause });
  }
}

/** @throws OUT_OF_MEMORY */
function grow(memory: WebAssembly.Memory, pages: number): void {
  try {
    memory.grow(pages);
  } catch (cause) {
    const bytes = memory.buffer.byteLength + pages * PAGE;
    throw new GlimtError(
      "OUT_OF_MEMORY",
      `Resizing a picture takes ${bytes} bytes, which are not to be had.`,
      { cause },
    );
  }
}

function align(address: number): number {
  return Math.ceil(address / ALIGNMENT) * ALIGNMENT;
}
