/** Every 16-bit weight value must reach the arithmetic exactly, on each path that reads weights. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { WeightRows } from "../../src/backends/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { weightRows } from "../../src/conformance/harness.ts";
import { fromFloat32, toFloat32 } from "../../src/tensor/elements.ts";
import { failure } from "../checkpoint/fixtures.ts";
import { programOf } from "./wasm-sample.ts";

for (const dtype of ["f16", "bf16"] as const) {
  const narrow = (value: number) => fromFloat32(dtype, Float32Array.of(value))[0] as number;
  const widen = (pattern: number) => toFloat32(dtype, Uint16Array.of(pattern))[0] as number;
  const patterns = Uint16Array.from({ length: 65536 }, (_, pattern) => pattern);
  const finite = [...toFloat32(dtype, patterns)].filter(Number.isFinite);
  const spec = { name: "w", shape: [finite.length, 1], dtype, sources: [] } as const;

  for (const rows of [1, 5]) {
    test(`every finite ${dtype} value, times 1 in a product of ${rows} rows`, async () => {
      const engine = await wasmBackend.open();
      const program = programOf((builder) => {
        const x = builder.input("x", [rows, 1], "f32");
        return { y: builder.linear({ x, w: builder.weight("w", [finite.length, 1]) }) };
      }, dtype);
      const w = await engine.uploadWeight(weightRows(spec, finite), "tiles8");
      const y = engine.allocate("f32", rows, finite.length);
      const executable = engine.load(program, new Map([["w", w]]));
      await engine.run(executable, { symbols: {}, buffers: { x: new Float32Array(rows).fill(1), y } });
      const expected = Float32Array.from(finite, (value) => value + 0);
      for (let row = 0; row < rows; row++) assert.equal(await engine.read(y, row, 1), expected);
      engine.dispose();
    });
  }

  for (const layout of ["plain", "tiles8"] as const) {
    test(`f32 values stored as ${dtype} (${layout}) are the nearest, ties to even, and embed reads them`, async () => {
      const engine = await wasmBackend.open();
      // Eight columns by SIMD, the others one by one.
      const [count, cols] = [1600, 13];
      const values = Float32Array.from({ length: count * cols }, (_, index) => {
        const exact = finite[(index * 7919) % finite.length] as number;
        const next = widen((narrow(exact) + 1) & 0xffff);
        const between = Number.isFinite(next) ? exact + (next - exact) * ((index % 5) / 4) : exact;
        return Math.abs(between) < 60000 ? between : 1;
      });
      const program = programOf((builder) => {
        const ids = builder.input("ids", [count], "i32");
        const table = builder.weight("w", [count, cols]);
        const y = builder.embed({ ids, table }, { first: 0, total: count });
        if (layout === "plain") return { y };
        // Tied embeddings: the linear asks for tiles.
        return { y, logits: builder.linear({ x: builder.input("x", [1, cols], "f32"), w: table }) };
      }, dtype);
      const shaped = { ...spec, shape: [count, cols] };
      const table = await engine.uploadWeight(weightRows(shaped, values, "f32"), layout);
      const y = engine.allocate("f32", count, cols);
      const tied = layout === "plain" ? {} : { x: new Float32Array(cols), logits: new Float32Array(count) };
      const ids = Int32Array.from({ length: count }, (_, index) => index);
      const executable = engine.load(program, new Map([["w", table]]));
      await engine.run(executable, { symbols: {}, buffers: { ids, y, ...tied } });
      assert.equal(
        await engine.read(y),
        values.map((value) => widen(narrow(value))),
      );
      engine.dispose();
    });
  }

  test(`NaN and infinity in ${dtype} tiles are found wherever they lie, and counted`, async () => {
    const engine = await wasmBackend.open();
    // Two whole tiles and three rows; columns by eights and three.
    const [count, cols] = [19, 19];
    const shaped = { name: "w", shape: [count, cols], dtype, sources: [] } as const;
    const stored = Uint16Array.from({ length: count * cols }, () => narrow(1));
    const infinity = narrow(Number.NEGATIVE_INFINITY);
    const upload = async (bad: ReadonlyMap<number, number>) => {
      const patterns = stored.map((pattern, at) => bad.get(at) ?? pattern);
      const rows: WeightRows = {
        spec: shaped,
        dtype,
        rows: count,
        cols,
        async readRows(first, some, into) {
          into.set(new Uint8Array(patterns.buffer, 2 * first * cols, 2 * some * cols));
        },
      };
      return failure(() => engine.uploadWeight(rows, "tiles8"));
    };
    for (let at = 0; at < stored.length; at++) {
      const { code, message } = await upload(new Map([[at, at % 2 ? infinity : infinity | 1]]));
      assert.is(code, "WEIGHTS_INVALID");
      assert.match(message, /has 1 values that are NaN or infinite/, `element ${at}`);
    }
    const many = Array.from({ length: 40 }, (_, index) => [index * 9, infinity] as const);
    assert.match((await upload(new Map(many))).message, /has 40 values/);
    assert.is(engine.liveBytes, 0);
    engine.dispose();
  });
}

const LONG = { rows: 120, cols: 16384 } as const;

/** Rows of 64 KiB, row r all r: pieces of 16 of them are read while others are laid out. */
function slowRows(fails: number | null, watch: { now: number; most: number; rows: number }): WeightRows {
  const { rows, cols } = LONG;
  return {
    spec: { name: "w", shape: [rows, cols], dtype: "bf16", sources: [] },
    dtype: "f32",
    rows,
    cols,
    async readRows(first, count, into) {
      watch.most = Math.max(watch.most, ++watch.now);
      await new Promise((resolve) => setTimeout(resolve, first % 32 === 0 ? 8 : 2));
      watch.now--;
      if (first === fails) throw new Error("the disk is gone");
      const values = new Float32Array(into.buffer, into.byteOffset, into.length / 4);
      for (let row = 0; row < count; row++) values.fill(first + row, row * cols, (row + 1) * cols);
      watch.rows += count;
    },
  };
}

