/** Configurations of quantised checkpoints that say what objects inherit, or too much; and widths that shapes leave open. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openTensors } from "../../src/checkpoint/open-tensors.ts";
import { readWeightFiles } from "../../src/checkpoint/shards.ts";
import { widenRows } from "../../src/tensor/rows.ts";
import { storageBytes } from "../../src/tensor/storage.ts";
import { asFiles, failure, safetensors } from "./fixtures.ts";

const words = (shape: readonly number[], value: number) => ({
  dtype: "I32",
  shape,
  data: new Uint8Array(new Int32Array(shape.reduce((a, b) => a * b, 1)).fill(value).buffer),
});
const [COLS, OUT] = [64, 16];
/** All integers are 9, their zero points 8, their scales 1. */
const tensors = {
  "m.qweight": words([COLS / 8, OUT], 0x99999999 | 0),
  "m.qzeros": words([1, OUT / 8], 0x77777777),
  "m.scales": {
    dtype: "F16",
    shape: [1, OUT],
    data: new Uint8Array(new Uint16Array(OUT).fill(0x3c00).buffer),
  },
};

async function open(section: object) {
  const files = asFiles(new Map([["model.safetensors", safetensors(tensors)]]));
  const { tensors: stored } = await readWeightFiles(files);
  return openTensors(files, stored, { quantization_config: { quant_method: "gptq", ...section } }, undefined);
}

for (const format of ["constructor", "toString", "__proto__", "hasOwnProperty"]) {
  test(`"${format}" is no layout of GPTQ`, async () => {
    const { code, message } = await failure(() => open({ bits: 4, checkpoint_format: format }));
    assert.is(code, "CONFIG_INVALID");
    assert.match(message, `checkpoint_format: expected one of gptq, gptq_v2, found "${format}"`);
  });
}

test("a method of any length is cut in the message", async () => {
  const { code, message } = await failure(() => open({ quant_method: "x".repeat(1_000_000) }));
  assert.is(code, "MODEL_UNSUPPORTED");
  assert.ok(message.length < 500, `${message.length} characters`);
});

test("where 3 and 4 bits take as many words the configuration tells", async () => {
  const weight = (await open({ bits: 4, group_size: -1 })).get("m.weight");
  if (!weight || weight.refusal !== undefined) throw new Error(`it is refused: ${weight?.refusal}`);
  assert.match(weight.encoding, "4 bits");
  const rows = new Uint8Array(storageBytes(weight.format, OUT, COLS));
  await weight.readRows(0, OUT, rows);
  assert.equal([...new Set(widenRows(weight.format, rows))], [1]);
});

test.run();
