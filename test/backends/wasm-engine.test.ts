/** The WebAssembly engine beyond the contract all engines share: slices, memory limits, lifetimes. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { weightRows } from "../../src/conformance/harness.ts";
import { deepProgram, failure, indexProgram, programOf, uploadAll, wave } from "./wasm-sample.ts";

test("a long run lets timers run, reports rising progress, and can be aborted and repeated", async () => {
  const engine = await wasmBackend.open();
  const [width, depth, tokens] = [256, 60, 200];
  const program = deepProgram(width, depth);
  const weights = await uploadAll(engine, program, (_, size) => wave(size).map((value) => value / width));
  const executable = engine.load(program, weights);
  const y = engine.allocate("f32", tokens, width);
  const bindings = { symbols: { tokens }, buffers: { x: wave(tokens * width), y } };

  const controller = new AbortController();
  const aborted = await failure(() =>
    engine.run(executable, bindings, {
      signal: controller.signal,
      onProgress: () => controller.abort(),
    }),
  );
  assert.is(aborted.code, "ABORTED");

  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const shares: number[] = [];
  await engine.run(executable, bindings, { onProgress: (share) => shares.push(share) });
  clearInterval(timer);
  assert.ok(ticks > 0, "no timer ran");
  assert.ok(shares.length > 1);
  assert.equal(
    shares,
    [...shares].sort((a, b) => a - b),
  );
  assert.is(shares.at(-1), 1);
  const first = await engine.read(y);
  await engine.run(executable, bindings);
  assert.equal(await engine.read(y), first);
  engine.dispose();
});

test("a second run at the same time, a disposal in the middle, and another engine's program are refused", async () => {
  const engine = await wasmBackend.open();
  const program = deepProgram(256, 60);
  const weights = await uploadAll(engine, program, (_, size) => new Float32Array(size));
  const executable = engine.load(program, weights);
  const y = engine.allocate("f32", 200, 256);
  const bindings = { symbols: { tokens: 200 }, buffers: { x: new Float32Array(200 * 256), y } };
  const running = failure(() => engine.run(executable, bindings));
  assert.is((await failure(() => engine.run(executable, bindings))).code, "INPUT_INVALID");
  engine.dispose();
  assert.is((await running).code, "DISPOSED");
  assert.is(engine.liveBytes, 0);

  const other = await wasmBackend.open();
  assert.is((await failure(() => other.run(executable, bindings))).code, "PROGRAM_INVALID");
  other.dispose();
});

test("index operands that lead outside are refused by name, and the engine stays usable", async () => {
  const engine = await wasmBackend.open();
  const program = indexProgram();
  const executable = engine.load(program, await uploadAll(engine, program, (_, size) => wave(size)));
  const y = engine.allocate("f32", 2, 3);
  const run = (ids: number[], rows: number[]) =>
    failure(() =>
      engine.run(executable, {
        symbols: { tokens: 2 },
        buffers: { ids: Int32Array.from(ids), rows: Int32Array.from(rows), y },
      }),
    );
  for (const [ids, rows, message] of [
    [[4, 0], [0, 1], /ids holds 4, expected -1\.\.3/],
    [[0, -2], [0, 1], /ids holds -2/],
    [[0, 1], [0, 2], /rows holds 2, expected 0\.\.1/],
    [[0, 1], [2 ** 31 - 1, 0], /rows holds/],
  ] as const) {
    const { code, message: found } = await run([...ids], [...rows]);
    assert.is(code, "INPUT_INVALID");
    assert.match(found, message);
  }
  assert.is((await run([3, 2], [1, 0])).code, undefined);
  assert.equal((await engine.read(y)).slice(0, 3), wave(12).slice(6, 9));
  engine.dispose();
});

test("attention over no run at all, not even of its first bound, does nothing", async () => {
  const engine = await wasmBackend.open();
  const program = programOf((builder) => {
    const q = builder.input("q", [builder.symbol("tokens"), 8], "f32");
    const cuSeqlens = builder.input("cuSeqlens", [builder.symbol("bounds")], "i32");
    return {
      y: builder.attention_varlen({ q, k: q, v: q, cuSeqlens }, { numHeads: 2, headDim: 4, scale: 1 }),
    };
  });
  const executable = engine.load(program, new Map());
  for (const tokens of [3, 0]) {
    const y = engine.allocate("f32", tokens, 8);
    const buffers = { q: wave(tokens * 8), cuSeqlens: new Int32Array(), y };
    await engine.run(executable, { symbols: { tokens, bounds: 0 }, buffers });
    assert.equal(await engine.read(y), new Float32Array(tokens * 8));
  }
  engine.dispose();
});

test("impossible sizes are OUT_OF_MEMORY or INPUT_INVALID, and nothing stays allocated", async () => {
  const engine = await wasmBackend.open();
  for (const [rows, cols] of [
    [2 ** 20, 2 ** 10],
    [2 ** 16, 2 ** 20],
    [2 ** 30, 2 ** 30],
  ] as const) {
    const { code, message } = await failure(() => engine.allocate("f32", rows, cols));
    assert.is(code, "OUT_OF_MEMORY");
    assert.match(message, /4 GiB/);
    assert.match(message, new RegExp(`${rows * cols * 4} bytes`));
  }
  assert.is(engine.liveBytes, 0);

  const program = deepProgram(1024, 3);
  const executable = engine.load(
    program,
    await uploadAll(engine, program, (_, size) => new Float32Array(size)),
  );
  const held = engine.liveBytes;
  const y = engine.allocate("f32", 1, 1024);
  for (const [tokens, code] of [
    [2 ** 20, "INPUT_INVALID"],
    [2 ** 31, "INPUT_INVALID"],
    [-1, "INPUT_INVALID"],
    [1.5, "INPUT_INVALID"],
    [Number.NaN, "INPUT_INVALID"],
  ] as const) {
    const buffers = { x: new Float32Array(1024), y };
    const found = await failure(() => engine.run(executable, { symbols: { tokens }, buffers }));
    assert.is(found.code, code, `${tokens}: ${found.message}`);
  }
  engine.free(y);
  assert.is(engine.liveBytes, held);
  const small = engine.allocate("f32", 1, 1024);
  await engine.run(executable, { symbols: { tokens: 1 }, buffers: { x: new Float32Array(1024), y: small } });
  engine.dispose();
  assert.is(engine.liveBytes, 0);
});

test("temporaries that can not be held are OUT_OF_MEMORY", async () => {
  const engine = await wasmBackend.open();
  const program = programOf((builder) => {
    const x = builder.input("x", [1, 2 ** 15], "f32");
    const w = builder.weight("w", [2 ** 15, 1]);
    const rows = builder.input("rows", [builder.symbol("tokens")], "i32");
    const tall = builder.linear({
      x: builder.gather_rows({ x, rows }),
      w: builder.weight("v", [1, 2 ** 15]),
    });
    return { y: builder.linear({ x: builder.linear({ x: tall, w }), w: builder.weight("u", [1, 2 ** 15]) }) };
  });
  const executable = engine.load(
    program,
    await uploadAll(engine, program, (_, size) => new Float32Array(size)),
  );
  const tokens = 2 ** 16;
  const y = engine.allocate("f32", tokens, 1);
  const buffers = { x: new Float32Array(2 ** 15), rows: new Int32Array(tokens), y };
  const held = engine.liveBytes;
  const { code, message } = await failure(() => engine.run(executable, { symbols: { tokens }, buffers }));
  assert.is(code, "OUT_OF_MEMORY");
  assert.match(message, /temporaries/);
  assert.is(engine.liveBytes, held);
  engine.dispose();
});

test("weights that are not finite, or not in f16, are refused by name and leave nothing behind", async () => {
  const engine = await wasmBackend.open();
  const spec = (dtype: "f32" | "f16") => ({ name: "layer.w", shape: [3, 5], dtype, sources: [] });
  for (const [dtype, value, layout] of [
    ["f32", Number.NaN, "tiles8"],
    ["f32", Number.POSITIVE_INFINITY, "plain"],
    ["f16", 70000, "tiles8"],
    ["f16", -70000, "plain"],
  ] as const) {
    const source = weightRows(spec(dtype), new Float32Array(15).fill(1).fill(value, 14), "f32");
    const { code, message } = await failure(() => engine.uploadWeight(source, layout));
    assert.is(code, "WEIGHTS_INVALID");
    assert.match(message, /"layer\.w" has 1 values/);
  }
  assert.is(engine.liveBytes, 0);
  engine.dispose();
});

test("a reader that fails leaves nothing behind", async () => {
  const engine = await wasmBackend.open();
  for (const layout of ["plain", "tiles8"] as const) {
    const spec = { name: "w", shape: [20, 5], dtype: "f32", sources: [] } as const;
    const source = {
      ...weightRows(spec, new Float32Array(100)),
      readRows: () => Promise.reject(new Error("disk")),
    };
    assert.match((await failure(() => engine.uploadWeight(source, layout))).message, /disk/);
  }
  assert.is(engine.liveBytes, 0);
  engine.dispose();
});

test("loading holds the weight and a small staging block, and tiles survive many chunks", async () => {
  const engine = await wasmBackend.open();
  const [rows, cols] = [1301, 2048];
  const program = programOf((builder) => ({
    y: builder.linear({ x: builder.input("x", [1, cols], "f32"), w: builder.weight("w", [rows, cols]) }),
  }));
  const values = wave(rows * cols);
  const source = weightRows(program.weights[0] as (typeof program.weights)[0], values);
  let peak = 0;
  let reads = 0;
  const watched = {
    ...source,
    readRows: (first: number, count: number, into: Uint8Array) => {
      peak = Math.max(peak, engine.liveBytes);
      reads++;
      return source.readRows(first, count, into);
    },
  };
  const w = await engine.uploadWeight(watched, "tiles8");
  assert.ok(reads > 1, `${reads} reads`);
  assert.ok(peak <= w.bytes + (5 << 20), `${peak} bytes for a weight of ${w.bytes}`);
  assert.is(engine.liveBytes, w.bytes);

  const y = engine.allocate("f32", 1, rows);
  const x = new Float32Array(cols);
  const pick = 1777;
  x[pick] = 1;
  await engine.run(engine.load(program, new Map([["w", w]])), { symbols: {}, buffers: { x, y } });
  assert.equal(
    await engine.read(y),
    Float32Array.from({ length: rows }, (_, row) => values[row * cols + pick] as number),
  );
  engine.dispose();
});

test.run();
