/** Reads that were announced are fetched ahead: few requests, several at a time, little memory, the same bytes. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { FileRange } from "../../src/checkpoint/files.ts";
import { type FetchRange, ReadAhead } from "../../src/checkpoint/read-ahead.ts";
import { GlimtError } from "../../src/errors.ts";
import { fc } from "../property.ts";
import { failure } from "./fixtures.ts";

const MIB = 1 << 20;

/** A byte that its place tells, from a pattern that repeats. */
const PERIOD = MIB - 3;
const pattern = Uint8Array.from({ length: PERIOD }, (_, i) => (i * 31 + (i >> 8)) & 255);
const byteAt = (place: number) => pattern[place % PERIOD];

function fill(offset: number, into: Uint8Array): void {
  for (let done = 0; done < into.length; ) {
    const piece = pattern.subarray((offset + done) % PERIOD).subarray(0, into.length - done);
    into.set(piece, done);
    done += piece.length;
  }
}

interface Source {
  readonly asked: FileRange[];
  readonly fetch: FetchRange;
  most: number;
}

function source(): Source {
  let running = 0;
  const found: Source = {
    asked: [],
    most: 0,
    fetch: async (range, into, signal) => {
      found.asked.push(range);
      running++;
      found.most = Math.max(found.most, running);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running--;
      if (signal.aborted) throw new GlimtError("ABORTED", "aborted");
      fill(range.offset, into);
    },
  };
  return found;
}

async function readAll(ahead: ReadAhead, reads: readonly FileRange[], piece: number): Promise<void> {
  for (const { file, offset, bytes } of reads) {
    for (let done = 0; done < bytes; done += piece) {
      const into = new Uint8Array(Math.min(piece, bytes - done));
      await ahead.read(file, offset + done, into);
      for (let i = 0; i < into.length; i += 997) assert.is(into[i], byteAt(offset + done + i));
    }
  }
}

test("a hundred neighbouring tensors are two requests", async () => {
  const reads = Array.from({ length: 100 }, (_, i) => ({
    file: "a",
    offset: 1000 + i * 80_000,
    bytes: 80_000,
  }));
  const { asked, fetch } = source();
  await readAll(new ReadAhead(reads, fetch), reads, MIB);
  assert.equal(
    asked.map(({ offset, bytes }) => [offset, bytes]),
    [
      [1000, 4 * MIB],
      [1000 + 4 * MIB, 8_000_000 - 4 * MIB],
    ],
  );
});

test("a large tensor is fetched by several requests at a time, and no more is held than eight ranges", async () => {
  const reads = [{ file: "a", offset: 8, bytes: 100 * MIB }];
  const found = source();
  const ahead = new ReadAhead(reads, found.fetch);
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.is(found.asked.length, 8);
  await readAll(ahead, reads, 4 * MIB);
  assert.is(found.asked.length, 25);
  assert.is(found.most, 8);
});

test("small holes are read over, large ones are not; files are apart", async () => {
  const reads = [
    { file: "a", offset: 0, bytes: 100 },
    { file: "a", offset: 1000, bytes: 100 },
    { file: "a", offset: 10 * MIB, bytes: 100 },
    { file: "b", offset: 1100, bytes: 100 },
  ];
  const { asked, fetch } = source();
  await readAll(new ReadAhead(reads, fetch), reads, MIB);
  assert.equal(
    asked.map(({ file, offset, bytes }) => [file, offset, bytes]),
    [
      ["a", 0, 1100],
      ["a", 10 * MIB, 100],
      ["b", 1100, 100],
    ],
  );
});

test("what was not announced, or is read a second time, is fetched by itself", async () => {
  const reads = [{ file: "a", offset: 100, bytes: 100 }];
  const { asked, fetch } = source();
  const ahead = new ReadAhead(reads, fetch);
  await readAll(ahead, [{ file: "a", offset: 50, bytes: 300 }], 300);
  await readAll(ahead, reads, 100);
  await readAll(ahead, [{ file: "b", offset: 0, bytes: 10 }], 10);
  assert.equal(
    asked.map(({ file, offset, bytes }) => [file, offset, bytes]),
    [
      ["a", 100, 100],
      ["a", 50, 50],
      ["a", 200, 150],
      ["a", 100, 100],
      ["b", 0, 10],
    ],
  );
});

test("a failure is thrown to who reads what failed, and an end stops what was begun", async () => {
  const reads = [{ file: "a", offset: 0, bytes: 100 * MIB }];
  const broken = new ReadAhead(reads, async () => {
    throw new GlimtError("CHECKPOINT_INVALID", "broken");
  });
  assert.is((await failure(() => broken.read("a", 0, new Uint8Array(8)))).message, "broken");
  const found = source();
  const ended = new ReadAhead(reads, found.fetch);
  ended.end();
  assert.is((await failure(() => ended.read("a", 0, new Uint8Array(8)))).code, "ABORTED");
  const control = new AbortController();
  const stopped = new ReadAhead(reads, found.fetch, control.signal);
  control.abort();
  assert.is((await failure(() => stopped.read("a", 0, new Uint8Array(8)))).code, "ABORTED");
});

const extents = fc.array(
  fc.record({
    file: fc.constantFrom("a", "b"),
    offset: fc.nat(30 * MIB),
    bytes: fc.oneof(fc.nat(200_000), fc.nat(9 * MIB)),
  }),
  { maxLength: 8 },
);

test("whatever is announced and read, in any order, gives the right bytes", async () => {
  await fc.assert(
    fc.asyncProperty(extents, extents, fc.integer({ min: 100_000, max: 6 * MIB }), async (a, b, piece) => {
      const ahead = new ReadAhead(a, source().fetch);
      await readAll(ahead, [...b, ...a], piece);
      ahead.end();
    }),
    { numRuns: 15 },
  );
});

test.run();
