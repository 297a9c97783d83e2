/** Matrix products of few rows (decoding), bound by reading the weights. */
import { storageBytes } from "../src/tensor/storage.ts";
import { readCeiling, row } from "./kernels.ts";
import { timeLinear } from "./products.ts";

const [n, k] = [16384, 4096];
const ceiling = await readCeiling();
console.log(row("wasm, one thread", "ms", "GB/s", "of peak"));
console.log(row("peak (reading memory once)", "", ceiling, ""));
for (const [m, dtype] of [
  [1, "f32"],
  [1, "bf16"],
  [1, "f16"],
  [2, "bf16"],
  [4, "bf16"],
] as const) {
  const seconds = await timeLinear({ m, n, k, dtype });
  const speed = storageBytes(dtype, n, k) / seconds / 1e9;
  console.log(
    row(
      `linear ${m} x ${n} x ${k}, ${dtype}`,
      seconds * 1000,
      speed,
      `${((100 * speed) / ceiling).toFixed(0)} %`,
    ),
  );
}
