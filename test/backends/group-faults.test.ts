/** A rank that fails, ends, hangs or is out of step: one typed error, and the others are freed. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, DeviceTensor, Engine } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { GlimtError } from "../../src/errors.ts";
import {
  expectedLinear,
  groupOptions,
  integers,
  loadPartitioned,
  openGroup,
  type Partitioned,
  partitioned,
  rankProgram,
  rowParallel,
  twoStages,
} from "./group-sample.ts";
import { faultyRank } from "./runs-through.ts";

/** Of a group that is to wait in vain. */
const DEADLINE = 300;
/** Who fails by itself does not wait for a deadline: others have the usual one, since a busy machine stands still too. */
const SOON = 10_000;

async function open(
  backend: Backend,
  sample: Partitioned,
  [tensor, pipeline]: readonly [number, number],
  deadlineMs?: number,
) {
  const engine = await openGroup(backend, groupOptions(tensor, pipeline, deadlineMs), [sample.program]);
  const executable = await loadPartitioned(engine, sample);
  const run = async (tokens: number, signal?: AbortSignal) => {
    const y = new Float32Array(tokens * 6);
    const buffers = { x: integers(tokens), ids: new Int32Array(tokens), y };
    await engine.run(executable, { symbols: { tokens }, buffers }, { signal });
    return y;
  };
  return { engine, executable, run };
}

async function failure(action: () => Promise<unknown>): Promise<GlimtError> {
  const began = performance.now();
  try {
    await action();
  } catch (error) {
    assert.ok(performance.now() - began < SOON, "it takes long");
    assert.instance(error, GlimtError, String(error));
    return error as GlimtError;
  }
  return assert.unreachable("expected an error") as never;
}

/** The backend, whose engines `engines` has. */
function kept(backend: Backend, engines: Engine[]): Backend {
  return {
    ...backend,
    async open(opening) {
      const engine = await backend.open(opening);
      engines.push(engine);
      return engine;
    },
  };
}

/** What a group is asked of, with a tensor f32[2, 4] and a program of its own. */
type Ask = (group: Awaited<ReturnType<typeof open>>, tensor: DeviceTensor) => unknown;

const ASKS: Record<string, Ask> = {
  read: ({ engine }, tensor) => engine.read(tensor),
  write: ({ engine }, tensor) => engine.write(tensor, 0, new Float32Array(4)),
  copy: ({ engine }, tensor) => engine.copy(tensor, 0, { tensor, firstRow: 1, rows: 1 }),
  allocate: ({ engine }) => engine.allocate("f32", 1, 1),
  free: ({ engine }, tensor) => engine.free(tensor),
  uploadWeight: ({ engine }) => loadPartitioned(engine, rowParallel(wasmBackend, 2)),
  load: ({ engine, executable }) => engine.load(executable.program, new Map()),
  bind: ({ engine, executable }, tensor) => engine.bind(executable, { x: tensor }),
  reserve: ({ engine, executable }) => engine.reserve(executable, { tokens: 2 }, []),
  trim: ({ engine }) => engine.trim(),
  freeBytes: ({ engine }) => engine.freeBytes,
  run: ({ run }) => run(2),
};

for (const [call, ask] of Object.entries(ASKS)) {
  test(`a rank that has ended between two runs is found by ${call}, which fails the group`, async () => {
    const engines: Engine[] = [];
    const group = await open(kept(wasmBackend, engines), rowParallel(wasmBackend, 2), [2, 1]);
    const { engine, run } = group;
    const tensor = engine.allocate("f32", 2, 4);
    (engines[0] as Engine).dispose();
    const error = await failure(async () => ask(group, tensor));
    assert.is(error.code, "GROUP_FAILED", error.message);
    assert.is((error.cause as GlimtError).code, "DISPOSED");
    assert.is(await failure(() => run(2)), error);
    assert.is(engine.liveBytes, 0);
    engine.dispose();
  });
}

