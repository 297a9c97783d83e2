/** Scales in bf16: blocks have them in f16, exactly but for tiny ones; who asks for f32 gets the exact values. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openTensors } from "../../src/checkpoint/open-tensors.ts";
import { readWeightFiles } from "../../src/checkpoint/shards.ts";
import type { StoredWeight } from "../../src/checkpoint/stored-weight.ts";
import { WeightReader } from "../../src/checkpoint/weight-reader.ts";
import { fromFloat32 } from "../../src/tensor/elements.ts";
import { widenRows } from "../../src/tensor/rows.ts";
import { storageBytes, type WeightFormat } from "../../src/tensor/storage.ts";
import { asFiles, failure, safetensors } from "./fixtures.ts";

const [OUT, COLS] = [4, 32];

/** A matrix of compressed-tensors in 4 bits, whose integers are all 3, with a scale a row. */
async function weightOf(scales: readonly number[]): Promise<StoredWeight> {
  const bytes = ({ buffer }: { buffer: ArrayBufferLike }) => new Uint8Array(buffer as ArrayBuffer);
  const tensors = {
    "m.weight_packed": {
      dtype: "I32",
      shape: [OUT, COLS / 8],
      data: bytes(new Uint32Array(16).fill(0xbbbbbbbb)),
    },
    "m.weight_scale": {
      dtype: "BF16",
      shape: [OUT, 1],
      data: bytes(fromFloat32("bf16", Float32Array.from(scales)) as Uint16Array),
    },
    "m.weight_shape": { dtype: "I64", shape: [2], data: bytes(new BigInt64Array([4n, 32n])) },
  };
  const files = asFiles(new Map([["model.safetensors", safetensors(tensors)]]));
  const { tensors: stored } = await readWeightFiles(files);
  const weights = { num_bits: 4, type: "int", symmetric: true, strategy: "group", group_size: 32 };
  const section = {
    quant_method: "compressed-tensors",
    format: "pack-quantized",
    config_groups: { group_0: { targets: ["Linear"], weights } },
  };
  const opened = await openTensors(files, stored, { quantization_config: section }, undefined);
  const weight = opened.get("m.weight");
  if (!weight || weight.refusal !== undefined) throw new Error(`not a weight: ${weight?.refusal}`);
  return weight;
}

/** The first value of each row, as a weight that is stored as `dtype` gets them. */
async function read(tensor: StoredWeight, dtype: WeightFormat): Promise<number[]> {
  const shape = [OUT, COLS];
  const reader = new WeightReader(
    { name: "m", shape, dtype, sources: [] },
    [{ tensor, shape, layout: "rows" } as never],
    0,
  );
  const bytes = new Uint8Array(storageBytes(reader.dtype, OUT, COLS));
  await reader.readRows(0, OUT, bytes);
  const values = widenRows(reader.dtype, bytes);
  return Array.from({ length: OUT }, (_, row) => values[row * COLS] as number);
}

// The last has a bit that f16 has no room for below 2^-14; the third is its smallest.
const scales = [0.5, 2 ** -14, 2 ** -24, 2 ** -20 + 2 ** -26];

test("blocks have them in f16", async () => {
  const weight = await weightOf(scales);
  assert.is(weight.format, "q4");
  assert.equal(await read(weight, "q4"), [1.5, 3 * 2 ** -14, 3 * 2 ** -24, 3 * 2 ** -20]);
});

test("f32 and bf16 are made of what the file has", async () => {
  const weight = await weightOf(scales);
  for (const dtype of ["f32", "bf16"] as const) {
    assert.equal(
      await read(weight, dtype),
      scales.map((scale) => 3 * scale),
    );
  }
});

test("a scale beyond f16 is none of a block", async () => {
  const weight = await weightOf([1, 1, 2 ** 17, 1]);
  const { code, message } = await failure(() => read(weight, "q4"));
  assert.is(code, "CHECKPOINT_INVALID");
  assert.match(
    message,
    /"m\.weight_scale" \(compressed-tensors\) holds more than 65504, .*; load it with dtype "bf16"\./,
  );
  assert.is((await read(weight, "bf16"))[2], 3 * 2 ** 17);
});

test.run();
