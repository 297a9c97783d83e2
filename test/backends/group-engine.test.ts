/** A group of engines runs what one engine would: programs partitioned by hand, and everything around a run. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { createGroupBackend } from "../../src/backends/group/backend.ts";
import { createReferenceBackend, referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { GlimtError } from "../../src/errors.ts";
import { engineContract } from "../conformance/engine-contract.ts";
import {
  columnParallel,
  expectedLinear,
  groupOptions,
  integers,
  loadPartitioned,
  openGroup,
  type Partitioned,
  rankProgram,
  rowParallel,
  twoStages,
} from "./group-sample.ts";

const BACKENDS: readonly Backend[] = [referenceBackend, wasmBackend];

async function linearBy(backend: Backend, sample: Partitioned, shape: readonly [number, number]) {
  const engine = await openGroup(backend, groupOptions(...shape), [sample.program]);
  const executable = await loadPartitioned(engine, sample);
  return {
    engine,
    executable,
    run: async (tokens: number, options = {}) => {
      const y = new Float32Array(tokens * 6);
      const buffers = { x: integers(tokens), ids: new Int32Array(tokens), y };
      await engine.run(executable, { symbols: { tokens }, buffers }, options);
      return y;
    },
  };
}

for (const backend of BACKENDS) {
  for (const ranks of [1, 2, 4]) {
    test(`${backend.name}: sums of ${ranks} ranks are added`, async () => {
      const { engine, run } = await linearBy(backend, rowParallel(backend, ranks), [ranks, 1]);
      for (const tokens of [1, 5, 0, 33]) assert.equal(await run(tokens), expectedLinear(integers(tokens)));
      // Of each rank's own [tokens, 6], once a run.
      const each = { operations: 4, bytes: 4 * 6 * (1 + 5 + 0 + 33) };
      assert.equal(engine.traffic, new Array(ranks).fill(each));
      engine.dispose();
      assert.is(engine.liveBytes, 0);
    });
  }
  for (const [ranks, stretches] of [
    [2, 1],
    [3, 1],
    [3, 2],
    [1, 3],
  ] as const) {
    test(`${backend.name}: columns of ${ranks} ranks in ${stretches} stretches are joined`, async () => {
      const sample = columnParallel(backend, ranks, stretches);
      const { engine, run } = await linearBy(backend, sample, [ranks, 1]);
      for (const tokens of [1, 6]) assert.equal(await run(tokens), expectedLinear(integers(tokens)));
      engine.dispose();
    });
  }

  test(`${backend.name}: a stage sends, the next receives, and runs overlap in order`, async () => {
    const { engine, run } = await linearBy(backend, twoStages(backend), [1, 2]);
    assert.is(engine.overlappingRuns, 2);
    const sizes = [3, 1, 17, 2];
    const results = await Promise.all(sizes.map((tokens) => run(tokens)));
    for (const [index, tokens] of sizes.entries()) {
      assert.equal(results[index], expectedLinear(integers(tokens).map((value) => 2 * value)));
    }
    assert.equal(engine.traffic, [
      { operations: 4, bytes: 4 * 4 * 23 },
      { operations: 0, bytes: 0 },
    ]);
    engine.dispose();
  });

  test(`${backend.name}: reduce_scatter leaves each rank its columns of the sum`, async () => {
    const ranks = [0, 1].map((rank) =>
      rankProgram(backend, rank, (g) => {
        const x = g.input("x", [2, 4], "f32");
        return { [`y${rank}`]: g.reduce_scatter({ x }, { ranks: 2 }) };
      }),
    );
    const whole = rankProgram(backend, 0, (g) => {
      const x = g.input("x", [2, 4], "f32");
      return { y0: g.add({ a: x, b: x }), y1: g.add({ a: x, b: x }) };
    });
    const engine = await openGroup(backend, groupOptions(2, 1));
    const executable = engine.load({ ...whole, ranks }, new Map());
    const [y0, y1] = [new Float32Array(4), new Float32Array(4)];
    const x = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    await engine.run(executable, { symbols: {}, buffers: { x, y0, y1 } });
    assert.equal(y0, Float32Array.of(2, 4, 10, 12));
    assert.equal(y1, Float32Array.of(6, 8, 14, 16));
    engine.dispose();
  });

  test(`${backend.name}: tensors are where programs need them, and as wide`, async () => {
    const ranks = [0, 1].map((rank) =>
      rankProgram(backend, rank, (g) => {
        const k = g.input("k", [1, 2], "f32");
        const slots = g.input("slots", [1], "i32");
        if (rank === 1) return { only: g.add({ a: k, b: k }) };
        const cache = g.state("cache", [g.symbol("pages"), 4]);
        return { written: g.kv_write({ k, v: k, slots, cache }, { numKvHeads: 1, headDim: 2, pageSize: 1 }) };
      }),
    );
    const whole = rankProgram(backend, 0, (g) => {
      const k = g.input("k", [1, 4], "f32");
      const cache = g.state("cache", [g.symbol("pages"), 8]);
      const slots = g.input("slots", [1], "i32");
      return { written: g.kv_write({ k, v: k, slots, cache }, { numKvHeads: 2, headDim: 2, pageSize: 1 }) };
    });
    const program = { ...whole, ranks };
    const engine = await openGroup(backend, groupOptions(2, 1), [program]);
    const before = engine.liveBytesByRank;
    const cache = engine.allocate("f32", 3, 8, "cache");
    const [on0, on1] = engine.liveBytesByRank.map((bytes, rank) => bytes - (before[rank] as number));
    assert.equal([on0, on1], [3 * 4 * 4, 0]);
    assert.is(cache.bytes, 48);
    const plain = engine.allocate("f32", 3, 8);
    assert.is(plain.bytes, 2 * 96);
    const grown = engine.allocate("f32", 5, 8, "cache");
    engine.copy(grown, 0, { tensor: cache, firstRow: 0, rows: 3 });
    await rejects(() => engine.read(grown), "INPUT_INVALID", /split over the ranks/);
    await rejects(() => engine.write(grown, 0, new Float32Array(8)), "INPUT_INVALID", /split over the ranks/);
    engine.free(cache);
    engine.free(plain);
    engine.free(grown);
    assert.equal(engine.liveBytesByRank, before);
    engine.dispose();
  });
}

test("a sum of bf16 is of float32 in the order of ranks, and rounded once", async () => {
  const bf16 = createReferenceBackend("bf16");
  const rank = (index: number) =>
    rankProgram(bf16, index, (g) => ({ y: g.all_reduce({ x: g.input(`x${index}`, [1, 1], "bf16") }) }));
  const whole = rankProgram(bf16, 0, (g) => ({ y: g.gelu({ x: g.input("x0", [1, 1], "bf16") }) }));
  const engine = await openGroup(bf16, groupOptions(3, 1));
  const executable = engine.load({ ...whole, ranks: [rank(0), rank(1), rank(2)] }, new Map());
  const y = new Uint16Array(1);
  // 256 + 1 + 1 is 258 in float32; in bf16 256 + 1 would be 256.
  const buffers = {
    x0: Float32Array.of(256),
    x1: Float32Array.of(1),
    x2: Float32Array.of(1),
    y,
  };
  await engine.run(executable, { symbols: {}, buffers });
  assert.equal(y, Uint16Array.of(0x4381));
  engine.dispose();
});

test("a rank's program without a group is refused", async () => {
  for (const backend of BACKENDS) {
    const [program] = rowParallel(backend, 1).program.ranks ?? [];
    const engine = await backend.open();
    const sample = { program: program as never, weights: rowParallel(backend, 1).weights };
    const executable = await loadPartitioned(engine, sample);
    const buffers = { x: integers(1), y: new Float32Array(6) };
    const running = () => engine.run(executable, { symbols: { tokens: 1 }, buffers });
    await rejects(running, "PROGRAM_INVALID", /all_reduce: the program is one rank's of a group/);
    engine.dispose();
  }
});

test("a program for another number of ranks is refused with both", async () => {
  const engine = await openGroup(referenceBackend, groupOptions(2, 1));
  const { program } = rowParallel(referenceBackend, 4);
  await rejects(() => engine.load(program, new Map()), "PROGRAM_INVALID", /for 4 ranks, and the group has 2/);
  engine.dispose();
});

test("progress is of all ranks, and never goes back", async () => {
  const { engine, run } = await linearBy(referenceBackend, rowParallel(referenceBackend, 2), [2, 1]);
  const shares: number[] = [];
  await run(3, { onProgress: (share: number) => shares.push(share) });
  assert.ok(shares.length > 1);
  assert.equal(
    shares,
    [...shares].sort((a, b) => a - b),
  );
  assert.is(shares.at(-1), 1);
  engine.dispose();
});

async function rejects(action: () => unknown, code: string, message: RegExp): Promise<void> {
  try {
    await action();
  } catch (error) {
    assert.instance(error, GlimtError);
    assert.is((error as GlimtError).code, code, String(error));
    assert.match(String(error), message);
    return;
  }
  assert.unreachable(`expected ${code}`);
}

for (const backend of BACKENDS) {
  const named = (tensor: number, pipeline: number): Backend =>
    createGroupBackend(backend, groupOptions(tensor, pipeline));
  engineContract(test, named(2, 1));
}

test.run();
