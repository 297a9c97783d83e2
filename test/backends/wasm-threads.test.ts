/** Several threads give the bits of one, whatever they run and whoever shares them. */
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Engine } from "../../src/backends/backend.ts";
import { createWasmBackend, wasmBackend } from "../../src/backends/wasm/backend.ts";
import type { KernelTasks } from "../../src/backends/wasm/kernel-tasks.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { weightRows } from "../../src/conformance/harness.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";
import { startText } from "../../src/workers/node-threads.node.ts";
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

test.run();
