/** Host arrays that an engine takes in: elements of the memory's own dtype, or float32 that are rounded to it. */
import { fromFloat32 } from "../tensor/convert.ts";
import { type DType, type HostArray, hostArray } from "../tensor/dtype.ts";

/** Whether memory of `dtype` can take the array's elements in; bf16 and f16 take float32 too. */
export function isStorable(dtype: DType, data: HostArray): boolean {
  const isRounded = data instanceof Float32Array && (dtype === "bf16" || dtype === "f16");
  return isRounded || data.constructor === hostArray(dtype, 0).constructor;
}

/** The elements of a storable array as memory of `dtype` holds them; the same array where they are so already. */
export function asStored(dtype: DType, data: HostArray): HostArray {
  return data instanceof Float32Array ? fromFloat32(dtype, data) : data;
}
