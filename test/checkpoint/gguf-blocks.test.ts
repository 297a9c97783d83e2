/** Values of ggml's block types, to the bit as the gguf package of llama.cpp reads them (test/golden/make_gguf.py). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { TENSOR_TYPES } from "../../src/checkpoint/gguf/tensor-types.ts";
import { widenRows } from "../../src/tensor/rows.ts";
import { goldenDataDir } from "../golden/load.ts";

interface Blocks {
  readonly bytes: string;
  readonly values: string;
}

const { blocks } = JSON.parse(readFileSync(join(goldenDataDir, "gguf", "expected.json"), "utf8")) as {
  blocks: Readonly<Record<string, Blocks>>;
};
const bytesOf = (base64: string) => Uint8Array.from(Buffer.from(base64, "base64"));

for (const [name, { bytes, values }] of Object.entries(blocks)) {
  test(`${name}: every value has ggml's bits`, () => {
    const type = [...TENSOR_TYPES.values()].find((row) => row.name === name)!;
    const stored = bytesOf(bytes);
    const expected = new Uint32Array(bytesOf(values).buffer);
    const decoded = new Float32Array(expected.length);
    assert.is((stored.length / type.blockBytes) * type.blockElements, expected.length);
    if (type.decode) type.decode(stored, decoded);
    else decoded.set(widenRows(type.format!, stored));
    assert.equal(new Uint32Array(decoded.buffer), expected);
  });
}

test("every type that can be a weight is judged", () => {
  const plain = ["F32", "F16", "BF16"];
  const readable = [...TENSOR_TYPES.values()].filter(({ format, decode }) => format ?? decode);
  assert.equal(readable.map(({ name }) => name).sort(), [...plain, ...Object.keys(blocks)].sort());
});

test.run();
