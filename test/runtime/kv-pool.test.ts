import { test } from "uvu";
import * as assert from "uvu/assert";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { GlimtError } from "../../src/errors.ts";
import { KvPool, Sequence } from "../../src/runtime/kv-pool.ts";

const layout = { numLayers: 2, pageSize: 4, pageElements: 8, dtype: "f32" } as const;

test("sequences take pages as they grow and give them back", async () => {
  const engine = await referenceBackend.open();
  const pool = new KvPool(engine, layout);
  const [a, b] = [new Sequence(pool), new Sequence(pool)];
  a.reserve(5);
  b.reserve(4);
  assert.is(a.blockTable.length, 2);
  assert.is(b.blockTable.length, 1);
  assert.is(new Set([...a.blockTable, ...b.blockTable]).size, 3, "no page has two owners");
  a.length = 5;
  a.reserve(3);
  assert.is(a.blockTable.length, 2, "the third page is not needed yet");
  assert.is(a.slot(6), a.blockTable[1]! * 4 + 2);
  a.release();
  b.release();
  assert.is(pool.numFreePages, pool.numPages);
  engine.dispose();
  assert.is(engine.liveBytes, 0);
});

test("guesses have the room of pages that are there and hold nothing", async () => {
  const engine = await referenceBackend.open();
  const pool = new KvPool(engine, layout);
  pool.reserve(3);
  const [kept, guessing] = [new Sequence(pool), new Sequence(pool)];
  kept.reserve(4);
  kept.length = 4;
  kept.publish(4, () => "rows");
  kept.release();
  guessing.reserve(2);
  guessing.length = 2;
  assert.is(guessing.reserveBlank(2), 2);
  assert.is(guessing.blockTable.length, 1);
  assert.is(guessing.reserveBlank(5), 5, "a page that is empty");
  assert.is(guessing.reserveBlank(9), 6, "not the one that holds something, and no new one");
  assert.equal([pool.numPages, pool.prefixes.pages, pool.prefixes.evictions], [3, 1, 0]);
  guessing.reserve(9);
  assert.equal([pool.numPages, pool.prefixes.pages, pool.prefixes.evictions], [3, 0, 1]);
  engine.dispose();
});

test("growing keeps what is in use", async () => {
  const engine = await referenceBackend.open();
  const pool = new KvPool(engine, layout);
  const sequence = new Sequence(pool);
  sequence.reserve(4);
  sequence.length = 4;
  const before = pool.bindings()["kv.1"]!;
  engine.write(
    before,
    sequence.blockTable[0]!,
    Float32Array.from({ length: 8 }, (_, index) => index + 1),
  );
  sequence.reserve(40);
  const after = pool.bindings()["kv.1"]!;
  assert.is.not(after, before);
  assert.equal([...(await engine.read(after, sequence.blockTable[0]!, 1))], [1, 2, 3, 4, 5, 6, 7, 8]);
  engine.dispose();
});

test("where there is no room to grow ahead of need it grows by what is needed", async () => {
  const engine = await referenceBackend.open();
  const { allocate } = engine;
  engine.allocate = (dtype, rows, cols) => {
    if (rows > 9) throw new GlimtError("OUT_OF_MEMORY", `${rows} rows`);
    return allocate.call(engine, dtype, rows, cols);
  };
  const pool = new KvPool(engine, layout);
  const sequence = new Sequence(pool);
  for (let page = 1; page <= 9; page++) {
    sequence.reserve(4);
    sequence.length += 4;
    assert.is(sequence.blockTable.length, page);
  }
  assert.throws(
    () => sequence.reserve(4),
    (error: GlimtError) => error.code === "OUT_OF_MEMORY",
  );
  assert.is(pool.numPages, 9);
  engine.dispose();
});

test("a pool that does not fit fails without taking pages, and can be used for less", async () => {
  const engine = await referenceBackend.open();
  let allowed = 3;
  const limited = Object.create(engine, {
    allocate: {
      value: (...args: Parameters<typeof engine.allocate>) => {
        if (allowed-- <= 0) throw new Error("full");
        return engine.allocate(...args);
      },
    },
    free: { value: engine.free.bind(engine) },
    copy: { value: engine.copy.bind(engine) },
  });
  const pool = new KvPool(limited, layout);
  const first = new Sequence(pool);
  first.reserve(4);
  first.length = 4;
  const second = new Sequence(pool);
  assert.throws(() => second.reserve(400), "full");
  assert.is(second.blockTable.length, 0);
  assert.ok(Object.values(pool.bindings()).every((tensor) => tensor.rows >= pool.numPages));
  allowed = 100;
  second.reserve(8);
  assert.is(second.blockTable.length, 2);
  engine.dispose();
});

