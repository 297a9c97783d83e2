/** The float32 steps of products with weights in blocks, held against numpy's; and what is no number in them. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { M, opCase } from "../../src/conformance/case.ts";
import { runCase } from "../../src/conformance/harness.ts";
import { fixed } from "../../src/conformance/operands.ts";

const golden = JSON.parse(readFileSync("test/golden/data/blocks.json", "utf8"));
const floatsOf = (text: string) => new Float32Array(Uint8Array.from(Buffer.from(text, "base64")).buffer);

const [rows, cols] = golden.shape as [number, number];
const [count] = golden.x.shape as [number];
const x = floatsOf(golden.x.values);

async function product(weight: "q8" | "q4", values: Float32Array): Promise<Float32Array> {
  const engine = await referenceBackend.open();
  const { outputs } = await runCase(
    engine,
    opCase("linear_bias", {
      fields: { weight },
      weight,
      symbols: { m: count },
      operands: {
        x: fixed([M, cols], values),
        w: fixed([rows, cols], floatsOf(golden.values)),
        bias: fixed([rows], floatsOf(golden.bias)),
      },
    }),
    "f32",
  );
  engine.dispose();
  return outputs.y as Float32Array;
}

for (const weight of ["q8", "q4"] as const) {
  test(`${weight}: y is numpy's, bit for bit`, async () => {
    assert.equal(await product(weight, x), floatsOf(golden[weight].y));
  });

  test(`${weight}: an activation that is not finite leaves no number in its row, and the others as they are`, async () => {
    const expected = floatsOf(golden[weight].y);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const spoiled = x.slice();
      spoiled[2 * cols + 40] = bad;
      const y = await product(weight, spoiled);
      assert.ok(y.subarray(2 * rows, 3 * rows).every((value) => !Number.isFinite(value)));
      assert.equal(y.subarray(0, 2 * rows), expected.subarray(0, 2 * rows));
      assert.equal(y.subarray(3 * rows), expected.subarray(3 * rows));
    }
  });
}

test.run();
