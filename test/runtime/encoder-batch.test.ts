/** Batches for the encoder program: packing, selection, padding, and that padding changes no result. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import type { GlimtError } from "../../src/errors.ts";
import { prepareEncoderMetadata } from "../../src/mrope/vision-metadata.ts";
import type { GridThw } from "../../src/processor/grid.ts";
import { type EncoderItem, selectEncoderItems } from "../../src/prompt/vision-items.ts";
import { encoderBudgets, encoderItemSpecs, packEncoderItems } from "../../src/runtime/encoder-batch.ts";
import { goldenCheckpoints } from "../golden/load.ts";
import { comparePadded } from "./padded-features.ts";

const GRIDS: readonly GridThw[] = [
  [1, 4, 6],
  [3, 2, 4],
  [1, 2, 2],
];

test("items are counted: patches in, tokens out, frames", () => {
  assert.equal(encoderItemSpecs(GRIDS, 2), [
    { inputSize: 24, outputTokens: 6, frames: 1 },
    { inputSize: 24, outputTokens: 6, frames: 3 },
    { inputSize: 4, outputTokens: 1, frames: 1 },
  ]);
});

test("budgets double from the least to the most", () => {
  assert.equal(
    encoderBudgets(64, 300, 2).map(({ patches }) => patches / 4),
    [64, 128, 256, 300],
  );
  assert.equal(
    encoderBudgets(64, 64, 2).map(({ patches }) => patches / 4),
    [64],
  );
});

const small = { patches: 28, frames: 2 };
const large = { patches: 60, frames: 6 };
const PACKINGS: [name: string, sizes: [patches: number, frames: number][], runs: unknown[]][] = [
  ["nothing", [], []],
  ["one small item", [[24, 1]], [{ first: 0, count: 1, budget: small }]],
  [
    "patches fill the large budget",
    [
      [24, 1],
      [24, 1],
      [12, 1],
    ],
    [{ first: 0, count: 3, budget: large }],
  ],
  [
    "patches past it",
    [
      [24, 1],
      [24, 1],
      [16, 1],
    ],
    [
      { first: 0, count: 2, budget: large },
      { first: 2, count: 1, budget: small },
    ],
  ],
  ["few patches, many frames", [[12, 3]], [{ first: 0, count: 1, budget: large }]],
  [
    "frames past it",
    [
      [12, 3],
      [16, 4],
    ],
    [
      { first: 0, count: 1, budget: large },
      { first: 1, count: 1, budget: large },
    ],
  ],
  [
    "an item that fits none runs unpadded, small ones beside it do not join",
    [
      [4, 1],
      [64, 1],
      [4, 1],
    ],
    [
      { first: 0, count: 1, budget: small },
      { first: 1, count: 1, budget: null },
      { first: 2, count: 1, budget: small },
    ],
  ],
  [
    "neighbours that fit none share a run up to the limit",
    [
      [64, 1],
      [2000, 1],
      [2000, 1],
      [2100, 1],
      [4096, 9],
    ],
    [
      { first: 0, count: 3, budget: null },
      { first: 3, count: 1, budget: null },
      { first: 4, count: 1, budget: null },
    ],
  ],
];

for (const [name, sizes, runs] of PACKINGS) {
  test(`packing: ${name}`, () => {
    const specs = sizes.map(([inputSize, frames]) => ({ inputSize, frames, outputTokens: inputSize / 4 }));
    assert.equal(packEncoderItems(specs, [large, small]), runs);
  });
}

test("without budgets items share runs up to a limit, unpadded", () => {
  const specs = [3000, 1000, 200, 9000].map((inputSize) => ({ inputSize, outputTokens: 0, frames: 1 }));
  assert.equal(packEncoderItems(specs, []), [
    { first: 0, count: 2, budget: null },
    { first: 2, count: 1, budget: null },
    { first: 3, count: 1, budget: null },
  ]);
});

test("items are taken from a batch by index, in the order asked", () => {
  const pixelValues = Float32Array.from({ length: (24 + 24 + 4) * 3 }, (_, i) => i);
  const [third, first] = selectEncoderItems({ pixelValues, gridThw: GRIDS }, [2, 0]) as [
    EncoderItem,
    EncoderItem,
  ];
  assert.equal([third.gridThw, first.gridThw], [GRIDS[2], GRIDS[0]]);
  assert.equal([third.pixelValues.length, third.pixelValues[0]], [12, 48 * 3]);
  assert.equal([first.pixelValues.length, first.pixelValues[0]], [72, 0]);
  assert.equal(selectEncoderItems({ pixelValues, gridThw: GRIDS }, []), []);
  const wrong = [
    () => selectEncoderItems({ pixelValues, gridThw: GRIDS }, [3]),
    () => selectEncoderItems({ pixelValues: pixelValues.subarray(1), gridThw: GRIDS }, [0]),
  ];
  for (const call of wrong) assert.throws(call, (error: GlimtError) => error.code === "INPUT_INVALID");
});

const TOWER = { spatialMergeSize: 2, headDim: 8, ropeTheta: 1e4, positionTableSide: 6 };

test("padding follows the real rows and attends only to itself", () => {
  const exact = prepareEncoderMetadata(GRIDS, TOWER);
  assert.equal(exact.symbols, { patches: 52, frames: 5 });
  assert.is(exact.maxSeqlen, 24);
  assert.equal([...exact.metadata.cuSeqlens], [0, 24, 32, 40, 48, 52]);

  const padded = prepareEncoderMetadata(GRIDS, TOWER, { patches: 64, frames: 7 });
  assert.equal(padded.symbols, { patches: 64, frames: 8 });
  assert.is(padded.maxSeqlen, 64);
  assert.equal([...padded.metadata.cuSeqlens], [0, 24, 32, 40, 48, 52, 56, 60, 64]);
  for (const [name, width] of [
    ["cos", 4],
    ["sin", 4],
    ["positionCoords", 2],
  ] as const) {
    const values = padded.metadata[name] as Float32Array;
    assert.is(values.length, 64 * width, name);
    assert.equal([...values.subarray(0, 52 * width)], [...(exact.metadata[name] as Float32Array)], name);
    assert.ok(
      values.subarray(52 * width).every((value) => value === 0),
      name,
    );
  }

  const full = prepareEncoderMetadata(GRIDS, TOWER, { patches: 52, frames: 5 });
  assert.equal([...full.metadata.cuSeqlens], [0, 24, 32, 40, 48, 52, 52]);
  assert.is(
    prepareEncoderMetadata(GRIDS, { ...TOWER, positionTableSide: null }).metadata.positionCoords,
    undefined,
  );
  for (const budget of [
    { patches: 48, frames: 5 },
    { patches: 52, frames: 4 },
  ]) {
    assert.throws(
      () => prepareEncoderMetadata(GRIDS, TOWER, budget),
      (error: GlimtError) => error.code === "INPUT_INVALID" && /52 patches in 5 frames/.test(error.message),
    );
  }
});

/** wasm sums the rows past its last full tile in another order, and a row's place depends on the batch. */
const LARGEST_DIFFERENCE = { reference: 0, wasm: 1e-5 };

for (const backend of [referenceBackend, wasmBackend] as const) {
  for (const name of goldenCheckpoints()) {
    test(`${name} on ${backend.name}: features are the same padded or not, alone or in a batch`, async () => {
      const most = LARGEST_DIFFERENCE[backend.name as keyof typeof LARGEST_DIFFERENCE];
      await comparePadded(backend, name, most);
    });
  }
}

test.run();
