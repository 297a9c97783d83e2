/** Several threads give the bits of one, whatever they run and whoever shares them. */
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, Engine } from "../../src/backends/backend.ts";
import { createWasmBackend, wasmBackend } from "../../src/backends/wasm/backend.ts";
import type { KernelTasks } from "../../src/backends/wasm/kernel-tasks.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { weightRows } from "../../src/conformance/harness.ts";
import type { GlimtError } from "../../src/errors.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";
import { startText } from "../../src/workers/node-threads.node.ts";
import type { TaskHost } from "../../src/workers/task.ts";
import { startWorker } from "../../src/workers/worker-tasks.ts";

const start = startText(async () => (await import("../../src/worker.ts?text")).default);
const backend = createWasmBackend({
  startWorker: () => startWorker<KernelTasks>(start, GLIMT_VERSION),
});

const [ROWS, WIDTH] = [300, 512];
const numbers = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(i * 0.37 + seed) * (1 + (i % 7)));

async function open(engine: Engine, layers: number) {
  const builder = createGraphBuilder({ name: "layers", activationDType: "f32", weightDType: () => "f32" });
  const names = Array.from({ length: layers }, (_, index) => `w${index}`);
  let y = builder.input("x", [builder.symbol("rows"), WIDTH], "f32");
  for (const name of names) {
    y = builder.gelu({ x: builder.linear({ x: y, w: builder.weight(name, [WIDTH, WIDTH]) }) });
  }
  const weights = await Promise.all(
    names.map(async (name, index) => {
      const spec = { name, shape: [WIDTH, WIDTH], dtype: "f32", sources: [] } as const;
      const values = numbers(WIDTH * WIDTH, index).map((value) => value / 60);
      return [
        name,
        await engine.uploadWeight(
          weightRows(spec, values),
          engine.backend.weightLayout("f32", new Set(["matrix"])),
        ),
      ] as const;
    }),
  );
  const executable = engine.load(
    compileGraph(builder.finish({ y }), { weightLayout: engine.backend.weightLayout }),
    new Map(weights),
  );
  return async (rows: number) => {
    const result = new Float32Array(rows * WIDTH);
    await engine.run(executable, { symbols: { rows }, buffers: { x: numbers(rows * WIDTH, 5), y: result } });
    return result;
  };
}

test("the loops at the machine's limit run on one thread and on several, and say how much they did", async () => {
  for (const [owner, threads] of [
    [wasmBackend, 1],
    [backend, 3],
  ] as const) {
    const engine = await owner.open({ threads });
    const amounts = engine.ceilingLoops?.().map(({ name, run }) => [name, run(), run()] as const) ?? [];
    assert.ok(amounts.some(([name]) => name === "multiplyAdd") && amounts.some(([name]) => name === "read"));
    for (const [, first, second] of amounts) assert.ok(first > 1e6 && first === second);
    engine.dispose();
  }
});

test("two and four threads give the bits of one, for one row and for many", async () => {
  const alone = await open(await wasmBackend.open({ threads: 1 }), 4);
  for (const threads of [2, 4]) {
    const engine = await backend.open({ threads });
    const together = await open(engine, 4);
    for (const rows of [1, 3, ROWS]) {
      for (let turn = 0; turn < 5; turn++)
        assert.equal(await together(rows), await alone(rows), `${threads} threads, ${rows} rows`);
      // Long enough for the threads to fall asleep.
      await sleep(30);
    }
    engine.dispose();
  }
});

test("models share the threads and take turns", async () => {
  const engines = await Promise.all([backend.open({ threads: 2 }), backend.open({ threads: 3 })]);
  const [first, second] = await Promise.all(engines.map((engine) => open(engine, 2)));
  const expected = await first!(ROWS);
  for (let turn = 0; turn < 5; turn++) {
    assert.equal(await Promise.all([first!(ROWS), second!(ROWS)]), [expected, expected]);
  }
  engines[0]!.dispose();
  assert.equal(await second!(ROWS), expected);
  engines[1]!.dispose();
});

/** The first thread is spoilt, later ones are not. */
function spoiltOnce(spoil: (host: TaskHost<KernelTasks>) => TaskHost<KernelTasks>): Backend {
  let spoilt = false;
  return createWasmBackend({
    startWorker: async () => {
      const host = await startWorker<KernelTasks>(start, GLIMT_VERSION);
      if (spoilt) return host;
      spoilt = true;
      return spoil(host);
    },
  });
}

/** Runs until a run fails: a thread may come too late to take part in the first. */
async function failureOf(run: (rows: number) => Promise<unknown>): Promise<unknown> {
  for (let turn = 0; turn < 200; turn++) {
    const error = await run(ROWS).then(
      () => null,
      (failed) => failed,
    );
    if (error) return error;
  }
  return null;
}

const SPOILS: readonly [name: string, spoil: (host: TaskHost<KernelTasks>) => TaskHost<KernelTasks>][] = [
  [
    "is ended",
    (host) => {
      setTimeout(() => host.end("the test ends it"), 20);
      return host;
    },
  ],
  [
    "traps in a kernel",
    (host) => ({
      get isEnded() {
        return host.isEnded;
      },
      end: (reason) => host.end(reason),
      // No room for a stack.
      call: (name, input, options) =>
        host.call(
          name,
          (name === "joinKernels" ? { ...(input as object), stackTop: 16 } : input) as never,
          options,
        ),
    }),
  ],
];

for (const [name, spoil] of SPOILS) {
  test(`a thread that ${name} is an error, and the next model has threads again`, async () => {
    const spoilt = spoiltOnce(spoil);
    const engine = await spoilt.open({ threads: 2 });
    const error = await failureOf(await open(engine, 2));
    assert.is((error as GlimtError | null)?.code, "DEVICE_FAILED", String(error));
    engine.dispose();
    const next = await spoilt.open({ threads: 2 });
    const expected = await (await open(await wasmBackend.open(), 2))(ROWS);
    assert.equal(await (await open(next, 2))(ROWS), expected);
    next.dispose();
  });
}

test("threads that can not be started, and no room for their memory, are said", async () => {
  const none = createWasmBackend({ startWorker: () => Promise.reject(new Error("forbidden here")) });
  const refused = await none.open({ threads: 2 }).catch((error) => error);
  assert.is(refused.code, "BACKEND_UNAVAILABLE");
  assert.match(refused.message, /forbidden here.*option threads/);
  const { Memory } = WebAssembly;
  WebAssembly.Memory = class {
    constructor() {
      throw new RangeError("could not allocate memory");
    }
  } as never;
  try {
    assert.is((await backend.open({ threads: 2 }).catch((error) => error)).code, "OUT_OF_MEMORY");
  } finally {
    WebAssembly.Memory = Memory;
  }
});

test.run();
