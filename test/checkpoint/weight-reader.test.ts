import { test } from "uvu";
import * as assert from "uvu/assert";
import { blobFiles } from "../../src/checkpoint/blobs.ts";
import type { CheckpointFiles } from "../../src/checkpoint/files.ts";
import { plainTensor } from "../../src/checkpoint/plain-weight.ts";
import { readSafetensorsHeader } from "../../src/checkpoint/safetensors.ts";
import type { StoredWeight } from "../../src/checkpoint/stored-weight.ts";
import { WeightReader } from "../../src/checkpoint/weight-reader.ts";
import { randomBlocks } from "../../src/conformance/random-blocks.ts";
import type { WeightSource, WeightSpec } from "../../src/graph/weight-spec.ts";
import { quantise } from "../../src/tensor/blocks.ts";
import { widenRows } from "../../src/tensor/rows.ts";
import { storageBytes, type WeightFormat } from "../../src/tensor/storage.ts";
import { f32, failure, half, safetensors, type TensorFixture } from "./fixtures.ts";

/** What is asked of each tensor beside its name and shape. */
type Asked = Partial<Omit<WeightSource, "tensor" | "shape">>;

async function reader(
  tensors: Readonly<Record<string, TensorFixture>>,
  shape: readonly number[],
  asked: Asked | Readonly<Record<string, Asked>> = {},
  onRead: (offset: number, bytes: number) => void = () => {},
): Promise<WeightReader> {
  const file = safetensors(tensors);
  const blobs = blobFiles(new Map([["m.safetensors", new Blob([file])]]));
  const files: CheckpointFiles = {
    ...blobs,
    readInto: (name, offset, into, signal) => {
      onRead(offset, into.length);
      return blobs.readInto(name, offset, into, signal);
    },
  };
  const header = await readSafetensorsHeader(files, "m.safetensors", file.length);
  const stored = header.map((tensor) => plainTensor(files, tensor) as StoredWeight);
  const sourceOf = ({ name, shape }: StoredWeight): WeightSource => ({
    layout: "rows",
    ...(name in asked ? (asked as Record<string, Asked>)[name] : (asked as Asked)),
    tensor: name,
    shape,
  });
  const sources = stored.map((tensor) => ({ ...sourceOf(tensor), tensor }));
  const spec: WeightSpec = {
    name: "w",
    shape,
    dtype: "f32",
    sources: stored.map(sourceOf),
  };
  return new WeightReader(spec, sources, 0);
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
  const weight = await reader({ conv: f32([2, 3, 2, 2], values) }, [2, 12], { layout: "conv2x2" });
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

function f64(shape: readonly number[], values: readonly number[]): TensorFixture {
  return { dtype: "F64", shape, data: new Uint8Array(new Float64Array(values).buffer) };
}

test("F64 is rounded to f32 once: rows, columns, convolutions, beside other types and scaled", async () => {
  const exact = [0.1, 1 + 2 ** -24, 1 + 2 ** -24 + 2 ** -50, -1e-46, 1e38, 3e-39];
  const rounded = exact.map(Math.fround);
  assert.equal(await rows(await reader({ a: f64([3, 2], exact) }, [3, 2]), 1, 2), rounded.slice(2));
  const cut = await reader({ a: f64([3, 2], exact) }, [3, 1], { cols: { first: 1, count: 1 } });
  assert.equal(
    await rows(cut, 0, 3),
    [1, 3, 5].map((index) => rounded[index]),
  );
  const values = range(0, 24).map((n) => 100 * Math.floor(n / 12) + 10 * (Math.floor(n / 4) % 3) + (n % 4));
  const conv = await reader({ conv: f64([2, 3, 2, 2], values) }, [2, 12], { layout: "conv2x2" });
  assert.equal((await rows(conv, 1, 1)).slice(0, 4), [100, 110, 120, 101]);
  const mixed = await reader(
    { a: f64([1, 2], exact.slice(0, 2)), b: half("BF16", [1, 2], [0x3f80, 0]) },
    [2, 2],
  );
  assert.equal(await rows(mixed, 0, 2), [...rounded.slice(0, 2), 1, 0]);
  const scaled = await reader({ a: f64([1, 2], [0.25, 3]) }, [1, 2], { scale: 2 });
  assert.equal(await rows(scaled, 0, 1), [0.5, 6]);
});

test("of F64, more rows than one read holds; values that no f32 holds are found", async () => {
  const cols = 1000;
  const data = new Float64Array(1500 * cols).map((_, index) => index % 8191);
  const big = { dtype: "F64", shape: [1500, cols], data: new Uint8Array(data.buffer) };
  const weight = await reader({ big }, [1500, cols]);
  assert.is(weight.bytes, 4 * data.length);
  assert.equal(await rows(weight, 1490, 10), [...data.subarray(1490 * cols)]);
  assert.is(await weight.findNotFinite(), null);
  const beyond = await reader({ a: f64([1, 2], [1, 1e39]) }, [1, 2]);
  assert.equal(await beyond.findNotFinite(), { tensor: "a", file: "m.safetensors" });
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

/** [rows, cols] of 100 row + col. */
const grid = (rows: number, cols: number) =>
  f32(
    [rows, cols],
    range(0, rows * cols).map((at) => 100 * Math.floor(at / cols) + (at % cols)),
  );

test("rows of a tensor are read where they lie, and nothing else", async () => {
  const reads: number[] = [];
  const ranged = { rows: { first: 2, count: 3 } };
  const weight = await reader({ a: grid(7, 4) }, [3, 4], ranged, (_, bytes) => reads.push(bytes));
  reads.length = 0;
  assert.equal(
    await rows(weight, 0, 3),
    range(2, 5).flatMap((row) => range(0, 4).map((col) => 100 * row + col)),
  );
  assert.equal(reads, [3 * 4 * 4]);
  assert.equal(await rows(weight, 1, 1), range(300, 304));
});

test("a rectangle of a tensor: any run of its rows, one read for all", async () => {
  const reads: number[] = [];
  const ranged = { rows: { first: 1, count: 4 }, cols: { first: 2, count: 3 } };
  const weight = await reader({ a: grid(6, 7) }, [4, 3], ranged, (_, bytes) => reads.push(bytes));
  for (let first = 0; first < 4; first++) {
    for (let count = 1; first + count <= 4; count++) {
      reads.length = 0;
      const expected = range(1 + first, 1 + first + count).flatMap((row) =>
        range(2, 5).map((col) => 100 * row + col),
      );
      assert.equal(await rows(weight, first, count), expected, `${first} +${count}`);
      assert.equal(reads, [count * 7 * 4]);
    }
  }
});

test("parts of several tensors, of different types and scaled, are one weight", async () => {
  const tensors = { a: grid(4, 3), b: half("BF16", [2, 4], [0x3f80, 0x4000, 0x4040, 0x4080, 0, 0, 0, 0]) };
  const asked = {
    a: { rows: { first: 3, count: 1 }, cols: { first: 1, count: 2 }, scale: 2 },
    b: { rows: { first: 0, count: 1 }, cols: { first: 1, count: 2 } },
  };
  const weight = await reader(tensors, [2, 2], asked);
  assert.is(weight.dtype, "f32");
  assert.equal(await rows(weight, 0, 2), [602, 604, 2, 3]);
});

test("columns of more rows than one read holds", async () => {
  const [count, cols] = [3000, 1000];
  const data = new Float32Array(count * cols).map((_, index) => index % 8191);
  const reads: number[] = [];
  const tensor = { dtype: "F32", shape: [count, cols], data: new Uint8Array(data.buffer) };
  const ranged = { cols: { first: 700, count: 2 } };
  const weight = await reader({ big: tensor }, [count, 2], ranged, (_, bytes) => reads.push(bytes));
  reads.length = 0;
  const found = await rows(weight, 100, 2500);
  const expected = range(100, 2600).flatMap((row) => [...data.subarray(row * cols + 700, row * cols + 702)]);
  assert.equal(found, expected);
  assert.is(reads.length, 3);
  assert.ok(reads.every((bytes) => bytes <= 4 << 20));
});

test("what is not finite outside of the rectangle does not matter", async () => {
  const values = [1, 2, Number.NaN, 4, 5, 6];
  const find = async (first: number) =>
    (await reader({ a: f32([2, 3], values) }, [2, 1], { cols: { first, count: 1 } })).findNotFinite();
  assert.is(await find(1), null);
  assert.equal(await find(2), { tensor: "a", file: "m.safetensors" });
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

/** A tensor [rows, 64] as blocks of `format`, of which row r and column c are r + c / 8 before rounding. */
function blocks(name: string, format: "q8" | "q4", rows: number): StoredWeight & { values: Float32Array } {
  const cols = 64;
  const exact = Float32Array.from(range(0, rows * cols), (at) => Math.floor(at / cols) + (at % cols) / 8);
  const bytes = new Uint8Array(storageBytes(format, rows, cols));
  quantise(format, exact, bytes);
  const rowBytes = storageBytes(format, 1, cols);
  return {
    name,
    shape: [rows, cols],
    encoding: format.toUpperCase(),
    bytes: bytes.length,
    file: "m",
    offset: 0,
    format,
    isDecoded: false,
    values: widenRows(format, bytes),
    readRows: async (first, count, into) =>
      into.set(bytes.subarray(first * rowBytes, (first + count) * rowBytes)),
  };
}

function ofBlocks(tensors: readonly StoredWeight[], dtype: WeightFormat, asked: Asked = {}): WeightReader {
  const sources = tensors.map((tensor) => ({ layout: "rows" as const, ...asked, tensor }));
  const cols = asked.cols?.count ?? 64;
  const rows = tensors.reduce((sum, { shape }) => sum + (shape[0] as number), 0);
  const specSources = tensors.map(({ name, shape }) => ({ tensor: name, shape, layout: "rows" as const }));
  return new WeightReader({ name: "w", shape: [rows, cols], dtype, sources: specSources }, sources, 0);
}

for (const format of ["q8", "q4"] as const) {
  test(`${format}: blocks come through untouched for a weight that is stored in them, in whole blocks of columns too`, async () => {
    const [a, b] = [blocks("a", format, 3), blocks("b", format, 2)];
    const weight = ofBlocks([a, b], format);
    assert.is(weight.dtype, format);
    const bytes = new Uint8Array(storageBytes(format, 3, 64));
    await weight.readRows(1, 3, bytes);
    assert.equal([...widenRows(format, bytes)], [...a.values.subarray(64), ...b.values.subarray(0, 64)]);
    const right = ofBlocks([a], format, { cols: { first: 32, count: 32 } });
    assert.is(right.dtype, format);
    const half = new Uint8Array(storageBytes(format, 2, 32));
    await right.readRows(1, 2, half);
    assert.equal([...widenRows(format, half)], [...a.values.subarray(96, 128), ...a.values.subarray(160)]);
  });

  test(`${format}: widened for every other format, for parts of blocks, beside other types, and scaled`, async () => {
    const a = blocks("a", format, 3);
    for (const dtype of ["f32", "bf16", format === "q8" ? "q4" : "q8"] as const) {
      assert.equal(await rows(ofBlocks([a], dtype), 1, 2), [...a.values.subarray(64)], dtype);
    }
    const part = ofBlocks([a], format, { cols: { first: 30, count: 5 } });
    assert.equal(await rows(part, 1, 1), [...a.values.subarray(94, 99)]);
    const scaled = ofBlocks([a], format, { scale: 2 });
    assert.equal(
      await rows(scaled, 0, 1),
      [...a.values.subarray(0, 64)].map((value) => 2 * value),
    );
    const other = blocks("b", format === "q8" ? "q4" : "q8", 1);
    const mixed = ofBlocks([a, other], format);
    assert.equal(await rows(mixed, 2, 2), [...a.values.subarray(128), ...other.values]);
  });
}

test("q5_0 becomes q8 without loss, beside nothing else", async () => {
  const cols = 64;
  const rowBytes = storageBytes("q5_0", 1, cols);
  const bytes = randomBlocks("q5_0", "a", 3, cols);
  const a: StoredWeight = {
    ...blocks("a", "q8", 3),
    format: "q5_0",
    bytes: bytes.length,
    readRows: async (first, count, into) =>
      into.set(bytes.subarray(first * rowBytes, (first + count) * rowBytes)),
  };
  const weight = ofBlocks([a], "q8");
  assert.is(weight.dtype, "q8");
  const found = new Uint8Array(storageBytes("q8", 2, cols));
  await weight.readRows(1, 2, found);
  assert.equal(widenRows("q8", found), widenRows("q5_0", bytes).subarray(cols));
  assert.is(ofBlocks([a, blocks("b", "q8", 1)], "q8").dtype, "f32");
});

test("a block whose scale is NaN is found, in the columns used", async () => {
  const a = blocks("a", "q8", 2);
  const bytes = new Uint8Array(a.bytes);
  await a.readRows(0, 2, bytes);
  bytes.set([0xff, 0x7e], storageBytes("q8", 1, 32));
  const damaged = {
    ...a,
    readRows: async (first: number, count: number, into: Uint8Array) =>
      into.set(bytes.subarray(storageBytes("q8", first, 64), storageBytes("q8", first + count, 64))),
  };
  const found = (cols: { first: number; count: number }) =>
    ofBlocks([damaged], "q8", { cols }).findNotFinite();
  assert.equal(await ofBlocks([damaged], "q8").findNotFinite(), { tensor: "a", file: "m" });
  assert.is(await found({ first: 0, count: 32 }), null);
  assert.equal(await found({ first: 31, count: 2 }), { tensor: "a", file: "m" });
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
