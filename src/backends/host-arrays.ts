/** Host arrays that an engine takes in: elements of the memory's own dtype, or float32 that are rounded to it. */

import { type HostArray, hostArray, type TensorDType } from "../tensor/dtype.ts";
import { fromFloat32 } from "../tensor/elements.ts";

/** What tensors an array may be the content of, as it is. */
export function hostDTypes(data: HostArray): readonly TensorDType[] {
  if (data instanceof Float32Array) return ["f32"];
  if (data instanceof Int32Array) return ["i32"];
  return data instanceof Uint16Array ? ["bf16", "f16"] : ["q8"];
}

/** Whether memory of `dtype` can take the array's elements in; bf16 and f16 take float32 too. */
export function isStorable(dtype: TensorDType, data: HostArray): boolean {
  const isRounded = data instanceof Float32Array && (dtype === "bf16" || dtype === "f16");
  return isRounded || data.constructor === hostArray(dtype, 0).constructor;
}

/** The elements of a storable array as memory of `dtype` holds them; the same array where they are so already. */
export function asStored(dtype: TensorDType, data: HostArray): HostArray {
  return data instanceof Float32Array ? fromFloat32(dtype, data) : data;
}
