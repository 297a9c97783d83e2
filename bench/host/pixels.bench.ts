/**
 * A page's pixels handed to the vision tower as bf16: on the JavaScript thread, for an engine that rounds there. The
 * CUDA engine rounds while it stages them, on a thread of its own; crates-free-native/executor/convert.cpp.
 */
import { fromFloat32, toFloat32 } from "../../src/tensor/elements.ts";
import { fastest, noise, row } from "../kernels.ts";

const pixels = noise(5476 * 1176);
const logits = fromFloat32("bf16", noise(151_552));
console.log(row("", "ms"));
for (const dtype of ["bf16", "f16"] as const) {
  const seconds = await fastest(dtype, () => fromFloat32(dtype, pixels), 3);
  console.log(row(`page of 1036 x 1036 to ${dtype}`, 1000 * seconds));
}
console.log(
  row("151552 logits from bf16", 1000 * (await fastest("logits", () => toFloat32("bf16", logits)))),
);