test("pieces that are read ahead lie where they belong, whichever is there first", async () => {
  const { rows, cols } = LONG;
  const engine = await wasmBackend.open();
  const watch = { now: 0, most: 0, rows: 0 };
  const program = programOf((builder) => {
    const ids = builder.input("ids", [rows], "i32");
    const table = builder.weight("w", [rows, cols]);
    return {
      y: builder.embed({ ids, table }, { first: 0, total: rows }),
      z: builder.linear({ x: builder.input("x", [1, cols], "f32"), w: table }),
    };
  }, "bf16");
  const table = await engine.uploadWeight(slowRows(null, watch), "tiles8");
  assert.equal(watch, { now: 0, most: 2, rows });
  const [y, z] = [engine.allocate("f32", rows, cols), engine.allocate("f32", 1, rows)];
  const executable = engine.load(program, new Map([["w", table]]));
  const ids = Int32Array.from({ length: rows }, (_, row) => row);
  await engine.run(executable, { symbols: {}, buffers: { ids, x: new Float32Array(cols), y, z } });
  const found = await engine.read(y);
  assert.ok(found.every((value, at) => value === Math.floor(at / cols)));
  engine.dispose();
});

test("a read that fails behind the first piece ends the upload, and nothing stays", async () => {
  const engine = await wasmBackend.open();
  for (const fails of [0, 16, 64, 112]) {
    const watch = { now: 0, most: 0, rows: 0 };
    const error = await engine.uploadWeight(slowRows(fails, watch), "tiles8").catch((cause) => cause);
    assert.is(error.message, "the disk is gone", `piece ${fails}`);
    assert.is(watch.now, 0, "nothing is on its way any more");
    assert.is(engine.liveBytes, 0);
  }
  engine.dispose();
});

test.run();
