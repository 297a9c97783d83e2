/** The bounded inflate against Node's zlib. */
import { deflateSync, constants as z } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkedInflate, inflate } from "../../src/media/inflate.ts";
import { fc } from "../property.ts";

/** Bytes that repeat, at near and far distances, and bytes that do not. */
const content = fc
  .array(fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.nat(40), fc.nat(3)), { maxLength: 12 })
  .map((parts) => {
    const pieces = parts.flatMap(([bytes, times, spread]) =>
      Array.from({ length: 1 + times }, (_, i) => (i % (spread + 1) === 0 ? bytes : bytes.toReversed())),
    );
    return Buffer.concat(pieces);
  });
const options = fc.record({
  level: fc.integer({ min: 0, max: 9 }),
  strategy: fc.constantFrom(z.Z_DEFAULT_STRATEGY, z.Z_HUFFMAN_ONLY, z.Z_RLE, z.Z_FIXED),
  windowBits: fc.integer({ min: 9, max: 15 }),
});

test("what zlib compresses comes back, whole or its first bytes", () => {
  fc.assert(
    fc.property(content, options, fc.nat(1000), (bytes, how, share) => {
      const data = deflateSync(bytes, how);
      const size = Math.floor((share / 1000) * bytes.length);
      assert.equal(Buffer.from(inflate(data, bytes.length + 9)), bytes);
      assert.equal(Buffer.from(inflate(data, size)), bytes.subarray(0, size));
      assert.equal(Buffer.from(checkedInflate(data, bytes.length)), bytes);
    }),
    { numRuns: 150 },
  );
});

test("damaged data gives other bytes or an error, and never another length", () => {
  fc.assert(
    fc.property(content, options, fc.nat(1e6), fc.nat(255), (bytes, how, place, value) => {
      const data = Uint8Array.from(deflateSync(bytes, how));
      data[place % data.length] = value;
      try {
        assert.ok(inflate(data, bytes.length).length <= bytes.length);
      } catch (error) {
        assert.match((error as Error).message, /^compressed data is (corrupt|cut off|no zlib stream)$/);
      }
    }),
    { numRuns: 300 },
  );
});

test("data may end anywhere", () => {
  const bytes = Buffer.from("to be, or not to be, that is the question ".repeat(9));
  const data = deflateSync(bytes);
  for (let length = 0; length < data.length - 4; length++) {
    assert.throws(() => checkedInflate(data.subarray(0, length), bytes.length), /cut off/);
  }
});

test("a checksum that is wrong is told, one that is missing is not missed", () => {
  const bytes = Buffer.from("to be, or not to be, that is the question");
  const data = deflateSync(bytes);
  assert.equal(Buffer.from(checkedInflate(data.subarray(0, data.length - 4), bytes.length)), bytes);
  data[data.length - 1]! ^= 1;
  assert.throws(() => checkedInflate(data, bytes.length), /corrupt/);
});

test("a bomb is as large as one wants it", () => {
  const data = deflateSync(Buffer.alloc(50_000_000));
  assert.is(inflate(data, 1000).length, 1000);
});

test.run();
