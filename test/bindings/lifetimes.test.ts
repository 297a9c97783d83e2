/** Engines, runs and handles that end while something is under way: in this process, in workers and in children. */
import { execFile } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Engine } from "../../src/backends/backend.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { encodeProgram } from "../../src/program/encoding.ts";
import { EMULATOR_PATH, loadEmulator } from "./emulator.ts";
import { ENDLESS, longProgram, openLongRun, WIDTH } from "./long-program.ts";

const backend = createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" });
const addon = loadEmulator();
/** Rows of the runs here. */
const ROWS = 16;
/** Much longer than the products that were launched already take on a busy machine, much shorter than an endless run. */
const SOON_MS = 20_000;

const freeBytes = () => addon.probe(0).freeBytes;

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "none",
    (error: { code?: string }) => String(error.code),
  );
}

async function withEngine(body: (engine: Engine) => Promise<void>): Promise<void> {
  const before = freeBytes();
  const engine = await backend.open();
  try {
    await body(engine);
  } finally {
    engine.dispose();
  }
  await eventually(() => freeBytes() === before, "the engine's memory was not given back");
}

async function eventually(condition: () => boolean, complaint: string): Promise<void> {
  for (let waited = 0; !condition(); waited += 20) {
    assert.ok(waited < SOON_MS, complaint);
    await sleep(20);
  }
}

test("a run leaves JavaScript's thread free and tells its progress", () =>
  withEngine(async (engine) => {
    const { run, y, x } = await openLongRun(engine, ROWS, ENDLESS / 40);
    let ticks = 0;
    const ticking = setInterval(() => ticks++, 5);
    const shares: number[] = [];
    await run(ROWS, { onProgress: (share) => shares.push(share) });
    clearInterval(ticking);
    assert.ok(ticks > 10, `${ticks} ticks`);
    assert.ok(shares.length > 2 && shares.every((share, index) => share >= (shares[index - 1] ?? 0)));
    assert.is(shares.at(-1), 1);
    assert.equal(await engine.read(y), x);
  }));

test("an aborted run ends soon, and the engine goes on", () =>
  withEngine(async (engine) => {
    const { run } = await openLongRun(engine, ROWS, ENDLESS);
    const start = performance.now();
    assert.is(await codeOf(run(ROWS, { signal: AbortSignal.timeout(50) })), "ABORTED");
    assert.ok(performance.now() - start < SOON_MS);
    const short = await openLongRun(engine, ROWS);
    await short.run(2);
    assert.equal(await engine.read(short.y, 0, 2), short.x.slice(0, 2 * WIDTH));
  }));

test("a second run while one is under way is refused", () =>
  withEngine(async (engine) => {
    const { run } = await openLongRun(engine, ROWS);
    const first = run(2);
    assert.is(await codeOf(run(2)), "INPUT_INVALID");
    await first;
  }));

test("what is freed during a run is freed after it", () =>
  withEngine(async (engine) => {
    const { run, y } = await openLongRun(engine, ROWS);
    const running = run(8);
    engine.free(y);
    await running;
    assert.is(await codeOf(engine.read(y)), "DISPOSED");
  }));

test("disposing ends a run with DISPOSED, and another engine works at once", async () => {
  const before = freeBytes();
  const engine = await backend.open();
  const { run, y } = await openLongRun(engine, ROWS, ENDLESS);
  const ended = codeOf(run(ROWS));
  const reading = codeOf(engine.read(y));
  await sleep(30);
  const start = performance.now();
  engine.dispose();
  assert.ok(performance.now() - start < SOON_MS, "dispose waited for the run");
  assert.is(engine.liveBytes, 0);
  assert.is(await ended, "DISPOSED");
  assert.is(await reading, "DISPOSED");
  await eventually(() => freeBytes() === before, "memory was not given back");
  await withEngine(async (next) => {
    await (await openLongRun(next, 2)).run(2);
  });
});

test("two engines share the device", () =>
  withEngine(async (first) => {
    const a = await openLongRun(first, 4);
    // Scratch memory is taken by the first run.
    await a.run(4);
    await withEngine(async (second) => {
      const b = await openLongRun(second, 4);
      await Promise.all([a.run(4), b.run(4)]);
      assert.equal(await first.read(a.y), a.x);
      assert.equal(await second.read(b.y), b.x);
      assert.throws(() => second.free(a.y), /another engine/);
    });
  }));

/** What workers and children do with the addon itself: opens an engine and starts a run of `rows` rows. */
const START_RUN = `
async function startRun(addon, program, rows) {
  const engine = await addon.openEngine(0, 0, 0, null);
  const w = addon.allocate(engine, 0, ${WIDTH}, ${WIDTH});
  const identity = Float32Array.from({ length: ${WIDTH * WIDTH} }, (_, i) => (i % ${WIDTH + 1} === 0 ? 1 : 0));
  addon.write(w, 0, ${WIDTH}, 0, identity);
  const executable = addon.load(engine, program, [["w", w]]);
  const y = addon.allocate(engine, 0, rows, ${WIDTH});
  const x = new Float32Array(rows * ${WIDTH}).fill(3);
  const run = addon.run(executable, [["rows", rows]], [["x", x], ["y", y, 0, rows]], 0);
  return { engine, executable, y, x, run };
}
`;

const WORKER = `
const { parentPort, workerData } = require("node:worker_threads");
const addon = require(workerData.path);
${START_RUN}
startRun(addon, workerData.program, workerData.rows).then(async ({ run, y }) => {
  parentPort.postMessage("started");
  if (workerData.next === "exit") process.exit(0);
  await run;
  const found = new Float32Array(workerData.rows * ${WIDTH});
  await addon.read(y, 0, workerData.rows, found);
  parentPort.postMessage(found.every((value) => value === 3) ? "right" : "wrong");
});
`;

