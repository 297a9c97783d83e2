/** Matrix products of many rows (prefill, vision), bound by arithmetic. */
import { arithmeticCeiling, row } from "./kernels.ts";
import { timeLinear } from "./products.ts";

const ceiling = await arithmeticCeiling();
console.log(row("wasm, one thread", "ms", "GFLOP/s", "of peak"));
console.log(row("peak (multiply-adds in registers)", "", ceiling, ""));
for (const dtype of ["f32", "bf16", "f16"] as const) {
  for (const [m, n, k] of [
    [1024, 1024, 1024],
    [684, 4096, 1024],
  ] as const) {
    const seconds = await timeLinear({ m, n, k, dtype });
    const speed = (2 * m * n * k) / seconds / 1e9;
    console.log(
      row(
        `linear ${m} x ${n} x ${k}, ${dtype}`,
        seconds * 1000,
        speed,
        `${((100 * speed) / ceiling).toFixed(0)} %`,
      ),
    );
  }
}
