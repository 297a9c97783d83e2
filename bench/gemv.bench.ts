/** Matrix products of few rows (decoding), bound by reading the weights. */
import { storageBytes } from "../src/tensor/storage.ts";
import { asContender, inTurns, readContender, row } from "./kernels.ts";
import { linear, PRODUCT_FORMATS } from "./products.ts";

const [n, k] = [16384, 4096];
const read = await readContender();
console.log(row("wasm, one thread", "ms", "GB/s", "of peak", "a row"));
for (const dtype of PRODUCT_FORMATS) {
  const rows = ["bf16", "q8", "q4", "q4_k", "q6_k"].includes(dtype) ? [1, 2, 4, 8] : [1];
  const linears = await Promise.all(rows.map((m) => linear({ m, n, k, dtype })));
  const speeds = await inTurns([read, ...linears.map(asContender)]);
  const ceiling = speeds.get(read.name) as number;
  console.log(row(read.name, "", ceiling));
  const milliseconds = linears.map(({ name, operations }) => operations / (speeds.get(name) as number) / 1e6);
  for (const [index, { name }] of linears.entries()) {
    const time = milliseconds[index] as number;
    const speed = storageBytes(dtype, n, k) / time / 1e6;
    const perRow = time / (rows[index] as number) / (milliseconds[0] as number);
    console.log(row(name, time, speed, `${((100 * speed) / ceiling).toFixed(0)} %`, perRow.toFixed(2)));
  }
  for (const { engine } of linears) engine.dispose();
}
