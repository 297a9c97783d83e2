/** The container of GGUF files: all kinds of values, and what is refused of damaged and lying ones. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { blobFiles } from "../../src/checkpoint/blobs.ts";
import { readGguf } from "../../src/checkpoint/gguf/container.ts";
import { failure } from "./fixtures.ts";
import { Bytes, type GgufTensorFixture, gguf } from "./gguf-fixtures.ts";

function read(file: Uint8Array<ArrayBuffer>) {
  const files = blobFiles(new Map([["m.gguf", new Blob([file])]]));
  return readGguf(files, "m.gguf", file.length);
}

const tensor = (dims: readonly number[], type: number, bytes: number): GgufTensorFixture => ({
  dims,
  type,
  data: Uint8Array.from({ length: bytes }, (_, at) => at),
});

test("values of every type, lists and lists of lists", async () => {
  const of = (type: number, bytes: Bytes) => ({ type, bytes: bytes.done() });
  const list = (type: number, count: number, bytes: Bytes) =>
    of(9, new Bytes().u32(type).u64(count).add(bytes.done()));
  const { values } = await read(
    gguf({
      u8: of(0, new Bytes().add([200])),
      i8: of(1, new Bytes().add([200])),
      u16: of(2, new Bytes().add([1, 128])),
      i16: of(3, new Bytes().add([1, 128])),
      u32: of(4, new Bytes().u32(4e9)),
      i32: of(5, new Bytes().u32(4294967295)),
      f32: of(6, new Bytes().f32(0.5)),
      yes: true,
      text: "Grüße 東京",
      none: list(8, 0, new Bytes()),
      texts: ["a", "", "Ġb"],
      numbers: list(5, 3, new Bytes().u32(1).u32(2).u32(4294967293)),
      flags: list(7, 2, new Bytes().add([1, 0])),
      nested: list(9, 2, new Bytes().u32(0).u64(1).add([7]).u32(8).u64(1).string("x")),
      u64: of(10, new Bytes().u64(2n ** 40n)),
      i64: of(11, new Bytes().u64(2n ** 64n - 5n)),
      f64: of(12, new Bytes().add(new Uint8Array(new Float64Array([0.1]).buffer))),
    }),
  );
  const found = Object.fromEntries(
    [...values].map(([key, value]) => [
      key,
      ArrayBuffer.isView(value) ? Array.from(value as Int32Array) : value,
    ]),
  );
  assert.equal(found, {
    u8: 200,
    i8: -56,
    u16: 32769,
    i16: -32767,
    u32: 4e9,
    i32: -1,
    f32: 0.5,
    yes: true,
    text: "Grüße 東京",
    none: [],
    texts: ["a", "", "Ġb"],
    numbers: [1, 2, -3],
    flags: [true, false],
    nested: [Uint8Array.of(7), ["x"]],
    u64: 2 ** 40,
    i64: -5,
    f64: 0.1,
  });
});

test("tensors lie at multiples of the alignment, shapes are turned round", async () => {
  const file = gguf({}, { a: tensor([32, 3], 8, 102), b: tensor([2, 3, 4], 0, 96), c: tensor([5], 77, 5) });
  const { tensors } = await read(file);
  assert.equal(
    tensors.map(({ name, shape, encoding, bytes }) => [name, shape, encoding, bytes]),
    [
      ["a", [3, 32], "Q8_0", 102],
      ["b", [4, 3, 2], "F32", 96],
      ["c", [5], "GGUF type 77", 0],
    ],
  );
  assert.equal(
    tensors.map(({ offset }) => offset % 32),
    [0, 0, 0],
  );
  assert.is(file[(tensors[0]?.offset ?? 0) + 5], 5);
  const wide = gguf({ "general.alignment": 64 }, { a: tensor([8], 0, 32) });
  assert.is((await read(Uint8Array.from([...wide, ...new Uint8Array(64)]))).tensors[0]!.offset % 64, 0);
});

test("a header longer than one read, and a text across its border", async () => {
  const tokens = Array.from({ length: 40000 }, (_, index) => `token ${index} ${"x".repeat(index % 50)}`);
  const { values } = await read(gguf({ tokens, after: "here" }));
  assert.equal(values.get("tokens"), tokens);
  assert.is(values.get("after"), "here");
});

const small = gguf({ a: 1, texts: ["b", "c"] }, { w: tensor([4], 0, 16) });

test("a file that ends anywhere is refused", async () => {
  for (let length = 0; length < small.length - 16; length++) {
    const { code, message } = await failure(() => read(small.slice(0, length)));
    assert.is(code, "CHECKPOINT_INVALID", `${length}: ${message}`);
    assert.match(message, /^m\.gguf in the given files: /);
  }
});

const HUGE = 2n ** 62n;
const lies: readonly [string, Uint8Array<ArrayBuffer>, RegExp][] = [
  ["another kind of file", gguf({}, {}, { magic: 0x04034b50 }), /no GGUF file/],
  ["version 1", gguf({}, {}, { version: 1 }), /version 1; glimt reads version 3/],
  ["big-endian", gguf({}, {}, { version: 0x03000000 }), /big-endian/],
  ["tensors without end", gguf({ a: 1 }, {}, { tensorCount: HUGE }), /claims \d+ tensors/],
  ["keys without end", gguf({ a: 1 }, {}, { keyCount: HUGE }), /claims \d+ keys/],
  [
    "a list without end",
    gguf({ a: { type: 9, bytes: new Bytes().u32(5).u64(HUGE).done() } }),
    /values of "a"/,
  ],
  ["a text without end", gguf({ a: { type: 8, bytes: new Bytes().u64(HUGE).done() } }), /bytes of a text/],
  [
    "a value of no type",
    gguf({ a: { type: 13, bytes: new Uint8Array(8) } }),
    /"a" has a value of unknown type 13/,
  ],
  [
    "lists in lists in lists",
    gguf({
      a: {
        type: 9,
        bytes: Array.from({ length: 6 })
          .reduce<Bytes>((bytes) => bytes.u32(9).u64(1), new Bytes())
          .done(),
      },
    }),
    /lists in lists/,
  ],
  [
    "a tensor behind the end",
    gguf({}, { w: { ...tensor([4], 0, 16), offset: 3200 } }),
    /"w" ends at byte \d+/,
  ],
  ["a tensor too large", gguf({}, { w: tensor([1 << 20, 1 << 20], 0, 16) }), /"w" ends at byte/],
  ["a size that overflows", gguf({}, { w: tensor([2 ** 40, 2 ** 40], 0, 16) }), /"w" has shape/],
  ["no elements", gguf({}, { w: tensor([0, 4], 0, 16) }), /"w" has shape/],
  ["five dimensions", gguf({}, { w: tensor([1, 1, 1, 1, 1], 0, 16) }), /"w" has 5 dimensions/],
  ["half a block", gguf({}, { w: tensor([48, 2], 8, 128) }), /rows of 48 elements, .* blocks of 32 \(Q8_0\)/],
  ["off the alignment", gguf({}, { w: { ...tensor([4], 0, 16), offset: 8 } }), /begins at 8/],
  [
    "one over another",
    gguf({}, { v: tensor([16], 0, 64), w: { ...tensor([4], 0, 16), offset: 32 } }),
    /"w" overlaps/,
  ],
  ["an alignment of 24", gguf({ "general.alignment": 24 }, {}), /general\.alignment is 24/],
];

for (const [name, file, pattern] of lies) {
  test(`refused: ${name}`, async () => {
    const { code, message } = await failure(() => read(file));
    assert.is(code, "CHECKPOINT_INVALID");
    assert.match(message, pattern);
  });
}

test("the same key and the same tensor twice", async () => {
  const key = new Bytes().string("a").u32(4).u32(1).done();
  const head = new Bytes().u32(0x46554747).u32(3).u64(0).u64(2).add(key).add(key).done();
  assert.match((await failure(() => read(head))).message, /key "a" is there twice/);
  const info = new Bytes().string("w").u32(1).u64(4).u32(0).u64(0).done();
  const twice = new Bytes().u32(0x46554747).u32(3).u64(2).u64(0).add(info).add(info);
  twice.add(new Uint8Array(64));
  assert.match((await failure(() => read(twice.done()))).message, /"w" is listed twice/);
});

test.run();
