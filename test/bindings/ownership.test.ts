/** What JavaScript does to its arrays, lists and handles while the addon works on them. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { TensorHandle } from "../../src/backends/cuda/addon.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { encodeProgram } from "../../src/program/encoding.ts";
import type { VerifiedProgram } from "../../src/program/verify-program.ts";
import { formatCode } from "../../src/tensor/storage.ts";
import { EMULATOR_PATH, loadEmulator } from "./emulator.ts";
import { identity, longProgram, openLongRun, WIDTH } from "./long-program.ts";

const backend = createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" });
const addon = loadEmulator();
const F32 = formatCode("f32");
const ROWS = 16;
/** Large enough that its memory is given back to the system at once when it is freed. */
const LARGE_ROWS = 1 << 14;

function codeOf(task: () => unknown): string {
  try {
    task();
  } catch (error) {
    return String((error as { code?: string }).code);
  }
  return "none";
}

const laterCodeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "none",
    (error) => String(error.code),
  );

/** Takes the memory away as postMessage with a transfer list does, and frees it. */
function transfer(array: Float32Array): void {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] });
  assert.is(array.length, 0);
}

const numbers = (rows: number) => Float32Array.from({ length: rows * WIDTH }, (_, index) => index % 89);

test("an input that is transferred or changed during a run: the run has what it held before", async () => {
  const engine = await backend.open();
  const { executable, y, x } = await openLongRun(engine, ROWS);
  for (const change of [transfer, (array: Float32Array) => array.fill(Number.NaN)]) {
    const input = x.slice();
    const running = engine.run(executable, { symbols: { rows: ROWS }, buffers: { x: input, y } });
    change(input);
    await running;
    assert.equal(await engine.read(y), x);
  }
  engine.dispose();
});

test("an output that is transferred during a run is INPUT_INVALID; one that is larger keeps its rest", async () => {
  const engine = await backend.open();
  const { executable, x } = await openLongRun(engine, ROWS);
  const run = (y: Float32Array) => engine.run(executable, { symbols: { rows: ROWS }, buffers: { x, y } });
  const output = new Float32Array(ROWS * WIDTH);
  const running = run(output);
  transfer(output);
  assert.is(await laterCodeOf(running), "INPUT_INVALID");
  const larger = new Float32Array(ROWS * WIDTH + 3).fill(7);
  await run(larger);
  assert.equal(larger.subarray(0, x.length), x);
  assert.equal([...larger.subarray(x.length)], [7, 7, 7]);
  engine.dispose();
});

test("arrays that are transferred while they are uploaded or read into", async () => {
  const engine = await addon.openEngine(0, 0, 0, null);
  const tensor = addon.allocate(engine, F32, LARGE_ROWS, WIDTH);
  const values = numbers(LARGE_ROWS);
  const sent = values.slice();
  const uploading = addon.upload(tensor, 0, LARGE_ROWS, F32, sent);
  transfer(sent);
  assert.is(await uploading, 0);
  const into = new Float32Array(values.length);
  const reading = addon.read(tensor, 0, LARGE_ROWS, into);
  transfer(into);
  assert.is(await laterCodeOf(reading), "INPUT_INVALID");
  const whole = new Float32Array(values.length);
  await addon.read(tensor, 0, LARGE_ROWS, whole);
  assert.ok(whole.every((value, index) => value === values[index]));
  addon.closeEngine(engine);
});

/** A list that runs `task` when its last element is asked for, and holds `more` from then on. */
function sly<T>(list: readonly T[], task: () => void, more: readonly T[] = []): T[] {
  const sneaky = [...list];
  let asked = false;
  const get = () => {
    if (!asked) {
      asked = true;
      task();
      sneaky.push(...more);
    }
    return list.at(-1) as T;
  };
  return Object.defineProperty(sneaky, list.length - 1, { get });
}

