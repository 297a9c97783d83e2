/** What every engine must do around its kernels: memory, bindings, errors, interruption, lifetimes. */
import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type {
  Backend,
  Binding,
  DeviceTensor,
  DeviceWeight,
  Engine,
  Executable,
  WeightRows,
} from "../../src/backends/backend.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { weightRows } from "../../src/conformance/harness.ts";
import type { ErrorCode } from "../../src/errors.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";
import type { WeightSpec } from "../../src/graph/weight-spec.ts";
import { type VerifiedProgram, verifyProgram } from "../../src/program/verify-program.ts";
import { type WeightUse, weightLayouts } from "../../src/program/weights.ts";
import type { WeightDType } from "../../src/tensor/dtype.ts";
import { fromFloat32, toFloat32 } from "../../src/tensor/elements.ts";
import { WEIGHT_LAYOUTS, type WeightLayout } from "../../src/tensor/storage.ts";

/** y = x wᵀ for each id: y = linear(embed(ids, table), w), with the identity as w. */
function sampleProgram(backend: Backend, weightDType: WeightDType): VerifiedProgram {
  const builder = createGraphBuilder({
    name: "sample",
    activationDType: "f32",
    weightDType: () => weightDType,
  });
  const tokens = builder.symbol("tokens");
  const rows = builder.embed(
    { ids: builder.input("ids", [tokens], "i32"), table: builder.weight("table", [4, 3]) },
    { first: 0, total: 4 },
  );
  const x = builder.add({ a: rows, b: builder.input("x", [tokens, 3], "f32") });
  const y = builder.linear({ x, w: builder.weight("identity", [3, 3]) });
  return compileGraph(builder.finish({ y }), { weightLayout: backend.weightLayout });
}

const TABLE = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
const VALUES: Readonly<Record<string, readonly number[]>> = {
  table: TABLE,
  identity: [1, 0, 0, 0, 1, 0, 0, 0, 1],
};
const IDS = Int32Array.of(3, 0);
const X = Float32Array.of(0.5, 0, 0, 0, 0, 0.25);
const EXPECTED = Float32Array.of(10.5, 11, 12, 1, 2, 3.25);
const SYMBOLS = { tokens: 2 };
/** Exact in bf16 and f16, between two of their values, at ties to either side, near the ends of their ranges. */
const HALF_WAY = Float32Array.of(
  ...[
    0,
    -0,
    1,
    -1.5,
    1 + 2 ** -8,
    1 + 3 * 2 ** -8,
    1 + 2 ** -11,
    1 + 3 * 2 ** -11,
    1 + 2 ** -11 + 2 ** -20,
    -Math.PI,
  ],
  ...[2 ** -14, 2 ** -24, 2 ** -25, 3 * 2 ** -25, 30000, Number.POSITIVE_INFINITY],
);

interface Sample {
  readonly engine: Engine;
  readonly weights: Map<string, DeviceWeight>;
  readonly executable: Executable;
  readonly y: DeviceTensor;
}

async function openSample(backend: Backend, stored: WeightDType, published: WeightDType): Promise<Sample> {
  const engine = await backend.open();
  const program = sampleProgram(backend, stored);
  const weights = new Map<string, DeviceWeight>();
  const layouts = weightLayouts(program);
  for (const spec of program.weights) {
    const layout = layouts.get(spec.name) as WeightLayout;
    const source = weightRows(spec, VALUES[spec.name] as number[], published);
    weights.set(spec.name, await engine.uploadWeight(source, layout));
  }
  return { engine, weights, executable: engine.load(program, weights), y: engine.allocate("f32", 2, 3) };
}

/** Those in which it wants weights of any use. */
function layoutsOf(backend: Backend): Set<WeightLayout> {
  const uses: readonly WeightUse[] = ["matrix", "rows", "data"];
  return new Set(uses.map((use) => backend.weightLayout("f32", new Set([use]))));
}

