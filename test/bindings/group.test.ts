/** Engines of a group on the emulator: collectives between threads, captured too, and faults that end the group. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DeviceWeight, Engine, Executable } from "../../src/backends/backend.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import type { CudaEngine } from "../../src/backends/cuda/engine.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { weightRows } from "../../src/conformance/harness.ts";
import { createGraphBuilder, type GraphBuilder } from "../../src/graph/builder.ts";
import type { Value } from "../../src/graph/graph.ts";
import type { DType } from "../../src/tensor/dtype.ts";
import { fromFloat32 } from "../../src/tensor/elements.ts";
import { EMULATOR_PATH, FAULT, loadEmulator } from "./emulator.ts";

const addon = loadEmulator();
const backend = createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" });
const DEVICES = 4;
const freeBytes = () => Array.from({ length: DEVICES }, (_, device) => addon.probe(device).freeBytes);
const FREE = freeBytes();

test.after.each(() => {
  for (const fault of Object.values(FAULT)) addon.emulatorFail(fault, 0);
});

async function openGroup(ranks: number, tensor: number, deadlineMs = 20_000): Promise<CudaEngine[]> {
  const id = (await backend.newGroup?.()) as Uint8Array;
  const places = Array.from({ length: ranks }, (_, rank) => ({
    rank,
    ranks,
    tensor,
    device: rank,
    id,
    deadlineMs,
  }));
  return Promise.all(places.map((group) => backend.open({ group }) as Promise<CudaEngine>));
}

type Build = (g: GraphBuilder, rank: number) => Readonly<Record<string, Value>>;

/** A program for each rank; a weight's values are those that its name and rank give. */
async function loadRanks(
  engines: readonly Engine[],
  build: Build,
  activationDType: DType = "f32",
): Promise<Executable[]> {
  return Promise.all(
    engines.map(async (engine, rank) => {
      const g = createGraphBuilder({
        name: `rank ${rank}`,
        activationDType,
        weightDType: () => "f32",
      });
      const program = compileGraph(g.finish(build(g, rank)));
      const weights = new Map<string, DeviceWeight>();
      for (const spec of program.weights) {
        const values = numbers(
          spec.shape.reduce((product, size) => product * size, 1),
          rank,
        );
        weights.set(spec.name, await engine.uploadWeight(weightRows(spec, values), "plain"));
      }
      return engine.load(program, weights);
    }),
  );
}

/** Small integers: their sums are exact in any order. */
function numbers(count: number, seed = 0): Float32Array {
  return Float32Array.from({ length: count }, (_, index) => ((index * 7 + seed * 13) % 17) - 8);
}

const WIDTH = 6;
const input = (g: GraphBuilder) => g.input("x", [g.symbol("rows"), WIDTH], "f32");
const inputOf = (rank: number, rows: number) => numbers(rows * WIDTH, rank);

/** Runs all ranks at once. @returns y of each, or why it failed */
async function runRanks(
  engines: readonly CudaEngine[],
  executables: readonly Executable[],
  rows: number,
  yCols = WIDTH,
): Promise<(Float32Array | Error)[]> {
  const ends = engines.map(async (engine, rank) => {
    const y = new Float32Array(rows * yCols);
    const buffers = { x: inputOf(rank, rows), y };
    await engine.run(executables[rank] as Executable, { symbols: { rows }, buffers });
    return y;
  });
  return (await Promise.allSettled(ends)).map((end) => (end.status === "fulfilled" ? end.value : end.reason));
}

