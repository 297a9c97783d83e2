/** Quantised weights have the values that the formats' own libraries give them, to the bit (test/golden/compare_quantised.py). */
import { createHash } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { describeCheckpoint } from "../../src/checkpoint/describe.ts";
import type { CheckpointTensor } from "../../src/checkpoint/stored-weight.ts";
import { tensorStorage } from "../../src/checkpoint/tensor-storage.ts";
import type { WeightSpec } from "../../src/graph/weight-spec.ts";
import { widenRows } from "../../src/tensor/rows.ts";
import { storageBytes } from "../../src/tensor/storage.ts";
import { openFixture, quantisedFixture, quantisedFixtures } from "./quantised-fixtures.ts";

/** All values in float32, read `step` rows at a time. */
async function valuesOf(tensor: CheckpointTensor | undefined, step: number): Promise<Uint8Array> {
  if (!tensor || tensor.refusal !== undefined) throw new Error(`not a weight: ${tensor?.refusal}`);
  const [rows = 0, cols = 0] = tensor.shape;
  const rowBytes = storageBytes(tensor.format, 1, cols);
  const bytes = new Uint8Array(rows * rowBytes);
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row);
    await tensor.readRows(row, count, bytes.subarray(row * rowBytes, (row + count) * rowBytes));
  }
  return new Uint8Array(widenRows(tensor.format, bytes).buffer);
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

for (const fixture of quantisedFixtures) {
  test(`${fixture.name}: values to the bit, in one piece and in pieces`, async () => {
    const { tensors } = await openCheckpoint(await openFixture(fixture));
    for (const [name, expected] of Object.entries(fixture.sha256)) {
      for (const step of [1000, 27]) {
        assert.is(
          sha256(await valuesOf(tensors.get(name), step)),
          expected,
          `${name}, ${step} rows at a time`,
        );
      }
    }
  });
}

test("rows are read in any order, and those of two weights in turns", async () => {
  const fixture = quantisedFixture("gptq-act-order");
  const { tensors } = await openCheckpoint(await openFixture(fixture));
  const names = ["q", "k"].map((part) => `model.language_model.layers.0.self_attn.${part}_proj.weight`);
  const whole = await Promise.all(names.map((name) => valuesOf(tensors.get(name), 1000)));
  for (const row of [31, 3, 17]) {
    for (const [index, name] of names.entries()) {
      const tensor = tensors.get(name);
      if (!tensor || tensor.refusal !== undefined) throw new Error("not a weight");
      const into = new Uint8Array(64 * 4);
      await tensor.readRows(row, 1, into);
      assert.equal(into, whole[index]?.slice(row * 256, (row + 1) * 256));
    }
  }
});

test("what blocks hold without loss stays in its bits", async () => {
  const formatOf = async (name: string, change: (section: Record<string, unknown>) => void = () => {}) => {
    const config = (json: Record<string, unknown>) =>
      change(json.quantization_config as Record<string, unknown>);
    const { tensors } = await openCheckpoint(await openFixture(quantisedFixture(name), { config }));
    const tensor = tensors.get("model.language_model.layers.0.self_attn.q_proj.weight");
    return tensor?.refusal === undefined ? tensor?.format : tensor.refusal;
  };
  assert.is(await formatOf("gptq"), "q4");
  assert.is(await formatOf("gptq-3-bits"), "q4");
  assert.is(await formatOf("auto-round-gptq"), "q4");
  assert.is(await formatOf("w4a16-f16"), "q4");
  assert.is(await formatOf("awq"), "q5_0");
  assert.is(await formatOf("w8a16-f16"), "q8");
  assert.is(await formatOf("w4a16-f16-asymmetric"), "q5_0");
  assert.is(await formatOf("auto-round"), "q5_0");
  // Scales in bf16, which f16 holds unless they are tiny.
  assert.is(await formatOf("w4a16"), "q4");
  // Columns out of order, groups of 16, a row of 48.
  assert.is(await formatOf("gptq", (section) => Object.assign(section, { desc_act: true })), "f32");
  assert.is(await formatOf("gptq-2-bits"), "f32");
  assert.is(await formatOf("gptq-v2"), "f32");
});

test("what is lost on the way: nothing of blocks, the last bits of what is decoded", async () => {
  const lossOf = async (name: string, dtype: "f32" | "bf16" | "q4" | "q8" | "q5_0") => {
    const { tensors } = await openCheckpoint(await openFixture(quantisedFixture(name)));
    const tensor = "model.language_model.layers.0.self_attn.q_proj.weight";
    const shape = [64, 64];
    const spec: WeightSpec = { name: "q", shape, dtype, sources: [{ tensor, shape, layout: "rows" }] };
    return tensorStorage(tensors, [spec])[0]?.loss;
  };
  assert.is(await lossOf("gptq", "q4"), "none");
  assert.is(await lossOf("gptq", "f32"), "none");
  assert.is(await lossOf("awq", "q5_0"), "none");
  assert.is(await lossOf("awq", "q8"), "none");
  assert.is(await lossOf("w4a16", "q4"), "rounded");
  assert.is(await lossOf("w4a16", "f32"), "none");
  assert.is(await lossOf("w4a16", "bf16"), "rounded");
  assert.is(await lossOf("w4a16", "q8"), "requantised");
});

test("what a checkpoint is described by", async () => {
  const encodings = async (name: string) => {
    const found = describeCheckpoint(await openCheckpoint(await openFixture(quantisedFixture(name))));
    return found.dtypes.map((row) => row.name).filter((encoding) => /[a-z]/.test(encoding));
  };
  assert.equal(await encodings("fp8-channel"), ["compressed-tensors E4M3, a scale a row"]);
  assert.equal(await encodings("fp8-tensor"), ["compressed-tensors E4M3, one scale"]);
  assert.equal(await encodings("int8-channel"), ["compressed-tensors int8, a scale a row"]);
  assert.equal(await encodings("w4a16"), ["compressed-tensors 4 bits, groups of 32"]);
  assert.equal(await encodings("nvfp4"), ["compressed-tensors NVFP4"]);
  assert.equal(await encodings("finegrained-fp8"), ["fp8 E4M3, blocks of 32 x 16"]);
  assert.equal(await encodings("gptq-3-bits"), ["GPTQ 3 bits, groups of 32"]);
  assert.equal(await encodings("awq"), ["AWQ 4 bits, groups of 32"]);
  assert.equal(await encodings("auto-round"), ["AutoRound 4 bits, groups of 32"]);
  assert.equal(await encodings("mlx-8-bits"), ["MLX 8 bits, groups of 64", "MLX 4 bits, groups of 32"]);
  assert.equal(await encodings("nf4"), ["bitsandbytes nf4 in blocks of 64, their scales in 8 bits"]);
});

test.run();