function otherThan(layout: WeightLayout): WeightLayout {
  return WEIGHT_LAYOUTS.find((other) => other !== layout) as WeightLayout;
}

async function rejects(action: () => unknown, code: ErrorCode, message: RegExp = /./): Promise<void> {
  try {
    await action();
  } catch (error) {
    assert.is((error as { code?: string }).code, code, String(error));
    assert.match(String(error), message);
    return;
  }
  assert.unreachable(`expected ${code}`);
}

export function engineContract(test: Test, backend: Backend): void {
  const contract = (name: string, body: (sample: Sample) => Promise<void>) =>
    test(`${backend.name} engine: ${name}`, async () => {
      const sample = await openSample(backend, "f32", "f32");
      try {
        await body(sample);
      } finally {
        sample.engine.dispose();
      }
    });
  const run = ({ engine, executable, y }: Sample, buffers: Readonly<Record<string, Binding>> = {}) =>
    engine.run(executable, { symbols: SYMBOLS, buffers: { ids: IDS, x: X, y, ...buffers } });

  test(`${backend.name} runs on one thread, and says so when it is asked for more`, async () => {
    (await backend.open({ threads: 1 })).dispose();
    for (const threads of [0, 1.5, 2, 64]) {
      await rejects(() => backend.open({ threads }), "OPTION_INVALID", new RegExp(`threads is ${threads},`));
    }
  });

  test(`${backend.name} probes well`, async () => {
    const probe = await backend.probe();
    assert.ok(probe.ok, probe.ok ? "" : probe.reason);
  });

  for (const stored of ["f32", "bf16", "f16"] as const) {
    for (const published of ["f32", "bf16", "f16"] as const) {
      test(`${backend.name} engine: weights published as ${published}, stored as ${stored}`, async () => {
        const sample = await openSample(backend, stored, published);
        await run(sample);
        assert.equal(await sample.engine.read(sample.y), EXPECTED);
        sample.engine.dispose();
      });
    }
  }

  contract("a new tensor is zero, keeps what is written, and reads by rows", async ({ engine }) => {
    for (const dtype of ["f32", "bf16", "f16", "i32"] as const) {
      const tensor = engine.allocate(dtype, 3, 2);
      assert.equal(toFloat32(dtype, await engine.read(tensor)), new Float32Array(6));
      const Data = dtype === "f32" ? Float32Array : dtype === "i32" ? Int32Array : Uint16Array;
      engine.write(tensor, 1, Data.of(7, 8));
      assert.equal(await engine.read(tensor), Data.of(0, 0, 7, 8, 0, 0));
      assert.equal(await engine.read(tensor, 1, 1), Data.of(7, 8));
      const copy = await engine.read(tensor, 0, 1);
      engine.write(tensor, 0, Data.of(5, 5));
      assert.equal(copy, Data.of(0, 0));
      engine.free(tensor);
    }
    const empty = engine.allocate("f32", 0, 5);
    assert.is((await engine.read(empty)).length, 0);
  });

  contract("rows are copied between tensors, and within one", async ({ engine }) => {
    for (const dtype of ["f32", "bf16", "i32"] as const) {
      const Data = dtype === "f32" ? Float32Array : dtype === "i32" ? Int32Array : Uint16Array;
      const from = engine.allocate(dtype, 3, 2);
      engine.write(from, 0, Data.of(1, 2, 3, 4, 5, 6));
      const to = engine.allocate(dtype, 4, 2);
      engine.copy(to, 2, { tensor: from, firstRow: 1, rows: 2 });
      assert.equal(await engine.read(to), Data.of(0, 0, 0, 0, 3, 4, 5, 6));
      engine.copy(to, 0, { tensor: to, firstRow: 2, rows: 2 });
      engine.copy(to, 4, { tensor: from, firstRow: 3, rows: 0 });
      assert.equal(await engine.read(to), Data.of(3, 4, 5, 6, 3, 4, 5, 6));
      assert.equal(await engine.read(from), Data.of(1, 2, 3, 4, 5, 6));
      engine.free(from);
      assert.equal(await engine.read(to, 3, 1), Data.of(5, 6));
      await rejects(() => engine.copy(to, 0, { tensor: from, firstRow: 0, rows: 1 }), "DISPOSED");
    }
  });

  contract("a copy that does not fit is refused, and changes nothing", async ({ engine }) => {
    const tensor = engine.allocate("f32", 3, 2);
    const data = Float32Array.of(1, 2, 3, 4, 5, 6);
    engine.write(tensor, 0, data);
    const [wide, narrow, other] = [
      engine.allocate("f32", 3, 3),
      engine.allocate("f32", 3, 2),
      engine.allocate("i32", 3, 2),
    ];
    for (const [to, firstRow, from, fromRow, rows] of [
      [tensor, 2, narrow, 0, 2],
      [tensor, 0, narrow, 2, 2],
      [tensor, -1, narrow, 0, 2],
      [tensor, 0, narrow, 0, 1.5],
      [tensor, 0, wide, 0, 1],
      [tensor, 0, other, 0, 1],
      [tensor, 1, tensor, 0, 2],
      [tensor, 0, tensor, 1, 2],
    ] as const) {
      await rejects(
        () => engine.copy(to, firstRow, { tensor: from, firstRow: fromRow, rows }),
        "INPUT_INVALID",
        /copy/,
      );
    }
    assert.equal(await engine.read(tensor), data);
  });

  contract(
    "inputs may be host arrays, tensors or rows of a tensor; outputs rows of a tensor",
    async (sample) => {
      const { engine } = sample;
      const x = engine.allocate("f32", 4, 3);
      engine.write(x, 1, X);
      const y = engine.allocate("f32", 5, 3);
      const ids = engine.allocate("i32", 2, 1);
      engine.write(ids, 0, IDS);
      await run(sample, {
        ids,
        x: { tensor: x, firstRow: 1, rows: 2 },
        y: { tensor: y, firstRow: 2, rows: 2 },
      });
      assert.equal(await engine.read(y), Float32Array.of(0, 0, 0, 0, 0, 0, ...EXPECTED, 0, 0, 0));
    },
  );

  contract("an output may be a host array, which is filled when the run ends", async (sample) => {
    const { engine, executable } = sample;
    for (const _ of ["first", "again", "and again, replayed where that is done"]) {
      const y = new Float32Array(8).fill(-1);
      await run(sample, { y });
      assert.equal(y, Float32Array.of(...EXPECTED, -1, -1));
    }
    const empty = { ids: new Int32Array(0), x: new Float32Array(0), y: new Float32Array(0) };
    await engine.run(executable, { symbols: { tokens: 0 }, buffers: empty });
    const big = new Float32Array(900);
    const many = { ids: new Int32Array(300), x: new Float32Array(900), y: big };
    await engine.run(executable, { symbols: { tokens: 300 }, buffers: many });
    assert.equal(big.slice(-3), Float32Array.of(1, 2, 3));
    const untouched = new Float32Array(6).fill(-1);
    const signal = AbortSignal.abort();
    const aborted = { symbols: SYMBOLS, buffers: { ids: IDS, x: X, y: untouched } };
    await rejects(() => engine.run(executable, aborted, { signal }), "ABORTED");
    assert.equal(untouched, new Float32Array(6).fill(-1));
  });

  contract("what is bound stays bound from run to run, until it is bound anew", async (sample) => {
    const { engine, executable, y } = sample;
    const x = engine.allocate("f32", 4, 3);
    engine.write(x, 1, X);
    const rows = { tensor: x, firstRow: 1, rows: 2 };
    const runWith = (buffers: Readonly<Record<string, Binding>>) =>
      engine.run(executable, { symbols: SYMBOLS, buffers });
    engine.bind(executable, { x: rows, y });
    for (const _ of ["first", "again", "and again, replayed where that is done"]) {
      engine.write(y, 0, new Float32Array(6));
      await runWith({ ids: IDS });
      assert.equal(await engine.read(y), EXPECTED);
    }
    // A run's own bindings go before, and for that run alone.
    const zeros = new Float32Array(6);
    const own = new Float32Array(6);
    await runWith({ ids: IDS, x: zeros, y: own });
    assert.equal(own, Float32Array.of(10, 11, 12, 1, 2, 3));
    await runWith({ ids: IDS, x: zeros });
    assert.equal(await engine.read(y), own);
    await runWith({ ids: IDS });
    assert.equal(await engine.read(y), EXPECTED);
    // Other rows, and y is left out.
    engine.bind(executable, { x });
    await rejects(() => runWith({ ids: IDS }), "INPUT_INVALID", /"y"/);
    await runWith({ ids: IDS, y });
    assert.equal(await engine.read(y), Float32Array.of(10, 11, 12, 1.5, 2, 3));
    engine.bind(executable, {});
    await rejects(() => runWith({ ids: IDS, y }), "INPUT_INVALID", /"x"/);
    await run(sample);
  });

  contract("what can not stay bound is named, and what was bound stays", async (sample) => {
    const { engine, executable, y } = sample;
    const x = engine.allocate("f32", 2, 3);
    engine.bind(executable, { x });
    const [short, wide, other] = [
      engine.allocate("f32", 1, 3),
      engine.allocate("f32", 2, 4),
      engine.allocate("i32", 2, 3),
    ];
    const strange = Float32Array.of(1) as unknown as DeviceTensor;
    for (const [resident, message] of [
      [{ x: wide }, /"x" is f32\[2, 4\], expected f32\[\?, 3\]/],
      [{ x: other }, /"x" is i32\[2, 3\], expected f32/],
      [{ x: { tensor: x, firstRow: 1, rows: 2 } }, /"x"/],
      [{ x: { tensor: x, firstRow: -1, rows: 2 } }, /"x"/],
      [{ x: strange }, /"x"/],
      [{ table: x }, /"table"/],
      [{ nothing: x }, /"nothing"/],
    ] as const) {
      await rejects(() => engine.bind(executable, resident), "INPUT_INVALID", message);
    }
    await run(sample, { y });
    // How many rows it takes is known in the run.
    engine.bind(executable, { x: short });
    const buffers = { ids: IDS, y };
    await rejects(() => engine.run(executable, { symbols: SYMBOLS, buffers }), "INPUT_INVALID", /"x"/);
    await engine.run(executable, { symbols: { tokens: 1 }, buffers });
  });

  contract("a bound tensor that was freed, or is another engine's, is refused", async (sample) => {
    const { engine, executable, y } = sample;
    const buffers = { ids: IDS, y };
    const bound = () => engine.run(executable, { symbols: SYMBOLS, buffers });
    const x = engine.allocate("f32", 2, 3);
    engine.bind(executable, { x });
    await bound();
    engine.free(x);
    await rejects(bound, "DISPOSED");
    // What takes its place in memory is another tensor.
    const next = engine.allocate("f32", 2, 3);
    await rejects(bound, "DISPOSED");
    await run(sample);
    await rejects(() => engine.bind(executable, { x }), "DISPOSED");
    engine.bind(executable, { x: next });
    await bound();
    const strangers = await backend.open();
    const foreign = strangers.allocate("f32", 2, 3);
    await rejects(() => engine.bind(executable, { x: foreign }), "DISPOSED");
    await rejects(() => strangers.bind(executable, { x: foreign }), "PROGRAM_INVALID");
    strangers.dispose();
    await bound();
    engine.dispose();
    await rejects(() => engine.bind(executable, {}), "DISPOSED");
  });

  contract("a state is no host array", async ({ engine }) => {
    const builder = createGraphBuilder({ name: "cached", activationDType: "f32", weightDType: () => "f32" });
    const k = builder.input("k", [1, 2], "f32");
    const written = builder.kv_write(
      { k, v: k, slots: builder.input("slots", [1], "i32"), cache: builder.state("cache", [1, 4]) },
      { numKvHeads: 1, headDim: 2, pageSize: 1 },
    );
    const executable = engine.load(compileGraph(builder.finish({ written })), new Map());
    const buffers = { k: Float32Array.of(1, 2), slots: Int32Array.of(0), cache: new Float32Array(4) };
    await rejects(() => engine.run(executable, { symbols: {}, buffers }), "INPUT_INVALID", /"cache"/);
  });

  contract("symbols may differ from run to run", async (sample) => {
    const { engine, executable, y } = sample;
    await run(sample);
    const buffers = { ids: IDS.slice(0, 1), x: X.slice(0, 3), y };
    await engine.run(executable, { symbols: { tokens: 1 }, buffers });
    assert.equal(await engine.read(y), EXPECTED);
    const big = engine.allocate("f32", 300, 3);
    const many = { ids: new Int32Array(300), x: new Float32Array(900), y: big };
    await engine.run(executable, { symbols: { tokens: 300 }, buffers: many });
    assert.equal(await engine.read(big, 299, 1), Float32Array.of(1, 2, 3));
  });

  contract("float32 arrays are rounded into bf16 and f16 tensors", async ({ engine }) => {
    for (const dtype of ["bf16", "f16"] as const) {
      const tensor = engine.allocate(dtype, 4, HALF_WAY.length / 2);
      engine.write(tensor, 1, HALF_WAY);
      assert.equal(await engine.read(tensor, 1, 2), fromFloat32(dtype, HALF_WAY));
      await rejects(() => engine.write(tensor, 3, HALF_WAY), "INPUT_INVALID", /write/);
      await rejects(() => engine.write(tensor, 0, new Int32Array(4)), "INPUT_INVALID", /write/);
    }
    const indices = engine.allocate("i32", 1, HALF_WAY.length);
    await rejects(() => engine.write(indices, 0, HALF_WAY), "INPUT_INVALID", /write/);
  });

  for (const dtype of ["bf16", "f16"] as const) {
    const query = { op: "add", attrs: {}, activation: dtype, formats: { a: dtype, b: dtype } } as const;
    contract(`a ${dtype} input may be a float32 array, which is rounded`, async ({ engine }) => {
      if (!backend.supports(query).ok) return;
      const builder = createGraphBuilder({ name: "twice", activationDType: dtype, weightDType: () => dtype });
      const x = builder.input("x", [builder.symbol("rows"), 2], dtype);
      const executable = engine.load(
        compileGraph(builder.finish({ y: builder.add({ a: x, b: x }) })),
        new Map(),
      );
      const rows = HALF_WAY.length / 2;
      const rounded = fromFloat32(dtype, HALF_WAY);
      const expected = fromFloat32(
        dtype,
        toFloat32(dtype, rounded).map((value) => value + value),
      );
      for (const bound of [HALF_WAY, Float32Array.of(...HALF_WAY, 1), rounded]) {
        const y = new Uint16Array(2 * rows);
        await engine.run(executable, { symbols: { rows }, buffers: { x: bound, y } });
        assert.equal(y, expected);
      }
      const y = new Uint16Array(2 * rows);
      for (const [buffers, message] of [
        [{ x: HALF_WAY.subarray(1), y }, /"x" has \d+ elements/],
        [{ x: new Int32Array(2 * rows), y }, /"x" is i32/],
        [{ x: HALF_WAY, y: new Float32Array(2 * rows) }, /"y" is f32/],
      ] as const) {
        const run = () => engine.run(executable, { symbols: { rows }, buffers });
        await rejects(run, "INPUT_INVALID", message);
      }
    });
  }

  contract("bad bindings are named, and the engine stays usable", async (sample) => {
    const { engine, executable, y } = sample;
    const bind = (buffers: Readonly<Record<string, Binding>>) => () => run(sample, buffers);
    const small = engine.allocate("f32", 1, 3);
    const other = engine.allocate("i32", 2, 3);
    const missing = { symbols: SYMBOLS, buffers: { ids: IDS, y } };
    const cases: readonly [action: () => unknown, message: RegExp][] = [
      [() => engine.run(executable, missing), /"x"/],
      [bind({ x: X.slice(0, 5) }), /"x"/],
      [bind({ x: new Int32Array(6) }), /"x"/],
      [bind({ x: new Uint16Array(6) }), /"x"/],
      [bind({ ids: Float32Array.of(0, 0) }), /"ids"/],
      [bind({ y: new Float32Array(5) }), /"y"/],
      [bind({ y: new Int32Array(6) }), /"y"/],
      [bind({ y: small }), /"y"/],
      [bind({ y: other }), /"y"/],
      [bind({ y: { tensor: y, firstRow: 1, rows: 1 } }), /"y"/],
      [bind({ y: { tensor: y, firstRow: 1, rows: 2 } }), /"y"/],
      [bind({ y: { tensor: y, firstRow: Number.NaN, rows: 2 } }), /"y"/],
      [() => engine.run(executable, { symbols: {}, buffers: { ids: IDS, x: X, y } }), /tokens/],
      [() => engine.write(y, 1, X), /./],
      [() => engine.write(y, 0, new Int32Array(6)), /./],
      [() => engine.read(y, 1, 2), /./],
    ];
    for (const [action, message] of cases) await rejects(action, "INPUT_INVALID", message);
    await run(sample);
    assert.equal(await engine.read(y), EXPECTED);
  });

  contract("a program whose weight was freed does not run", async (sample) => {
    for (const weight of sample.weights.values()) sample.engine.free(weight);
    await rejects(() => run(sample), "DISPOSED");
  });

  contract("a program with a missing or misshapen weight is refused", async ({ engine, weights }) => {
    const program = sampleProgram(backend, "f32");
    const without = new Map(weights);
    without.delete("table");
    await rejects(() => engine.load(program, without), "PROGRAM_INVALID", /"table"/);
    const spec: WeightSpec = { name: "table", shape: [3, 3], dtype: "f32", sources: [] };
    const misshapen = await engine.uploadWeight(weightRows(spec, new Float32Array(9)), "plain");
    const wrong = new Map(weights).set("table", misshapen);
    await rejects(() => engine.load(program, wrong), "PROGRAM_INVALID", /"table"/);
  });

  contract(
    "a weight that is not finite as stored is refused, and leaves nothing behind",
    async ({ engine }) => {
      const held = engine.liveBytes;
      for (const layout of layoutsOf(backend)) {
        const spec = (dtype: WeightDType): WeightSpec => ({ name: "odd", shape: [3, 3], dtype, sources: [] });
        const upload = (source: WeightRows) => () => engine.uploadWeight(source, layout);
        const values = new Float32Array(9);
        values[8] = 1e6;
        await rejects(upload(weightRows(spec("f16"), values, "bf16")), "WEIGHTS_INVALID", /"odd"/);
        values[8] = Number.NaN;
        await rejects(upload(weightRows(spec("bf16"), values)), "WEIGHTS_INVALID", /"odd"/);
        const truncated = {
          ...weightRows(spec("f32"), new Float32Array(9)),
          readRows: () => Promise.reject(TABLE),
        };
        await engine.uploadWeight(truncated, layout).then(
          () => assert.unreachable(),
          (error) => assert.is(error, TABLE),
        );
        assert.is(engine.liveBytes, held);
      }
    },
  );

  contract("weights in a layout that the backend does not read are refused", async ({ engine, weights }) => {
    const spec: WeightSpec = { name: "odd", shape: [3, 3], dtype: "f32", sources: [] };
    const source = weightRows(spec, new Float32Array(9));
    for (const layout of WEIGHT_LAYOUTS.filter((layout) => !layoutsOf(backend).has(layout))) {
      await rejects(() => engine.uploadWeight(source, layout), "INPUT_INVALID", new RegExp(layout));
    }
    const program = sampleProgram(backend, "f32");
    const buffers = program.buffers.map((buffer) =>
      buffer.name === "identity" ? { ...buffer, layout: otherThan(buffer.layout) } : buffer,
    );
    const swapped = verifyProgram({ ...program, buffers });
    await rejects(() => engine.load(swapped, weights), "PROGRAM_INVALID", /"identity" lies in/);
  });

  contract("a weight is no tensor, whatever JavaScript takes it for", async (sample) => {
    const { engine, executable, weights, y } = sample;
    for (const weight of weights.values()) {
      const strange = weight as unknown as DeviceTensor;
      const row = { tensor: strange, firstRow: 0, rows: 1 };
      for (const action of [
        () => engine.read(strange, 0, 1),
        () => engine.write(strange, 0, new Float32Array(3)),
        () => engine.copy(y, 0, row),
        () => engine.copy(strange, 0, { tensor: y, firstRow: 0, rows: 1 }),
        () => engine.bind(executable, { x: strange }),
        () => run(sample, { x: row }),
      ]) {
        await rejects(action, "INPUT_INVALID", /weight f32\[\d, 3\]/);
      }
    }
    await run(sample);
    assert.equal(await engine.read(y), EXPECTED);
  });

  contract("a freed weight is not loaded and not freed again", async ({ engine, weights }) => {
    const before = engine.liveBytes;
    const table = weights.get("table") as DeviceWeight;
    engine.free(table);
    assert.is(engine.liveBytes, before - table.bytes);
    await rejects(() => engine.free(table), "DISPOSED", /weight/);
    await rejects(() => engine.load(sampleProgram(backend, "f32"), weights), "DISPOSED", /weight/);
  });

  contract("an aborted run says so, and the next one works", async (sample) => {
    const { engine, executable, y } = sample;
    const bindings = { symbols: SYMBOLS, buffers: { ids: IDS, x: X, y } };
    const signal = AbortSignal.abort();
    await rejects(() => engine.run(executable, bindings, { signal }), "ABORTED");
    const shares: number[] = [];
    await engine.run(executable, bindings, { onProgress: (share) => shares.push(share) });
    assert.ok(shares.every((share) => share >= 0 && share <= 1));
    assert.equal(await engine.read(y), EXPECTED);
  });

  contract("a timed run names each instruction once, in order, and gives the same", async (sample) => {
    const { engine, executable, y } = sample;
    const bindings = { symbols: SYMBOLS, buffers: { ids: IDS, x: X, y } };
    const timed: [index: number, milliseconds: number][] = [];
    await engine.run(executable, bindings, { onInstruction: (...each) => timed.push(each) });
    const told = backend.timesInstructions ? executable.program.instructions : [];
    assert.equal(
      timed.map(([index]) => index),
      [...told.keys()],
    );
    assert.ok(timed.every(([, milliseconds]) => milliseconds >= 0));
    assert.equal(await engine.read(y), EXPECTED);
  });

  contract("live bytes follow what is held", async (sample) => {
    const { engine, y } = sample;
    await run(sample);
    const before = engine.liveBytes;
    const tensor = engine.allocate("bf16", 10, 100);
    assert.ok(engine.liveBytes >= before + 2000);
    engine.free(tensor);
    assert.is(engine.liveBytes, before);
    await rejects(() => engine.free(tensor), "DISPOSED");
    await rejects(() => engine.read(tensor), "DISPOSED");
    await rejects(() => run(sample, { x: tensor }), "DISPOSED");
    engine.dispose();
    assert.is(engine.liveBytes, 0);
    await rejects(() => engine.allocate("f32", 1, 1), "DISPOSED");
    await rejects(() => engine.read(y), "DISPOSED");
    await rejects(() => run(sample), "DISPOSED");
    engine.dispose();
  });
}
