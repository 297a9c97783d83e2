/** Specs that name rows and columns of tensors, against a checkpoint and with adapters. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { resolveWeights } from "../../src/checkpoint/resolve-weights.ts";
import type { WeightSource, WeightSpec } from "../../src/graph/weight-spec.ts";
import { failure } from "./fixtures.ts";

const checkpoint = await openCheckpoint(await openDirectory("test/golden/data/glm_ocr-tiny"));
const [tensor, shape] = [...checkpoint.tensors].flatMap(([name, { shape }]) =>
  name.endsWith("layers.0.mlp.gate_up_proj.weight") ? [[name, shape] as const] : [],
)[0] as readonly [string, readonly number[]];
const [height = 0, width = 0] = shape;

/** All other tensors are asked for too, as a model would. */
function specsWith(source: Partial<WeightSource>, size: readonly number[]): WeightSpec[] {
  const whole = [...checkpoint.tensors].map(([name, { shape }]): WeightSpec => {
    const [rows = 1, ...rest] = shape;
    const cols = rest.reduce((product, count) => product * count, 1);
    const sources = [{ tensor: name, shape, layout: "rows" as const }];
    return { name, shape: [rows, cols], dtype: "f32", sources };
  });
  return [
    { name: "part", shape: size, dtype: "f32", sources: [{ tensor, shape, layout: "rows", ...source }] },
    ...whole,
  ];
}

async function valuesOf(source: Partial<WeightSource>, size: readonly number[]): Promise<Uint16Array> {
  const { weights } = resolveWeights(checkpoint, specsWith(source, size));
  const part = weights[0] as (typeof weights)[0];
  const bytes = new Uint8Array(part.bytes);
  await part.readRows(0, part.rows, bytes);
  return new Uint16Array(bytes.buffer);
}

test("ranges of a tensor are those of the whole; the halves of its columns lie side by side", async () => {
  const whole = await valuesOf({}, [height, width]);
  const half = width / 2;
  for (const first of [0, half]) {
    const part = await valuesOf({ cols: { first, count: half } }, [height, half]);
    for (let row = 0; row < height; row++) {
      const start = row * width + first;
      assert.equal(part.subarray(row * half, (row + 1) * half), whole.subarray(start, start + half));
    }
  }
  const rows = await valuesOf({ rows: { first: 3, count: 5 } }, [5, width]);
  assert.equal(rows, whole.subarray(3 * width, 8 * width));
});

test("a part is read in the order of where it begins", () => {
  const ranged = { rows: { first: 3, count: 5 }, cols: { first: 2, count: 4 } };
  const { weights } = resolveWeights(checkpoint, specsWith(ranged, [5, 4]));
  const [part, ...others] = weights;
  const whole = others.find(({ spec }) => spec.name === tensor);
  assert.is((part?.position ?? 0) - (whole?.position ?? 0), 2 * (3 * width + 2));
});

const REFUSED: readonly [
  name: string,
  source: Partial<WeightSource>,
  size: readonly number[],
  message: RegExp,
][] = [
  [
    "rows past the end",
    { rows: { first: height - 1, count: 2 } },
    [2, width],
    /rows \d+\.\.\d+ .* no part of/,
  ],
  ["columns past the end", { cols: { first: 0, count: width + 1 } }, [height, width + 1], /columns 0\.\./],
  ["a negative start", { rows: { first: -1, count: 2 } }, [2, width], /rows -1\.\.1/],
  ["half a row", { rows: { first: 0, count: 1.5 } }, [1.5, width], /no part/],
  ["columns of a convolution", { layout: "conv2x2", cols: { first: 0, count: 4 } }, [height, 4], /conv2x2/],
  ["rows that do not add up", { rows: { first: 0, count: 2 } }, [3, width], /not the sum/],
  ["columns of another number", { cols: { first: 0, count: 2 } }, [height, 3], /not the sum/],
];

for (const [name, source, size, message] of REFUSED) {
  test(`refused: ${name}`, async () => {
    const error = await failure(() => resolveWeights(checkpoint, specsWith(source, size)));
    assert.is(error.code, "GRAPH_INVALID");
    assert.match(error.message, message);
  });
}

test.run();