function startWorker(rows: number, options: { steps?: number; next?: "exit"; path?: string } = {}) {
  const workerData = {
    path: EMULATOR_PATH,
    program: encodeProgram(longProgram(options.steps)),
    rows,
    ...options,
  };
  const worker = new Worker(WORKER, { eval: true, workerData });
  const messages: unknown[] = [];
  const started = new Promise<void>((resolve) => {
    worker.on("message", (message) => {
      messages.push(message);
      resolve();
    });
  });
  const ended = new Promise<number>((resolve, reject) => {
    worker.on("error", reject);
    worker.on("exit", resolve);
  });
  return { worker, messages, started, ended };
}

test("workers run side by side and leave nothing behind, though they dispose of nothing", async () => {
  const before = freeBytes();
  const workers = [2, 3, 5].map((rows) => startWorker(rows));
  for (const { ended, messages } of workers) {
    assert.is(await ended, 0);
    assert.equal(messages, ["started", "right"]);
  }
  await eventually(() => freeBytes() === before, "a worker's memory was not given back");
});

test("a worker terminated mid-step ends soon and leaves nothing behind", async () => {
  const before = freeBytes();
  const { worker, started, messages } = startWorker(ROWS, { steps: ENDLESS });
  await started;
  await sleep(30);
  const start = performance.now();
  await worker.terminate();
  assert.ok(performance.now() - start < SOON_MS, "terminate waited for the run");
  assert.equal(messages, ["started"]);
  await eventually(() => freeBytes() === before, "the worker's memory was not given back");
});

test("a worker that exits mid-step leaves nothing behind", async () => {
  const before = freeBytes();
  const { ended } = startWorker(ROWS, { steps: ENDLESS, next: "exit" });
  assert.is(await ended, 0);
  await eventually(() => freeBytes() === before, "the worker's memory was not given back");
});

test("a copy of the addon works beside the first", async () => {
  const folder = mkdtempSync(join(tmpdir(), "glimt-addon-"));
  const copy = join(folder, "copy.node");
  copyFileSync(EMULATOR_PATH, copy);
  const copied = startWorker(2, { path: copy });
  await withEngine(async (engine) => {
    const { run, y, x } = await openLongRun(engine, 2);
    await run(2);
    assert.equal(await engine.read(y), x);
  });
  assert.is(await copied.ended, 0);
  assert.equal(copied.messages, ["started", "right"]);
  rmSync(folder, { recursive: true });
});

interface Ended {
  readonly status: number | string;
  readonly stdout: string;
  readonly milliseconds: number;
}

/** Runs a script with `addon`, `program` and `startRun` in a process of its own. */
function runChild(script: string, steps?: number): Promise<Ended> {
  const program = Buffer.from(encodeProgram(longProgram(steps))).toString("base64");
  const source = `
const addon = require(${JSON.stringify(EMULATOR_PATH)});
const program = new Uint8Array(Buffer.from(${JSON.stringify(program)}, "base64"));
${START_RUN}
(async () => { ${script} })();
`;
  const start = performance.now();
  return new Promise((resolve) => {
    const child = execFile(process.execPath, ["--expose-gc", "-"], (error, stdout, stderr) => {
      const status = error ? (error.signal ?? `exit code ${error.code}: ${stderr}`) : 0;
      resolve({ status, stdout: stdout.trim(), milliseconds: performance.now() - start });
    });
    child.stdin?.end(source);
  });
}

test("process.exit mid-step ends the process at once, with its exit code", async () => {
  const { status, milliseconds } = await runChild(
    `await startRun(addon, program, ${ROWS}); setTimeout(() => process.exit(7), 50);`,
    ENDLESS,
  );
  assert.match(String(status), /^exit code 7/);
  assert.ok(milliseconds < SOON_MS, `${milliseconds} ms`);
});

test("an engine left open does not keep the process alive, a run under way does", async () => {
  const open = await runChild(`await addon.openEngine(0, 0, 0, null); console.log("opened");`);
  assert.equal([open.status, open.stdout], [0, "opened"]);
  const running = await runChild(
    `const { run } = await startRun(addon, program, 4); run.then(() => console.log("done"));`,
  );
  assert.equal([running.status, running.stdout], [0, "done"]);
});

test("an uncaught error mid-step ends the process as any other does", async () => {
  const { status } = await runChild(
    `await startRun(addon, program, ${ROWS}); setTimeout(() => { throw new Error("planted"); }, 30);`,
    ENDLESS,
  );
  assert.match(String(status), /^exit code 1.*planted/s);
});

test("what nobody holds any more is freed by the garbage collector", async () => {
  const { status, stdout } = await runChild(`
    const collect = async () => { for (let i = 0; i < 5; i++) { gc(); await new Promise(setImmediate); } };
    const before = addon.probe(0).freeBytes;
    let held = await startRun(addon, program, 4);
    await held.run;
    const inUse = addon.liveBytes(held.engine);
    for (let i = 0; i < 50; i++) addon.allocate(held.engine, 0, 100, 100);
    const most = addon.liveBytes(held.engine);
    await collect();
    const left = addon.liveBytes(held.engine);
    held = undefined;
    await collect();
    await new Promise((resolve) => setTimeout(resolve, 200));
    console.log(JSON.stringify([most - inUse, left - inUse, before - addon.probe(0).freeBytes]));
  `);
  assert.equal([status, stdout], [0, "[2000000,0,0]"]);
});

test.run();