test("trimming gives back free pages behind those in use, not those that were reserved", async () => {
  const engine = await referenceBackend.open();
  const pool = new KvPool(engine, layout);
  pool.reserve(3);
  const reserved = engine.liveBytes;
  const [first, second] = [new Sequence(pool), new Sequence(pool)];
  first.reserve(16);
  second.reserve(80);
  first.length = 16;
  const data = Float32Array.from({ length: 8 }, (_, index) => index + 1);
  engine.write(pool.bindings()["kv.1"]!, first.blockTable[3]!, data);
  second.release();
  pool.trim();
  assert.is(pool.numPages, 4);
  assert.is(pool.numFreePages, 0);
  assert.equal(await engine.read(pool.bindings()["kv.1"]!, first.blockTable[3]!, 1), data);
  first.release();
  pool.trim();
  assert.is(pool.numPages, 3);
  assert.is(engine.liveBytes, reserved);
  engine.dispose();
});

test("trimming that finds no memory to move to leaves the pool as usable as it was", async () => {
  const engine = await referenceBackend.open();
  let allowed = Number.POSITIVE_INFINITY;
  const { allocate } = engine;
  engine.allocate = (...args) => {
    if (allowed-- <= 0) throw new GlimtError("OUT_OF_MEMORY", "full");
    return allocate.apply(engine, args);
  };
  const pool = new KvPool(engine, layout);
  const [first, second] = [new Sequence(pool), new Sequence(pool)];
  first.reserve(4);
  second.reserve(80);
  second.release();
  allowed = 1;
  pool.trim();
  assert.is(pool.numPages, 1);
  assert.ok(Object.values(pool.bindings()).every((tensor) => tensor.rows >= 1));
  allowed = 100;
  second.reserve(8);
  assert.is(new Set([...first.blockTable, ...second.blockTable]).size, 3);
  assert.ok(Object.values(pool.bindings()).every((tensor) => tensor.rows >= pool.numPages));
  engine.dispose();
});

/** A pool in which chats of so many pages ended, each with contents of its own. */
function afterChats(pool: KvPool, ...pages: readonly number[]): string[][] {
  return pages.map((count, chat) => {
    const sequence = new Sequence(pool);
    sequence.reserve(4 * count);
    sequence.length = 4 * count;
    const contents = Array.from({ length: count }, (_, page) => `${chat} ${page}`);
    sequence.publish(4 * count, (page) => contents[page] as string);
    sequence.release();
    return contents;
  });
}

/** Of each chat, how many of its pages are found. */
function found(pool: KvPool, chats: readonly string[][]): number[] {
  return chats.map((contents) => {
    const sequence = new Sequence(pool);
    sequence.adopt(4 * contents.length + 1, (page) => contents[page] as string);
    const pages = sequence.blockTable.length;
    sequence.release();
    return pages;
  });
}

test("a pool that grows to keep gives up nothing before it has its share of what is free", async () => {
  const engine = await referenceBackend.open();
  const free = 2 * 100 * 2 * 8 * 4;
  const limited = Object.create(engine, {
    freeBytes: { get: () => free - engine.liveBytes },
    allocate: { value: engine.allocate.bind(engine) },
    free: { value: engine.free.bind(engine) },
    copy: { value: engine.copy.bind(engine) },
  });
  const pool = new KvPool(limited, layout, { growsToKeep: true });
  const chats = afterChats(pool, 30, 30, 30);
  assert.equal(found(pool, chats), [30, 30, 30]);
  assert.is(pool.prefixes.evictions, 0);
  assert.equal(found(pool, [...chats, ...afterChats(pool, 40)]).at(-1), 40);
  assert.is(pool.numPages, 100, "half of what was free");
  assert.is(pool.prefixes.evictions, 30);
  // What is needed is no matter of shares.
  const sequence = new Sequence(pool);
  sequence.reserve(4 * 150);
  assert.is(pool.numPages, 150);
  sequence.release();
  pool.trim();
  assert.is(engine.liveBytes, 0);
  engine.dispose();
});

test("where memory ends what nobody holds gives way, and it is not tried again before something was given back", async () => {
  const engine = await referenceBackend.open();
  let most = 12;
  let refusals = 0;
  const { allocate } = engine;
  // The second layer has no room for more.
  engine.allocate = (dtype, rows, cols) => {
    if (rows <= most || ++refusals % 2 === 1) return allocate.call(engine, dtype, rows, cols);
    throw new GlimtError("OUT_OF_MEMORY", `${rows} rows`);
  };
  const pool = new KvPool(engine, layout, { growsToKeep: true });
  const chats = afterChats(pool, 6, 6, 6);
  assert.equal(found(pool, chats), [0, 6, 6]);
  assert.equal([pool.numPages, refusals], [12, 2]);
  assert.equal(
    Object.values(pool.bindings()).map(({ rows }) => rows),
    [12, 12],
    "a layer that had grown is as large as the others again",
  );
  most = 100;
  const [late] = afterChats(pool, 6) as [string[]];
  assert.is(pool.numPages, 12);
  assert.equal(found(pool, [late]), [6]);
  pool.trim();
  assert.equal(found(pool, afterChats(pool, 6, 6, 6)), [6, 6, 6]);
  engine.dispose();
});

test.run();
