/** fp8 checkpoints in their own bits: blocks of 128 columns hold the values that the method's float rows have. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { resolveWeights } from "../../src/checkpoint/resolve-weights.ts";
import { Random } from "../../src/conformance/random.ts";
import type { WeightSpec } from "../../src/graph/weight-spec.ts";
import { fromFloat32, toFloat32 } from "../../src/tensor/elements.ts";
import { E4M3, FP8_BLOCK_BYTES, FP8_SCALE_BYTES } from "../../src/tensor/fp8.ts";
import { countNotFiniteRows, widenRows } from "../../src/tensor/rows.ts";
import { storageBytes, type WeightFormat } from "../../src/tensor/storage.ts";
import type { TensorFixture } from "./fixtures.ts";
import { openFixture, quantisedFixture } from "./quantised-fixtures.ts";

const Q = "model.language_model.layers.0.self_attn.q_proj";

type Scales = readonly [rows: number, cols: number, dtype: "F32" | "BF16"];

/** A checkpoint of method fp8 with blocks of 128 x 128, one module of which is of these sizes. */
async function openModule([rows, cols]: readonly [number, number], [high, wide, dtype]: Scales) {
  const random = new Random(`${rows} ${cols} ${high} ${wide}`);
  const elements = Uint8Array.from({ length: rows * cols }, () => {
    const code = random.integer(256);
    return (code & 0x7f) === 0x7f ? 0 : code;
  });
  const scales = fromFloat32(
    dtype === "F32" ? "f32" : "bf16",
    Float32Array.from({ length: high * wide }, () => 1e-3 * (1 + random.uniform())),
  );
  const exact = dtype === "F32" ? scales : toFloat32("bf16", scales);
  const weight: TensorFixture = { dtype: "F8_E4M3", shape: [rows, cols], data: elements };
  const scale: TensorFixture = { dtype, shape: [high, wide], data: new Uint8Array(scales.buffer) };
  const fixture = await openFixture(quantisedFixture("fp8-block"), {
    config: (config) => {
      config.quantization_config = { quant_method: "fp8", weight_block_size: [128, 128] };
    },
    tensors: (tensors) => {
      tensors.set(`${Q}.weight`, weight);
      tensors.delete(`${Q}.weight_scale`);
      tensors.set(`${Q}.weight_scale_inv`, scale);
    },
  });
  const checkpoint = await openCheckpoint(fixture);
  const read = async (dtype: WeightFormat) => {
    const source = { tensor: `${Q}.weight`, shape: [rows, cols], layout: "rows" } as const;
    const spec: WeightSpec = { name: "q", shape: [rows, cols], dtype, sources: [source] };
    const [reader] = resolveWeights(checkpoint, [spec]).weights;
    const bytes = new Uint8Array(reader?.bytes ?? 0);
    // In two pieces, neither of which begins with a row of blocks.
    const first = Math.min(rows, 77);
    const rowBytes = bytes.length / rows;
    await reader?.readRows(0, first, bytes.subarray(0, first * rowBytes));
    await reader?.readRows(first, rows - first, bytes.subarray(first * rowBytes));
    return { dtype: reader?.dtype, bytes };
  };
  const valueAt = (index: number) => {
    const [row, col] = [Math.floor(index / cols), index % cols];
    const down = high === rows ? row : Math.floor(row / 128) % high;
    const across = Math.floor(col / 128) % wide;
    return (E4M3[elements[index] as number] as number) * (exact[down * wide + across] as number);
  };
  return { checkpoint, read, valueAt };
}

const MODULES: readonly (readonly [string, readonly [number, number], Scales])[] = [
  ["blocks of 128 x 128, cut at the lower edge", [300, 384], [3, 3, "F32"]],
  ["a scale a row", [130, 256], [130, 1, "BF16"]],
  ["one scale", [130, 128], [1, 1, "F32"]],
];

for (const [name, sizes, scales] of MODULES) {
  test(`${name}: stored as fp8 without loss, and widened where another type is asked for`, async () => {
    const { checkpoint, read, valueAt } = await openModule(sizes, scales);
    assert.is(checkpoint.tensorDType(`${Q}.weight`), "fp8");
    const stored = await read("fp8");
    assert.is(stored.dtype, "fp8");
    assert.is(stored.bytes.length, storageBytes("fp8", ...sizes));
    const expected = Float32Array.from({ length: sizes[0] * sizes[1] }, (_, index) => valueAt(index));
    assert.equal(widenRows("fp8", stored.bytes), expected);
    const wide = await read("bf16");
    assert.is(wide.dtype, "f32");
    assert.equal(widenRows("f32", wide.bytes), expected);
  });
}

test("columns that are no whole blocks of 128 are read as floats", async () => {
  const { checkpoint } = await openModule([130, 192], [2, 2, "F32"]);
  assert.is(checkpoint.tensorDType(`${Q}.weight`), "bf16");
});

test("values that are not finite are counted, all of a block whose scale makes them so", () => {
  const bytes = new Uint8Array(3 * FP8_BLOCK_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [block, scale] of [1, Number.POSITIVE_INFINITY, 1e36].entries()) {
    view.setFloat32(block * FP8_BLOCK_BYTES, scale, true);
  }
  bytes[FP8_SCALE_BYTES + 5] = 0xff;
  bytes[FP8_SCALE_BYTES + 6] = 0x7f;
  bytes[FP8_SCALE_BYTES + 7] = 0x7e;
  assert.is(countNotFiniteRows("fp8", bytes), 2 + 128 + 128);
});

test.run();
