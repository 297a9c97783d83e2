/** Matrix products of many rows (prefill, vision), bound by arithmetic. */
import { isBlockFormat } from "../src/tensor/storage.ts";
import { arithmeticContender, asContender, inTurns, productContender, row } from "./kernels.ts";
import { linear, PRODUCT_FORMATS } from "./products.ts";

const SIZES = [
  [1024, 1024, 1024],
  [684, 4096, 1024],
  [512, 1536, 4608],
  [128, 4096, 1536],
] as const;

const multiplyAdd = await arithmeticContender();
const [q4, q8] = [await productContender("q4"), await productContender("q8")];
console.log(row("wasm, one thread", "GOP/s", "of its peak", "x f32"));
for (const [m, n, k] of SIZES) {
  const linears = await Promise.all(PRODUCT_FORMATS.map((dtype) => linear({ m, n, k, dtype })));
  const speeds = await inTurns([multiplyAdd, q4, q8, ...linears.map(asContender)]);
  const speedOf = (name: string) => speeds.get(name) as number;
  for (const { name } of [multiplyAdd, q4, q8]) console.log(row(name, speedOf(name)));
  for (const [index, { name }] of linears.entries()) {
    const format = PRODUCT_FORMATS[index] ?? "f32";
    const peak = speedOf((!isBlockFormat(format) ? multiplyAdd : format === "q8" ? q8 : q4).name);
    const speed = speedOf(name);
    const beside = speed / speedOf(linears[0]?.name ?? name);
    console.log(row(name, speed, `${((100 * speed) / peak).toFixed(0)} %`, beside.toFixed(2)));
  }
  for (const { engine } of linears) engine.dispose();
}
