/** Attention: of the vision tower over a picture's patches, and of the decoder over a paged cache. */
import { pagedAttention, visionAttention } from "./attentions.ts";
import { arithmeticCeiling, fastest, row, type TimedKernel } from "./kernels.ts";

const ceiling = await arithmeticCeiling();
console.log(row("wasm, one thread", "ms", "GFLOP/s", "of peak"));
console.log(row("peak (multiply-adds in registers)", "", ceiling, ""));
for (const patches of [1024, 2744])
  await report(await visionAttention({ patches, numHeads: 16, headDim: 64 }), 3);
for (const [queries, context] of [
  [512, 512],
  [1, 2048],
] as const) {
  const shape = { queries, context, numHeads: 16, numKvHeads: 8, headDim: 128, pageSize: 16 };
  await report(await pagedAttention(shape), 5);
}

async function report({ name, run, operations, engine }: TimedKernel, iterations: number) {
  const seconds = await fastest(name, run, iterations);
  const speed = operations / seconds / 1e9;
  console.log(row(name, seconds * 1000, speed, `${((100 * speed) / ceiling).toFixed(0)} %`));
  engine.dispose();
}