async function dispose(engines: readonly CudaEngine[]): Promise<void> {
  for (const engine of engines) engine.dispose();
  // One that was in a run ends a little later.
  for (let tries = 0; tries < 100 && freeBytes().join() !== FREE.join(); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal(freeBytes(), FREE, "something is held on a device");
}

/** Element [row, col] of a matrix of WIDTH columns, by function. */
function matrix(rows: number, cols: number, of: (row: number, col: number) => number): Float32Array {
  return Float32Array.from({ length: rows * cols }, (_, at) => of(Math.floor(at / cols), at % cols));
}

const at = (rank: number, rows: number, row: number, col: number) =>
  inputOf(rank, rows)[row * WIDTH + col] as number;

/** What the ranks of a stage of two should have, of `rows` rows. */
const COLLECTIVES: readonly {
  readonly name: string;
  readonly build: Build;
  readonly cols: number;
  readonly expected: (rank: number, rows: number) => Float32Array;
}[] = [
  {
    name: "all_reduce",
    build: (g) => ({ y: g.all_reduce({ x: input(g) }) }),
    cols: WIDTH,
    expected: (_, rows) => matrix(rows, WIDTH, (row, col) => at(0, rows, row, col) + at(1, rows, row, col)),
  },
  {
    name: "all_reduce in place, of a temporary",
    build: (g) => {
      const x = input(g);
      return { y: g.add({ a: g.all_reduce({ x: g.add({ a: x, b: x }) }), b: x }) };
    },
    cols: WIDTH,
    expected: (rank, rows) =>
      matrix(
        rows,
        WIDTH,
        (row, col) => 2 * at(0, rows, row, col) + 2 * at(1, rows, row, col) + at(rank, rows, row, col),
      ),
  },
  {
    name: "all_reduce of columns among others",
    build: (g) => ({ y: g.all_reduce({ x: g.slice({ x: input(g) }, { start: 2, length: 3 }) }) }),
    cols: 3,
    expected: (_, rows) =>
      matrix(rows, 3, (row, col) => at(0, rows, row, col + 2) + at(1, rows, row, col + 2)),
  },
  {
    name: "all_gather",
    build: (g) => ({ y: g.all_gather({ x: input(g) }, { ranks: 2, stretches: 1 }) }),
    cols: 2 * WIDTH,
    expected: (_, rows) =>
      matrix(rows, 2 * WIDTH, (row, col) => at(Math.floor(col / WIDTH), rows, row, col % WIDTH)),
  },
  {
    name: "all_gather of stretches, of columns among others",
    build: (g) => ({
      y: g.all_gather({ x: g.slice({ x: input(g) }, { start: 1, length: 4 }) }, { ranks: 2, stretches: 2 }),
    }),
    cols: 8,
    // (stretch, rank, column of 2)
    expected: (_, rows) =>
      matrix(rows, 8, (row, col) =>
        at(Math.floor(col / 2) % 2, rows, row, 1 + Math.floor(col / 4) * 2 + (col % 2)),
      ),
  },
  {
    name: "reduce_scatter",
    build: (g) => ({ y: g.reduce_scatter({ x: input(g) }, { ranks: 2 }) }),
    cols: 3,
    expected: (rank, rows) =>
      matrix(rows, 3, (row, col) => at(0, rows, row, 3 * rank + col) + at(1, rows, row, 3 * rank + col)),
  },
];

for (const dtype of ["bf16", "f16"] as const) {
  // Packs of 16 bytes are 8 columns; the narrow one has parts of 2.
  for (const width of [64, 8]) {
    test(`${dtype}, ${width} columns: results of every collective`, async () => {
      const engines = await openGroup(2, 2);
      const executables = await loadRanks(
        engines,
        (g) => {
          const x = g.input("x", [g.symbol("rows"), width], dtype);
          const all = g.all_gather(
            { x: g.slice({ x }, { start: width / 2, length: width / 2 }) },
            { ranks: 2, stretches: 2 },
          );
          return { y: g.all_reduce({ x: all }), z: g.reduce_scatter({ x }, { ranks: 2 }) };
        },
        dtype,
      );
      const rows = 33;
      const [half, part] = [width / 2, width / 4];
      const given = [0, 1].map((rank) => numbers(rows * width, rank));
      const value = (rank: number, row: number, col: number) => given[rank]?.[row * width + col] as number;
      const outputs = await Promise.all(
        engines.map(async (engine, rank) => {
          const y = new Uint16Array(rows * width);
          const z = new Uint16Array(rows * half);
          const buffers = { x: given[rank] as Float32Array, y, z };
          await engine.run(executables[rank] as Executable, { symbols: { rows }, buffers });
          return { y, z };
        }),
      );
      // Both have gathered the same: (stretch, rank, column).
      const y = matrix(rows, width, (row, col) => {
        const column = half + Math.floor(col / half) * part + (col % part);
        return 2 * value(Math.floor(col / part) % 2, row, column);
      });
      for (const [rank, found] of outputs.entries()) {
        const z = matrix(
          rows,
          half,
          (row, col) => value(0, row, rank * half + col) + value(1, row, rank * half + col),
        );
        assert.equal(found.y, fromFloat32(dtype, y), `rank ${rank}`);
        assert.equal(found.z, fromFloat32(dtype, z), `rank ${rank}`);
      }
      await dispose(engines);
    });
  }
}

for (const { name, build, cols, expected } of COLLECTIVES) {
  test(`${name}, run three times: as it comes, captured, replayed`, async () => {
    const engines = await openGroup(2, 2);
    const executables = await loadRanks(engines, build);
    for (const rows of [1, 5, 0, 64, 5, 5]) {
      const found = await runRanks(engines, executables, rows, cols);
      for (const [rank, y] of found.entries())
        assert.equal(y, expected(rank, rows), `rank ${rank}, ${rows} rows`);
    }
    for (const engine of engines) {
      assert.is(engine.statistics.graphCaptures, 1);
      assert.is(engine.statistics.graphReplays, 2);
    }
    await dispose(engines);
  });
}

test("two stages of two ranks: sums in each, columns that are sent on, and bytes that are counted", async () => {
  const engines = await openGroup(4, 2);
  const executables = await loadRanks(engines, (g, rank) => {
    if (rank < 2) {
      const sum = g.all_reduce({ x: input(g) });
      // Columns among others.
      g.send({ x: g.slice({ x: sum }, { start: 2, length: 4 }) }, { peer: rank + 2 });
      return { y: sum };
    }
    const rows = g.input("ids", [g.symbol("rows")], "i32");
    const got = g.receive({ rows }, { peer: rank - 2, cols: 4 });
    return { y: g.all_gather({ x: got }, { ranks: 2, stretches: 1 }) };
  });
  const sizes = [3, 1, 3, 3];
  for (const rows of sizes) {
    const y = engines.map((_, rank) => new Float32Array(rows * (rank < 2 ? WIDTH : 8)));
    await Promise.all(
      engines.map((engine, rank) =>
        engine.run(executables[rank] as Executable, {
          symbols: { rows },
          buffers: {
            y: y[rank] as Float32Array,
            ...(rank < 2 ? { x: inputOf(rank, rows) } : { ids: new Int32Array(rows) }),
          },
        }),
      ),
    );
    const sum = (row: number, col: number) => at(0, rows, row, col) + at(1, rows, row, col);
    const expected = matrix(rows, 8, (row, col) => sum(row, 2 + (col % 4)));
    for (const rank of [0, 1]) assert.equal(y[rank], matrix(rows, WIDTH, sum), `rank ${rank}`);
    for (const rank of [2, 3]) assert.equal(y[rank], expected, `rank ${rank}`);
  }
  // The sum and what is sent; what is gathered.
  const rows = sizes.reduce((total, size) => total + size);
  assert.equal(
    engines.map(({ statistics }) => statistics.bytesGiven),
    [40 * rows, 40 * rows, 16 * rows, 16 * rows],
  );
  assert.equal(
    engines.map(({ statistics }) => statistics.graphReplays),
    [2, 2, 2, 2],
  );
  await dispose(engines);
});

test("runs that are asked for at once queue on each rank, a stage ahead of the next", async () => {
  const engines = await openGroup(2, 1);
  const executables = await loadRanks(engines, (g, rank) => {
    if (rank === 0) {
      const x = input(g);
      const sum = g.add({ a: x, b: x });
      g.send({ x: sum }, { peer: 1 });
      return { y: sum };
    }
    const rows = g.input("ids", [g.symbol("rows")], "i32");
    return { y: g.receive({ rows }, { peer: 0, cols: WIDTH }) };
  });
  const sizes = [4, 1, 9, 2];
  const results = sizes.map((rows) => new Float32Array(rows * WIDTH));
  const runs = sizes.map((rows) =>
    engines[0]?.run(executables[0] as Executable, {
      symbols: { rows },
      buffers: { x: inputOf(0, rows), y: new Float32Array(rows * WIDTH) },
    }),
  );
  // JavaScript's thread may wait for a rank that waits for another, once all is asked for.
  const others = sizes.map((rows, index) =>
    engines[1]?.run(executables[1] as Executable, {
      symbols: { rows },
      buffers: { ids: new Int32Array(rows), y: results[index] as Float32Array },
    }),
  );
  engines[0]?.free(engines[0].allocate("f32", 1, 1));
  await Promise.all([...runs, ...others]);
  for (const [index, rows] of sizes.entries()) {
    assert.equal(
      results[index],
      inputOf(0, rows).map((value) => 2 * value),
    );
  }
  await dispose(engines);
});

const twoSums: Build = (g) => {
  const x = input(g);
  const sum = g.all_reduce({ x: g.add({ a: x, b: x }) });
  return { y: g.all_reduce({ x: g.add({ a: sum, b: x }) }) };
};

/** What a fault is planted before, and what every rank then says. */
const FAULTS: readonly {
  readonly name: string;
  plant(): void;
  readonly message: RegExp;
  readonly deadlineMs?: number;
}[] = [
  {
    name: "a rank that hangs",
    plant: () => addon.emulatorFail(FAULT.hang, 2),
    message: /Rank \d of the group of devices was not done with a run after 500 ms: another may hang/,
    deadlineMs: 500,
  },
  {
    name: "a launch that is refused",
    plant: () => addon.emulatorFail(FAULT.launch, 3),
    message: /Rank \d of the group of devices: DEVICE_FAILED: The launch of add was refused/,
  },
  {
    name: "a device that is lost",
    plant: () => addon.emulatorFail(FAULT.deviceLost, 3),
    message: /Rank \d of the group of devices: DEVICE_FAILED: The device was lost/,
  },
  {
    name: "memory that runs out on a rank",
    plant: () => addon.emulatorFail(FAULT.allocation, 2),
    message: /Rank \d of the group of devices: OUT_OF_MEMORY: Device memory/,
  },
];

for (const { name, plant, message, deadlineMs } of FAULTS) {
  test(`${name}: one error on every rank, soon; the group is over, and can be opened again`, async () => {
    const engines = await openGroup(2, 2, deadlineMs);
    const executables = await loadRanks(engines, twoSums);
    plant();
    const start = performance.now();
    const failures = await runRanks(engines, executables, 16);
    assert.ok(performance.now() - start < 10_000, "it takes long");
    const first = failures[0] as Error;
    for (const failure of failures as { code?: string; message?: string }[]) {
      assert.is(failure.code, "GROUP_FAILED", String(failure));
      assert.is(failure.message, first.message);
    }
    assert.match(first.message, message);
    for (const later of (await runRanks(engines, executables, 2)) as { code?: string; message: string }[]) {
      if (later.code !== "DEVICE_FAILED") assert.is(later.message, first.message);
    }
    addon.emulatorFail(FAULT.deviceLost, 0);
    await dispose(engines);

    const again = await openGroup(2, 2);
    const found = await runRanks(again, await loadRanks(again, twoSums), 16);
    assert.equal(found[0], found[1]);
    assert.instance(found[0], Float32Array);
    await dispose(again);
  });
}

test("memory that is reserved before is no error of a run", async () => {
  const engines = await openGroup(2, 2);
  const executables = await loadRanks(engines, twoSums);
  addon.emulatorFail(FAULT.allocation, 1);
  const reserve = () => {
    for (const [rank, engine] of engines.entries())
      engine.reserve(executables[rank] as Executable, { rows: 32 }, []);
  };
  assert.throws(reserve, /OUT_OF_MEMORY|Device memory/);
  reserve();
  // The next one would fail.
  addon.emulatorFail(FAULT.allocation, 1);
  for (const y of await runRanks(engines, executables, 32)) assert.instance(y, Float32Array);
  addon.emulatorFail(FAULT.allocation, 0);
  await dispose(engines);
});

test("an engine that is disposed of during a run ends it for all ranks", async () => {
  const engines = await openGroup(3, 3);
  const executables = await loadRanks(engines, twoSums);
  addon.emulatorFail(FAULT.hang, 1);
  const ends = runRanks(engines, executables, 4);
  await new Promise((resolve) => setTimeout(resolve, 50));
  engines[1]?.dispose();
  const failures = (await ends) as { code?: string; message: string }[];
  assert.equal(
    failures.map(({ code }) => code),
    ["GROUP_FAILED", "DISPOSED", "GROUP_FAILED"],
  );
  assert.match(failures[0]?.message ?? "", /^Rank 1 of the group of devices was closed\.$/);
  await dispose(engines);
});

test("ranks whose programs do not fit together are told apart", async () => {
  const engines = await openGroup(2, 2);
  const executables = await loadRanks(engines, (g, rank) => {
    const x = input(g);
    if (rank === 0) return { y: g.all_reduce({ x }) };
    const all = g.all_gather({ x }, { ranks: 2, stretches: 1 });
    return { y: g.gelu({ x: g.slice({ x: all }, { start: 0, length: WIDTH }) }) };
  });
  for (const failure of (await runRanks(engines, executables, 3)) as Error[]) {
    assert.match(
      failure.message,
      /operations do not match: rank \d is in its operation 1, all_\w+ of 18 f32; rank \d/,
    );
  }
  await dispose(engines);
});

test("a program of a group is refused by an engine that is alone, or in another", async () => {
  const alone = (await backend.open()) as CudaEngine;
  const engines = await openGroup(2, 1);
  const refused = async (engine: Engine, build: Build) => {
    try {
      await loadRanks([engine], build);
      return "nothing";
    } catch (error) {
      const { code, message } = error as { code: string; message: string };
      assert.is(code, "PROGRAM_INVALID");
      return message;
    }
  };
  const sum: Build = (g) => ({ y: g.all_reduce({ x: input(g) }) });
  assert.match(await refused(alone, sum), /all_reduce is for an engine of a group, and this one is alone/);
  const gather: Build = (g) => ({ y: g.all_gather({ x: input(g) }, { ranks: 2, stretches: 1 }) });
  assert.match(await refused(engines[0] as Engine, gather), /stages of 2 ranks, and the group's have 1/);
  const sendTo =
    (peer: number): Build =>
    (g) => {
      const x = g.gelu({ x: input(g) });
      g.send({ x }, { peer });
      return { y: x };
    };
  assert.match(
    await refused(engines[0] as Engine, sendTo(2)),
    /with rank 2, which rank 0 of 2 can not reach/,
  );
  assert.match(
    await refused(engines[1] as Engine, sendTo(1)),
    /with rank 1, which rank 1 of 2 can not reach/,
  );
  alone.dispose();
  await dispose(engines);
});

test("sums of more than two parts are not batch-invariant", async () => {
  const id = (await backend.newGroup?.()) as Uint8Array;
  const place = { ranks: 3, tensor: 3, id, deadlineMs: 200, rank: 0, device: 0 };
  const refusal = await backend.open({ group: place, batchInvariant: true }).catch((error) => error);
  assert.is(refusal.code, "OPTION_INVALID");
  assert.match(refusal.message, /at most 2 GPUs that share a layer, and tensor is 3/);
  const two = (await backend.newGroup?.()) as Uint8Array;
  const pair = [0, 1].map((rank) => ({
    ...place,
    ranks: 2,
    tensor: 2,
    id: two,
    deadlineMs: 20_000,
    rank,
    device: rank,
  }));
  const engines = await Promise.all(
    pair.map((group) => backend.open({ group, batchInvariant: true }) as Promise<CudaEngine>),
  );
  await dispose(engines);
});

test("ranks that can not meet are refused, and hold nothing", async () => {
  const id = (await backend.newGroup?.()) as Uint8Array;
  const place = { ranks: 2, tensor: 2, id, deadlineMs: 200 };
  const late = await backend.open({ group: { ...place, rank: 0, device: 0 } }).catch((error) => error);
  assert.is(late.code, "GROUP_FAILED");
  assert.match(late.message, /Rank 0 of a group of devices waited 200 ms for the other 1/);
  const other = (await backend.newGroup?.()) as Uint8Array;
  const refusals = await Promise.allSettled(
    [0, 1].map((rank) =>
      backend.open({ group: { ...place, id: other, deadlineMs: 20_000, rank, device: 2 } }),
    ),
  );
  for (const refusal of refusals)
    assert.match(String((refusal as { reason?: unknown }).reason), /device 2 is used by two of its ranks/);
  assert.equal(freeBytes(), FREE);
});

test.run();
