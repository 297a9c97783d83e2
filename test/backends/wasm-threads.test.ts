/** Several threads give the bits of one, whatever they run and whoever shares them. */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, Engine, RunOptions } from "../../src/backends/backend.ts";
import { createWasmBackend, wasmBackend } from "../../src/backends/wasm/backend.ts";
import { CONTROL, type KernelTasks } from "../../src/backends/wasm/kernel-tasks.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { weightRows } from "../../src/conformance/harness.ts";
import type { GlimtError } from "../../src/errors.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";
import { startText } from "../../src/workers/node-threads.node.ts";
import type { TaskHost } from "../../src/workers/task.ts";
import { startWorker } from "../../src/workers/worker-tasks.ts";

const start = startText(async () => (await import("../../src/kernel-worker.ts?text")).default);
const backend = createWasmBackend({
  startWorker: () => startWorker<KernelTasks>(start, GLIMT_VERSION),
  usualThreads: () => 2,
});

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

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
  return async (rows: number, options?: RunOptions) => {
    const result = new Float32Array(rows * WIDTH);
    await engine.run(
      executable,
      { symbols: { rows }, buffers: { x: numbers(rows * WIDTH, 5), y: result } },
      options,
    );
    return result;
  };
}

test("the loops at the machine's limit run on one thread and on several, and say how much they did", async () => {
  for (const [owner, threads] of [
    [wasmBackend, 1],
    [backend, 3],
  ] as const) {
    const engine = await owner.open({ threads });
    const amounts: [name: string, first: number, second: number][] = [];
    for (const { name, run } of engine.ceilingLoops?.() ?? []) amounts.push([name, await run(), await run()]);
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

type Host = TaskHost<KernelTasks>;

/** One of the threads that are started first is spoilt; later ones are not. */
function spoiltOnce(which: number, spoil: (host: Host) => Host): Backend {
  let started = 0;
  return createWasmBackend({
    usualThreads: () => 2,
    startWorker: async () => {
      const isSpoilt = started++ === which;
      const host = await startWorker<KernelTasks>(start, GLIMT_VERSION);
      return isSpoilt ? spoil(host) : host;
    },
  });
}

/** A host whose calls are changed on their way. */
function changed(host: Host, change: (name: string, input: object) => object): Host {
  return {
    get isEnded() {
      return host.isEnded;
    },
    end: (reason) => host.end(reason),
    call: (name, input, options) => host.call(name, change(name, input as object) as never, options),
  };
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

const SPOILS: readonly [name: string, spoil: (host: Host) => Host][] = [
  [
    "is ended",
    (host) =>
      changed(host, (name, input) => {
        if (name === "callKernels" || name === "serveKernels")
          setTimeout(() => host.end("the test ends it"), 5);
        return input;
      }),
  ],
  [
    "traps in a kernel",
    (host) =>
      // No room for a stack.
      changed(host, (name, input) => (name === "joinKernels" ? { ...input, stackTop: 16 } : input)),
  ],
];

for (const [which, role] of ["leads", "helps"].entries()) {
  for (const [name, spoil] of SPOILS) {
    test(`a thread that ${role} and ${name} is an error, and the next model has threads again`, async () => {
      const spoilt = spoiltOnce(which, spoil);
      const engine = await spoilt.open({ threads: 2 });
      const run = await open(engine, 2);
      const error = await failureOf(run);
      assert.is((error as GlimtError | null)?.code, "DEVICE_FAILED", String(error));
      assert.match((error as GlimtError).message, /load the model again/);
      assert.is(((await failureOf(run)) as GlimtError).code, "DEVICE_FAILED");
      engine.dispose();
      const next = await spoilt.open({ threads: 2 });
      const expected = await (await open(await wasmBackend.open(), 2))(ROWS);
      assert.equal(await (await open(next, 2))(ROWS), expected);
      next.dispose();
    });
  }
}

test("threads that start while another is lost are ended with the others", async () => {
  const hosts: Host[] = [];
  let started = 0;
  const renewing = createWasmBackend({
    usualThreads: () => 2,
    startWorker: async () => {
      // In the order in which they are started, whoever is there first: the second one helps, and its end is heard of at once.
      const index = started++;
      const host = await startWorker<KernelTasks>(start, GLIMT_VERSION);
      hosts[index] = host;
      if (index >= 2) {
        hosts[1]?.end("the test ends it");
        // Until the others of its crew were ended for it.
        while (!hosts[0]?.isEnded) await sleep(5);
      }
      return host;
    },
  });
  const engines = [await renewing.open({ threads: 2 }), await renewing.open({ threads: 2 })];
  // Its threads are replaced, while one of them is lost.
  engines[0]?.dispose();
  // Fails by the runner's limit when one of them is left.
  while (hosts.filter(({ isEnded }) => isEnded).length < 4) await sleep(50);
  assert.is(hosts.length, 4);
  engines[1]?.dispose();
});

test("threads that fell asleep before the one who leads heard of a run are woken for it", async () => {
  let control: Int32Array | undefined;
  const word = (name: keyof typeof CONTROL) => Atomics.load(control as Int32Array, CONTROL[name]);
  const rings: number[] = [];
  const sleepy = createWasmBackend({
    usualThreads: () => 2,
    startWorker: async () => {
      const host = await startWorker<KernelTasks>(start, GLIMT_VERSION);
      // The other was woken by the caller, and has lost its patience.
      const lead = async <T>(call: () => Promise<T>) => {
        while (word("sleepers") === 0) await sleep(5);
        const before = word("bell");
        const answer = await call();
        rings.push(word("bell") - before);
        return answer;
      };
      return {
        get isEnded() {
          return host.isEnded;
        },
        end: (reason) => host.end(reason),
        call(name, input, options) {
          if ("control" in input) control = input.control;
          const call = () => host.call(name, input, options);
          return name === "callKernels" ? lead(call) : call();
        },
      };
    },
  });
  const engine = await sleepy.open({ threads: 2 });
  const run = await open(engine, 8);
  assert.equal(await run(ROWS), await (await open(await wasmBackend.open({ threads: 1 }), 8))(ROWS));
  assert.ok(rings.length > 0 && rings.every((count) => count > 0), `rings in each run: ${rings}`);
  engine.dispose();
});

test("threads that can not be started, and no room for their memory, are said", async () => {
  const none = createWasmBackend({
    startWorker: () => Promise.reject(new Error("forbidden here")),
    usualThreads: () => 2,
  });
  const refused = await none.open({ threads: 2 }).catch((error) => error);
  assert.is(refused.code, "BACKEND_UNAVAILABLE");
  assert.match(refused.message, /forbidden here.*option threads/);
  const { Memory } = WebAssembly;
  WebAssembly.Memory = class extends Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      if (descriptor.shared) throw new RangeError("could not allocate memory");
      super(descriptor);
    }
  };
  try {
    assert.is((await backend.open({ threads: 2 }).catch((error) => error)).code, "OUT_OF_MEMORY");
    // A rank of a group has a thread of its own where it can: without, it runs on the caller's.
    const group = { rank: 0, ranks: 2, tensor: 2, device: 0, deadlineMs: 1000 };
    for (const options of [{ group }, { group, threads: 1 }]) {
      const alone = await backend.open(options);
      assert.is(alone.report.threads, 1);
      assert.match(alone.report.limits.join(), /One thread: /);
      alone.dispose();
    }
  } finally {
    WebAssembly.Memory = Memory;
  }
});

test("an engine that asked for no number has the usual one, and is alone where no thread can be started", async () => {
  const engine = await backend.open();
  assert.is(engine.report.threads, 2);
  assert.match(engine.report.description, /, 2 threads$/);
  engine.dispose();
  const none = createWasmBackend({
    usualThreads: () => 100,
    startWorker: () => Promise.reject(new Error("forbidden here")),
  });
  const alone = await none.open();
  const before = alone.liveBytes;
  assert.is(before, 8 << 20, "eight stacks");
  const run = await open(alone, 2);
  assert.equal(await run(ROWS), await (await open(await wasmBackend.open(), 2))(ROWS));
  assert.is(alone.report.threads, 1);
  assert.match(alone.report.limits.join(), /One thread.*forbidden here/);
  alone.dispose();
});

test("a host without shared memory has one thread and says why, and refuses more", async () => {
  const { SharedArrayBuffer: shared } = globalThis;
  Reflect.deleteProperty(globalThis, "SharedArrayBuffer");
  try {
    const engine = await backend.open();
    assert.match(engine.report.limits.join(), /One thread, since this host shares no memory/);
    engine.dispose();
    assert.is((await backend.open({ threads: 2 }).catch((error) => error)).code, "OPTION_INVALID");
  } finally {
    globalThis.SharedArrayBuffer = shared;
  }
});

test("this thread is free while others run, an abort ends the run at once, and a failing report too", async () => {
  const engine = await backend.open({ threads: 2 });
  const run = await open(engine, 20);
  const long = 2000;
  const shares: number[] = [];
  const before = performance.eventLoopUtilization();
  await run(long, { onProgress: (share) => shares.push(share) });
  const { utilization } = performance.eventLoopUtilization(before);
  assert.ok(utilization < 0.5, `this thread was busy for ${utilization} of the run`);
  assert.ok(shares.length > 2 && shares.at(-1) === 1, String(shares));
  assert.equal(
    shares,
    shares.toSorted((a, b) => a - b),
  );
  const abort = new AbortController();
  const aborted = run(long, { signal: abort.signal }).catch((error) => error);
  setTimeout(() => abort.abort(), 30);
  assert.is((await aborted).code, "ABORTED");
  const odd = new Error("of the caller's own");
  const failing = () => {
    throw odd;
  };
  assert.is(await run(long, { onProgress: failing }).catch((error) => error), odd);
  assert.equal(await run(3), await (await open(await wasmBackend.open(), 20))(3));
  const disposed = run(long).catch((error) => error);
  setTimeout(() => engine.dispose(), 30);
  assert.is((await disposed).code, "DISPOSED");
});

test("a run of many seconds lets others have their turn, and a model be loaded", async () => {
  const [long, short] = await Promise.all([backend.open({ threads: 2 }), backend.open({ threads: 2 })]);
  const [runLong, runShort] = [await open(long!, 40), await open(short!, 8)];
  const expected = await (await open(await wasmBackend.open(), 8))(ROWS);
  let isLong = true;
  // Ended by its disposal.
  const first = runLong(12_000).then(() => {
    isLong = false;
  });
  await sleep(30);
  assert.equal(await runShort(ROWS), expected);
  const third = await backend.open({ threads: 3 });
  assert.equal(await (await open(third, 8))(ROWS), expected);
  assert.ok(isLong, "the others waited for it");
  long!.dispose();
  await first.catch(() => {});
  for (const engine of [short!, third]) engine.dispose();
});

test("the memory of a model goes with it though another keeps the threads", async () => {
  const [kept, gone] = [await backend.open({ threads: 2 }), await backend.open({ threads: 2 })];
  const run = await open(kept, 8);
  const expected = await run(ROWS);
  const bytes = 256 << 20;
  const held = await (async () => {
    gone.write(gone.allocate("f32", 1 << 10, bytes / 2 ** 12), 0, new Float32Array(bytes / 4).fill(1));
    collect();
    return process.memoryUsage().rss;
  })();
  gone.dispose();
  let freed = 0;
  for (let tries = 0; tries < 1200 && freed < 0.7 * bytes; tries++) {
    await sleep(50);
    collect();
    freed = held - process.memoryUsage().rss;
    assert.equal(await run(ROWS), expected);
  }
  assert.ok(freed >= 0.7 * bytes, `${freed} of ${bytes} bytes`);
  kept.dispose();
});

test("threads that keep the memory of models are replaced though models come and go without a rest", async () => {
  let started = 0;
  const counting = createWasmBackend({
    startWorker: () => {
      started += 1;
      return startWorker<KernelTasks>(start, GLIMT_VERSION);
    },
    usualThreads: () => 2,
  });
  const kept = await counting.open({ threads: 2 });
  // Fails by the runner's limit when they never are.
  while (started < 4) {
    (await counting.open({ threads: 2 })).dispose();
    await sleep(100);
  }
  kept.dispose();
});

test("threads that wait take no time of a processor", async () => {
  const engine = await backend.open({ threads: 3 });
  await (await open(engine, 2))(ROWS);
  // What else the process has to do, as compiling and collecting, ends.
  let least = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < 30 && least > 0.05; tries++) {
    const [before, began] = [process.cpuUsage(), performance.now()];
    await sleep(500);
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1000 / (performance.now() - began));
  }
  assert.ok(least <= 0.05, `${least} of a processor`);
  engine.dispose();
});

test.run();
