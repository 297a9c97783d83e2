/** Shares of ceilings, and ceilings of what has them. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { bestOf, difference, leastTime, measureCeilings } from "../../src/measure/ceilings.ts";

test("the least time is that of the limit that is met first", () => {
  const ceilings = { multiplyAdd: 1000, q4Product: 4000, q8Product: 2000, read: 100 };
  const work = (floatOperations: number, integerOperations: number, bytes: number, byteOperations = 0) => ({
    floatOperations,
    integerOperations,
    byteOperations,
    bytes,
  });
  assert.equal(leastTime(work(2000, 0, 100), ceilings), { milliseconds: 2000, limit: "arithmetic" });
  // One after the other: the same units do both.
  assert.equal(leastTime(work(2000, 4000, 100), ceilings), { milliseconds: 3000, limit: "arithmetic" });
  assert.equal(leastTime(work(2000, 4000, 100, 1000), ceilings), { milliseconds: 3500, limit: "arithmetic" });
  assert.equal(leastTime(work(2000, 0, 500), ceilings), { milliseconds: 5000, limit: "reading" });
  assert.equal(leastTime(work(0, 0, 0), ceilings), { milliseconds: 0, limit: "arithmetic" });
});

test("without the ceiling that work needs there is no least time", () => {
  const ceilings = { multiplyAdd: 1000, read: 100 };
  assert.is(
    leastTime({ floatOperations: 1, integerOperations: 1, byteOperations: 0, bytes: 1 }, ceilings),
    null,
  );
  assert.is.not(
    leastTime({ floatOperations: 1, integerOperations: 0, byteOperations: 0, bytes: 1 }, ceilings),
    null,
  );
});

test("of two measurements the better counts, and the largest difference is told", () => {
  const [before, after] = [
    { multiplyAdd: 100, read: 80 },
    { multiplyAdd: 90, read: 100 },
  ];
  assert.equal(bestOf(before, after), { multiplyAdd: 100, read: 100 });
  assert.ok(Math.abs(difference(before, after) - 0.2) < 1e-12);
  assert.is(difference(before, before), 0);
});

test("WebAssembly has ceilings, the reference backend none, and an abort ends measuring them", async () => {
  assert.is(await measureCeilings(referenceBackend, {}), null);
  const found = await measureCeilings(wasmBackend, { threads: 1 });
  for (const name of ["multiplyAdd", "q4Product", "q8Product", "read"] as const) {
    assert.ok((found?.[name] ?? 0) > 1e8, `${name}: ${found?.[name]}`);
  }
  try {
    await measureCeilings(wasmBackend, { threads: 1 }, AbortSignal.abort());
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code?: string }).code, "ABORTED");
  }
});

test("where there is no room to read, there are no ceilings: what a model does is told without", async () => {
  assert.is(await measureCeilings(wasmBackend, { threads: 1, maxMemory: 100 << 20 }), null);
});

test.run();
