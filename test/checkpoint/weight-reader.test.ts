import { test } from "uvu";
import * as assert from "uvu/assert";
import { blobFiles } from "../../src/checkpoint/blobs.ts";
import { readSafetensorsHeader, type StoredTensor, weightDType } from "../../src/checkpoint/safetensors.ts";
import { WeightReader } from "../../src/checkpoint/weight-reader.ts";
import type { WeightSource, WeightSpec } from "../../src/graph/weight-spec.ts";
import type { WeightDType } from "../../src/tensor/dtype.ts";
import { f32, failure, half, safetensors, type TensorFixture } from "./fixtures.ts";

async function reader(
  tensors: Readonly<Record<string, TensorFixture>>,
  shape: readonly number[],
  layout: WeightSource["layout"] = "rows",
): Promise<WeightReader> {
  const file = safetensors(tensors);
  const files = blobFiles(new Map([["m.safetensors", new Blob([file])]]));
  const stored = await readSafetensorsHeader(files, "m.safetensors", file.length);
  const sources = stored.map((tensor: StoredTensor) => ({
    tensor,
    dtype: weightDType(tensor.dtype) as WeightDType,
    layout,
  }));
  const spec: WeightSpec = {
    name: "w",
    shape,
    dtype: "f32",
    sources: stored.map(({ name, shape }) => ({ tensor: name, shape, layout })),
  };
  return new WeightReader(files, spec, sources, 0);
}

async function rows(weight: WeightReader, first: number, count: number): Promise<number[]> {
  const bytes = new Uint8Array((weight.bytes / weight.rows) * count);
  await weight.readRows(first, count, bytes);
  return [...(weight.dtype === "f32" ? new Float32Array(bytes.buffer) : new Uint16Array(bytes.buffer))];
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

test("any run of rows of stacked tensors, across their seams", async () => {
  const stacked = { q: f32([3, 2], range(0, 6)), k: f32([1, 2], range(6, 8)), v: f32([2, 2], range(8, 12)) };
  const weight = await reader(stacked, [6, 2]);
  assert.is(weight.bytes, 48);
  for (let first = 0; first <= 6; first++) {
    for (let count = 0; first + count <= 6; count++) {
      assert.equal(
        await rows(weight, first, count),
        range(2 * first, 2 * (first + count)),
        `${first} +${count}`,
      );
    }
  }
});

test("a vector has one column, and 16-bit patterns come through untouched", async () => {
  const weight = await reader({ bias: half("F16", [5], [0, 0x3c00, 0x8000, 0x7bff, 1]) }, [5]);
  assert.is(weight.dtype, "f16");
  assert.is(weight.cols, 1);
  assert.equal(await rows(weight, 1, 3), [0x3c00, 0x8000, 0x7bff]);
});

test("tensors with more dimensions are rows of all the rest", async () => {
  const weight = await reader({ conv: f32([2, 3, 1, 2], range(0, 12)) }, [2, 6]);
  assert.equal(await rows(weight, 1, 1), range(6, 12));
});

test("conv2x2 puts taps before channels in each row", async () => {
  // [out 2, in 3, kh 2, kw 2]; value = 100 out + 10 in + tap.
  const values = range(0, 24).map((n) => 100 * Math.floor(n / 12) + 10 * (Math.floor(n / 4) % 3) + (n % 4));
  const weight = await reader({ conv: f32([2, 3, 2, 2], values) }, [2, 12], "conv2x2");
  const expected = (out: number) => range(0, 12).map((n) => 100 * out + 10 * (n % 3) + Math.floor(n / 3));
  assert.equal(await rows(weight, 0, 2), [...expected(0), ...expected(1)]);
  assert.equal(await rows(weight, 1, 1), expected(1));
});

test("tensors of different types widen to f32 exactly", async () => {
  const mixed = {
    a: half("BF16", [1, 2], [0x3f80, 0xc000]),
    b: half("F16", [1, 2], [0x0001, 0x3555]),
    c: f32([1, 2], [0.1, 5]),
  };
  const weight = await reader(mixed, [3, 2]);
  assert.is(weight.dtype, "f32");
  assert.equal(await rows(weight, 0, 3), [1, -2, 2 ** -24, 0.333251953125, Math.fround(0.1), 5]);
});

test("more rows than one read holds", async () => {
  const cols = 1000;
  const data = new Float32Array(3000 * cols).map((_, index) => index % 8191);
  const weight = await reader(
    { big: { dtype: "F32", shape: [3000, cols], data: new Uint8Array(data.buffer) } },
    [3000, cols],
  );
  const bytes = new Uint8Array(2500 * cols * 4);
  await weight.readRows(250, 2500, bytes);
  assert.equal(new Float32Array(bytes.buffer), data.subarray(250 * cols, 2750 * cols));
});

for (const [name, fixture] of [
  ["f32 NaN", f32([4], [1, 2, Number.NaN, 4])],
  ["f32 infinity", f32([4], [1, 2, 3, Number.NEGATIVE_INFINITY])],
  ["bf16 NaN", half("BF16", [4], [0, 0xffc1, 0, 0])],
  ["bf16 infinity", half("BF16", [4], [0x7f80, 0, 0, 0])],
  ["f16 infinity", half("F16", [4], [0, 0, 0, 0xfc00])],
] as const) {
  test(`${name} is found, in its tensor and file`, async () => {
    const weight = await reader({ "layers.0.norm.weight": fixture }, [4]);
    assert.equal(await weight.findNotFinite(), { tensor: "layers.0.norm.weight", file: "m.safetensors" });
  });
}

test("the largest finite values are numbers", async () => {
  assert.equal(
    await rows(await reader({ a: half("BF16", [2], [0x7f7f, 0xff7f]) }, [2]), 0, 2),
    [0x7f7f, 0xff7f],
  );
  assert.equal(
    await rows(await reader({ a: half("F16", [2], [0x7bff, 0xfbff]) }, [2]), 0, 2),
    [0x7bff, 0xfbff],
  );
  const both = await reader(
    { a: half("BF16", [1, 2], [0x7f7f, 0xff7f]), b: half("F16", [1, 2], [0x7bff, 0xfbff]) },
    [2, 2],
  );
  assert.is(await both.findNotFinite(), null);
});

test("rows that are not there, and memory of another size, are a caller's mistake", async () => {
  const weight = await reader({ a: f32([2, 2], range(0, 4)) }, [2, 2]);
  for (const [first, count, bytes] of [
    [-1, 1, 8],
    [1, 2, 16],
    [0, 1, 4],
  ] as const) {
    try {
      await weight.readRows(first, count, new Uint8Array(bytes));
      assert.unreachable();
    } catch (error) {
      assert.instance(error, RangeError);
    }
  }
});

test("an abort stops a read", async () => {
  const weight = await reader({ a: f32([2, 2], range(0, 4)) }, [2, 2]);
  const error = await failure(() => weight.readRows(0, 2, new Uint8Array(16), AbortSignal.abort()));
  assert.is(error.code, "ABORTED");
});

test.run();
