/** Layout of safetensors files that are written; blocks as packed integers, which mean ggml's values, and back. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  BITS,
  integerBytes,
  packBlocks,
  unpackBlocks,
} from "../../src/checkpoint/quantised/packed-blocks.ts";
import { ELEMENT_BYTES, readSafetensorsHeader, type StoredDType } from "../../src/checkpoint/safetensors.ts";
import { readWeightFiles } from "../../src/checkpoint/shards.ts";
import { layoutWeights, type WrittenTensor } from "../../src/checkpoint/write/layout.ts";
import { quantise } from "../../src/tensor/blocks.ts";
import { toFloat32 } from "../../src/tensor/elements.ts";
import { fc } from "../property.ts";
import { asFiles, type MemoryFiles } from "./fixtures.ts";

const golden = JSON.parse(readFileSync("test/golden/data/blocks.json", "utf8"));
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "base64"));

for (const format of ["q8", "q4"] as const) {
  test(`${format}: packed integers times their scales are the values of ggml's blocks, and become these again`, () => {
    const [rows, cols] = golden.shape as [number, number];
    const blocks = (rows * cols) / 32;
    const values = new Float32Array(bytesOf(golden.values).buffer);
    const stored = new Uint8Array(bytesOf(golden[format].bytes).length);
    quantise(format, values, stored);
    assert.equal(stored, bytesOf(golden[format].bytes), "ggml's bytes");
    const words = new Uint8Array(blocks * integerBytes(format));
    const scales = new Uint8Array(2 * blocks);
    packBlocks(format, stored, words, scales);
    // As compressed-tensors unpacks them: fields of 32-bit words, lowest first, less half of the range.
    const bits = BITS[format];
    const ofWords = new Uint32Array(words.buffer);
    const scaleOf = toFloat32("f16", new Uint16Array(scales.buffer));
    const found = Float32Array.from({ length: rows * cols }, (_, at) => {
      const word = ofWords[Math.floor((at * bits) / 32)] as number;
      const field = (word >>> ((at * bits) % 32)) & (2 ** bits - 1);
      return (field - 2 ** (bits - 1)) * (scaleOf[Math.floor(at / 32)] as number);
    });
    const expected = new Float32Array(bytesOf(golden[format].values).buffer);
    assert.ok(expected.every((value, at) => value === found[at]));
    // By words where the memory allows it, and by halves of them.
    for (const [skipped, count] of [
      [0, blocks],
      [2, blocks],
      [0, 3],
    ] as const) {
      const blockBytes = stored.length / blocks;
      const back = new Uint8Array(skipped + count * blockBytes).subarray(skipped);
      back.set(words.subarray(0, count * integerBytes(format)), 2 * count);
      unpackBlocks(format, back, new Uint16Array(scales.buffer, 0, count));
      assert.equal(back, stored.subarray(0, count * blockBytes));
    }
  });
}

const tensor = fc.record({
  dtype: fc.constantFrom<StoredDType>("BF16", "F32", "F16", "I64", "U8"),
  shape: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3 }),
});
const groups = fc
  .array(fc.array(tensor, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 12 })
  .map((all) =>
    all.map((group, g) => group.map((t, i): WrittenTensor => ({ ...t, name: `layers.${g}.${i}` }))),
  );

test("whatever is laid out is read back: every tensor in its place, at a multiple of its element's size", async () => {
  await fc.assert(
    fc.asyncProperty(groups, fc.integer({ min: 1, max: 2000 }), async (given, shardBytes) => {
      const { files, places, index, bytes } = layoutWeights(given, { format: "pt" }, shardBytes);
      const memory: MemoryFiles = new Map(
        files.map(({ name, head, bytes: length }) => {
          const file = new Uint8Array(length);
          file.set(head);
          return [name, file];
        }),
      );
      assert.is(index !== null, files.length > 1);
      if (index) memory.set("model.safetensors.index.json", index);
      assert.is(
        bytes,
        files.reduce((sum, file) => sum + file.bytes, 0),
      );
      const found = await readWeightFiles(asFiles(memory));
      const all = given.flat();
      assert.is(found.tensors.size, all.length);
      for (const { name, dtype, shape } of all) {
        const read = [...found.tensors.values()].find((t) => t.name === name);
        const { file, offset } = places.get(name) ?? {};
        assert.equal(
          [read?.dtype, read?.shape, read?.file, read?.offset],
          [dtype, shape, file, offset],
          name,
        );
        assert.is((offset as number) % ELEMENT_BYTES[dtype], 0, name);
      }
      for (const group of given) {
        assert.is(new Set(group.map(({ name }) => places.get(name)?.file)).size, 1, "groups stay together");
      }
    }),
  );
});

test("files are no larger than asked for, but for what is larger alone; names and index are as transformers has them", async () => {
  const given = [100, 100, 100, 900, 50, 60].map((size, at): WrittenTensor[] => [
    { name: `t${at}`, dtype: "U8", shape: [size] },
  ]);
  const { files, places, index } = layoutWeights(given, {}, 250);
  assert.equal(
    files.map(({ name, head, bytes }) => [name, bytes - head.length]),
    [
      ["model-00001-of-00004.safetensors", 200],
      ["model-00002-of-00004.safetensors", 100],
      ["model-00003-of-00004.safetensors", 900],
      ["model-00004-of-00004.safetensors", 110],
    ],
  );
  assert.equal(JSON.parse(index as string).metadata, { total_size: 1310 });
  assert.is(JSON.parse(index as string).weight_map.t3, "model-00003-of-00004.safetensors");
  assert.is(places.get("t3")?.file, "model-00003-of-00004.safetensors");
  const [one] = layoutWeights(given, { format: "pt" }).files;
  assert.is(one?.name, "model.safetensors");
  const header = await readSafetensorsHeader(
    asFiles(
      new Map([["model.safetensors", new Uint8Array([...(one?.head ?? []), ...new Uint8Array(1310)])]]),
    ),
    "model.safetensors",
    one?.bytes ?? 0,
  );
  assert.is(header.length, 6);
});

test.run();