test("lists whose elements do something when they are asked for", async () => {
  const engine = await addon.openEngine(0, 0, 0, null);
  const program = encodeProgram(longProgram(2));
  const newTensor = (rows: number) => addon.allocate(engine, F32, rows, WIDTH);
  const w = newTensor(WIDTH);
  addon.write(w, 0, WIDTH, F32, identity());

  const freed = newTensor(WIDTH);
  const weights = (task: () => void, handle: TensorHandle) => sly([["w", handle] as const], task);
  assert.is(
    codeOf(() =>
      addon.load(
        engine,
        program,
        weights(() => addon.free(freed), freed),
      ),
    ),
    "DISPOSED",
  );

  const lost = program.slice();
  const loseProgram = () => structuredClone(lost.buffer, { transfer: [lost.buffer as ArrayBuffer] });
  assert.is(
    codeOf(() => addon.load(engine, lost, weights(loseProgram, w))),
    "PROGRAM_INVALID",
  );

  const executable = addon.load(engine, program, [["w", w]]);
  const [x, y] = [newTensor(ROWS), newTensor(ROWS)];
  const rows = [["rows", ROWS] as const];
  const gone = sly([["x", x, 0, ROWS] as const, ["y", y, 0, ROWS] as const], () => addon.free(x));
  assert.is(
    codeOf(() => addon.run(executable, rows, gone, 0)),
    "DISPOSED",
  );
  assert.is(
    codeOf(() => addon.bind(executable, gone)),
    "DISPOSED",
  );

  const input = numbers(ROWS);
  const names = Array.from({ length: 1000 }, (_, index) => [`grown ${index}`, 1] as const);
  const growing = sly<readonly [string, number]>([["rows", ROWS]], () => {}, names);
  await addon.run(
    executable,
    growing,
    [
      ["x", input],
      ["y", y, 0, ROWS],
    ],
    0,
  );
  const found = new Float32Array(input.length);
  await addon.read(y, 0, ROWS, found);
  assert.equal(found, input);

  const closing = sly([["x", input] as const, ["y", y, 0, ROWS] as const], () => addon.closeEngine(engine));
  assert.is(
    codeOf(() => addon.run(executable, rows, closing, 0)),
    "DISPOSED",
  );
});

test("rows that are no whole numbers are refused", async () => {
  const engine = await addon.openEngine(0, 0, 0, null);
  const w = addon.allocate(engine, F32, WIDTH, WIDTH);
  const executable = addon.load(engine, encodeProgram(longProgram(2)), [["w", w]]);
  const x = addon.allocate(engine, F32, ROWS, WIDTH);
  for (const [first, rows] of [
    [0.5, 2],
    [0, 1.5],
    [-1, 2],
    [Number.NaN, 1],
  ] as const) {
    assert.is(
      codeOf(() => addon.bind(executable, [["x", x, first, rows]])),
      "INPUT_INVALID",
    );
  }
  addon.closeEngine(engine);
});

test("slots whose sizes add up to more than 64 bits are OUT_OF_MEMORY", async () => {
  const engine = await addon.openEngine(0, 0, 0, null);
  const whole = longProgram(2);
  const w = addon.allocate(engine, F32, WIDTH, WIDTH);
  const side = 2 ** 23;
  // 2^15 slots of 2^46 elements, which are 2^48 bytes, and one of 2^46 more: 2^63 and a bit; twice that wraps around.
  const extra = Array.from({ length: 2 ** 16 }, (_, index) => ({
    kind: "temporary" as const,
    name: `t${index}`,
    dtype: "f32" as const,
    layout: "plain" as const,
    slot: whole.slotCount + index,
    rows: side,
    cols: side,
  }));
  const program = {
    ...whole,
    slotCount: whole.slotCount + extra.length,
    buffers: [...whole.buffers, ...extra],
  } as unknown as VerifiedProgram;
  const executable = addon.load(engine, encodeProgram(program), [["w", w]]);
  assert.is(
    codeOf(() => addon.arenaBytes(executable, [["rows", ROWS]])),
    "OUT_OF_MEMORY",
  );
  addon.closeEngine(engine);
});

test("an onProgress that throws ends the run with what it threw", async () => {
  const engine = await backend.open();
  const { run } = await openLongRun(engine, ROWS, 500);
  const complaint = new Error("no more");
  const refuse = () => {
    throw complaint;
  };
  assert.is(await run(ROWS, { onProgress: refuse }).catch((error) => error), complaint);
  await run(1);
  engine.dispose();
});

test.run();