for (const backend of [referenceBackend, wasmBackend]) {
  const samples = [
    ["tensor", rowParallel(backend, 2), [2, 1], 1],
    ["pipeline", twoStages(backend), [1, 2], 2],
  ] as const;
  for (const [kind, sample, shape, factor] of samples) {
    const expected = (tokens: number) => expectedLinear(integers(tokens).map((value) => factor * value));
    for (const rank of [0, 1]) {
      const where = `${backend.name}, ${kind}, rank ${rank}`;

      test(`${where}: a rank that ends fails the group, which is freed and can be opened again`, async () => {
        const dying = faultyRank(backend, rank, async (run, { engine }) => {
          engine.dispose();
          await run();
        });
        const { engine, run } = await open(dying, sample, shape);
        const error = await failure(() => run(2));
        assert.is(error.code, "GROUP_FAILED");
        assert.match(error.message, /disposed of/);
        assert.is((error.cause as GlimtError).code, "DISPOSED");
        assert.is(engine.liveBytes, 0);
        // One error, whatever is asked.
        assert.is(await failure(() => run(2)), error);
        assert.is(await failure(async () => engine.allocate("f32", 1, 1)), error);
        engine.dispose();
        const again = await open(dying, sample, shape);
        assert.equal(await again.run(2), expected(2));
        again.engine.dispose();
      });

      test(`${where}: a rank that hangs fails the group at the deadline`, async () => {
        const hanging = faultyRank(backend, rank, () => new Promise(() => {}));
        const { engine, run } = await open(hanging, sample, shape, DEADLINE);
        const [error, other] = await Promise.all([failure(() => run(2)), failure(() => run(3))]);
        assert.is(error.code, "GROUP_FAILED");
        assert.match(error.message, /No rank of the group has made progress for 300 ms/);
        if (kind === "tensor") {
          assert.match(
            error.message,
            new RegExp(`rank ${1 - rank} waits for all_reduce f32\\[2, 6\\] of rank ${rank}`),
          );
        }
        assert.is(other, error);
        assert.is(engine.liveBytes, 0);
        engine.dispose();
      });

      test(`${where}: a rank that says where it stands, and stands still, fails the group too`, async () => {
        let timer: ReturnType<typeof setInterval> | undefined;
        const standing = faultyRank(backend, rank, (_, { options }) => {
          timer = setInterval(() => options.onProgress?.(0.5), 10);
          return new Promise(() => {});
        });
        const { engine, run } = await open(standing, sample, shape, DEADLINE);
        const error = await failure(() => run(2));
        clearInterval(timer);
        assert.is(error.code, "GROUP_FAILED");
        assert.match(error.message, /No rank of the group has made progress for 300 ms/);
        engine.dispose();
      });

      test(`${where}: want of memory and what is invalid end the run alone`, async () => {
        for (const code of ["OUT_OF_MEMORY", "INPUT_INVALID"] as const) {
          const full = faultyRank(backend, rank, async () => {
            throw new GlimtError(code, "planted");
          });
          const { engine, run } = await open(full, sample, shape);
          const [failed, after] = await Promise.allSettled([run(2), run(3)]);
          assert.is(failed.status === "rejected" && failed.reason.code, code);
          assert.equal(after.status === "fulfilled" && after.value, expected(3));
          assert.equal(await run(4), expected(4));
          engine.dispose();
        }
      });

      test(`${where}: an abort ends the run on all ranks, and the next is whole`, async () => {
        const stop = new AbortController();
        const slow = faultyRank(backend, rank, async (run) => {
          stop.abort();
          await run();
        });
        const { engine, run } = await open(slow, sample, shape);
        const [aborted, after] = await Promise.allSettled([run(2, stop.signal), run(3)]);
        assert.is(aborted.status === "rejected" && aborted.reason.code, "ABORTED");
        assert.equal(after.status === "fulfilled" && after.value, expected(3));
        engine.dispose();
      });
    }

    test(`${backend.name}, ${kind}: disposing of it ends a run that waits`, async () => {
      let begun = () => {};
      const hung = new Promise<void>((resolve) => {
        begun = resolve;
      });
      const hanging = faultyRank(backend, 0, () => {
        begun();
        return new Promise(() => {});
      });
      const { engine, run } = await open(hanging, sample, shape);
      const running = failure(() => run(2));
      await hung;
      engine.dispose();
      assert.is((await running).code, "DISPOSED");
      assert.is(engine.liveBytes, 0);
    });
  }

  test(`${backend.name}: ranks that are out of step are found`, async () => {
    const build = (rank: number, first: "reduce" | "gather", rows: number) =>
      rankProgram(backend, rank, (g) => {
        const x = g.slice({ x: g.input("x", [rows, 4], "f32") }, { start: 0, length: 2 });
        if (first === "reduce") return { y: g.all_reduce({ x: g.add({ a: x, b: x }) }) };
        return { y: g.all_gather({ x }, { ranks: 2, stretches: 1 }) };
      });
    const whole = rankProgram(backend, 0, (g) => ({ y: g.gelu({ x: g.input("x", [1, 4], "f32") }) }));
    const cases = [
      [build(0, "reduce", 2), build(1, "gather", 2), /expected all_(reduce|gather) f32\[2, 2\] as number 0/],
      [
        build(0, "reduce", 2),
        build(1, "reduce", 1),
        /expected all_reduce f32\[[12], 2\] as number 0 .* got all_reduce/,
      ],
    ] as const;
    for (const [first, second, message] of cases) {
      const sample = partitioned(whole, [first, second], {});
      const engine = await openGroup(backend, groupOptions(2, 1));
      const executable = await loadPartitioned(engine, sample);
      const buffers = { x: new Float32Array(8), y: new Float32Array(8) };
      const error = await failure(() => engine.run(executable, { symbols: {}, buffers }));
      assert.is(error.code, "GROUP_FAILED");
      assert.match(error.message, message);
      engine.dispose();
    }
    // One that asks for more than the other gives waits, and is found at the deadline.
    const more = rankProgram(backend, 1, (g) => {
      const x = g.input("x", [2, 2], "f32");
      return { y: g.all_reduce({ x: g.all_reduce({ x: g.add({ a: x, b: x }) }) }) };
    });
    const once = rankProgram(backend, 0, (g) => {
      const x = g.input("x", [2, 2], "f32");
      return { y: g.all_reduce({ x: g.add({ a: x, b: x }) }) };
    });
    const engine = await openGroup(backend, groupOptions(2, 1, DEADLINE));
    const executable = await loadPartitioned(engine, partitioned(whole, [once, more], {}));
    const buffers = { x: new Float32Array(8), y: new Float32Array(8) };
    const error = await failure(() => engine.run(executable, { symbols: {}, buffers }));
    assert.is(error.code, "GROUP_FAILED");
    assert.match(error.message, /rank 1 waits for all_reduce f32\[2, 2\] of rank 0/);
    engine.dispose();
  });
}

test("a device that can not be opened leaves none open", async () => {
  let live = 0;
  const counting: Backend = {
    ...referenceBackend,
    async open(options) {
      if (options?.group?.rank === 2) throw new GlimtError("BACKEND_UNAVAILABLE", "no device 2");
      const engine = await referenceBackend.open(options);
      live++;
      const dispose = engine.dispose.bind(engine);
      engine.dispose = () => {
        live--;
        dispose();
      };
      return engine;
    },
  };
  const error = await failure(() => openGroup(counting, groupOptions(4, 1)));
  assert.is(error.message, "no device 2");
  assert.is(live, 0);
});

test.run();
