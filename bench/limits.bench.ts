/**
 * What products of few rows and attention over a cache are limited by, on one thread: each from memory, beside reading alone,
 * and with operands that stay in the core's caches, which leaves the time of its instructions. A pass can take no less than
 * the longer of the two; how much of the shorter one hides behind it depends on how far the core looks ahead. Then exact
 * products of 8 bits by other instructions, beside those that are used. A host without AVX-VNNI is played by
 * `node --no-enable-avx-vnni bench/run.mjs limits`.
 */
import limitBytes from "../build/wasm/kernels.limits.test.wasm";
import { instantiateKernels, type Kernels } from "../src/backends/wasm/kernels.ts";
import { VARIANTS, type Variant } from "../src/backends/wasm/variants.ts";
import { storageBytes } from "../src/tensor/storage.ts";
import { pagedAttention } from "./attentions.ts";
import {
  arithmeticContender,
  asContender,
  type Contender,
  inTurns,
  productContender,
  readContender,
  row,
  type TimedKernel,
} from "./kernels.ts";
import { chainedProducts, linear } from "./products.ts";

const read = await readContender();
console.log(row("wasm, one thread, GB/s", "memory", "of reading", "in caches", "of reading"));
for (const dtype of ["f32", "bf16", "f16", "q8", "q4"] as const) {
  const [n, k] = [16384, 4096];
  await report(`1 row, ${dtype}`, [
    [storageBytes(dtype, n, k), await linear({ m: 1, n, k, dtype })],
    [128 * storageBytes(dtype, 512, 512), await chainedProducts(dtype, 512, 128)],
  ]);
}
for (const kvCacheDType of ["f32", "bf16", "q8"] as const) {
  const shape = { queries: 1, context: 8192, numHeads: 16, numKvHeads: 8, headDim: 128, pageSize: 16 };
  const bytes = storageBytes(kvCacheDType, 2 * shape.context * shape.numKvHeads, shape.headDim);
  await report(`attention over 8192, cache ${kvCacheDType}`, [
    [bytes, await pagedAttention({ ...shape, kvCacheDType })],
    [bytes, await pagedAttention({ ...shape, kvCacheDType, pages: 6 })],
  ]);
}
await reportProducts();

/** From memory, and from the core's caches. */
async function report(name: string, kernels: readonly (readonly [bytes: number, TimedKernel])[]) {
  const contenders = kernels.map(([amount, kernel], index) => ({
    ...asContender(kernel),
    name: String(index),
    amount,
  }));
  const speeds = await inTurns([read, ...contenders], 15);
  const ceiling = speeds.get(read.name) as number;
  const cells = contenders.flatMap((contender) => {
    const speed = speeds.get(contender.name) as number;
    return [speed, `${((100 * speed) / ceiling).toFixed(0)} %`];
  });
  console.log(row(`${name} (reading ${ceiling.toFixed(1)})`, ...cells));
  for (const [, { engine }] of kernels) engine.dispose();
}

async function reportProducts() {
  const relaxed = VARIANTS.find(({ name }) => name === "relaxed") as Variant;
  if (!WebAssembly.validate(relaxed.probe)) return;
  const variant = { ...relaxed, name: "limits", load: async () => limitBytes };
  const kernels = (await instantiateKernels(variant)) as Kernels & {
    glimt_limit_moved_signs(iterations: number, factor: number): number;
    glimt_limit_words(iterations: number, factor: number): number;
    glimt_limit_product_of_sums(iterations: number, factor: number): number;
    glimt_limit_has_table(): number;
    glimt_limit_table(iterations: number): number;
  };
  const iterations = 3e5;
  const [multiplyAdd, q8, q4] = [
    await arithmeticContender(),
    await productContender("q8"),
    await productContender("q4"),
  ];
  const loops: Contender[] = [
    {
      name: "8 bits, signs moved at each product",
      amount: 2560 * iterations,
      run: () => kernels.glimt_limit_moved_signs(iterations, 0x01020304),
    },
    {
      name: "8 bits, by words",
      amount: 2560 * iterations,
      run: () => kernels.glimt_limit_words(iterations, 0x01020304),
    },
    {
      name: "8 bits, products of sums",
      amount: 1536 * iterations,
      run: () => kernels.glimt_limit_product_of_sums(iterations, 0x01020304),
    },
  ];
  if (kernels.glimt_limit_has_table()) {
    const times = Math.ceil(iterations / 25);
    const run = () => kernels.glimt_limit_table(times);
    loops.push({ name: "8 bits, tables of flipped w", amount: 65536 * times, run });
  }
  const speeds = await inTurns([multiplyAdd, q8, q4, ...loops]);
  const ceiling = speeds.get(multiplyAdd.name) as number;
  console.log(row("tiles in L1", "GOP/s", "x madd"));
  const rows: [string, number][] = [...speeds];
  // Activations in two halves of 4 bits: each a product as q4 has it.
  rows.push(["8 bits, halves of 4 bits", (speeds.get(q4.name) as number) / 2]);
  for (const [name, speed] of rows) console.log(row(name, speed, (speed / ceiling).toFixed(2)));
}
