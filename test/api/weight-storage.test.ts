/** `dtype` and `visionDtype`: which weights are stored how, models that answer from blocks, and who can not. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkFormats } from "../../src/api/check-formats.ts";
import { chooseWeightFormat } from "../../src/api/weight-dtype.ts";
import { describeStorage } from "../../src/api/weight-storage.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import type { CheckpointTensor, StoredWeight } from "../../src/checkpoint/stored-weight.ts";
import { storageTotals, tensorStorage } from "../../src/checkpoint/tensor-storage.ts";
import {
  describeCheckpoint,
  type LoadOptions,
  loadModel,
  type Message,
  openCheckpoint,
  openFiles,
} from "../../src/index.ts";
import type { WeightFormat } from "../../src/tensor/storage.ts";
import { goldenCase, goldenDataDir } from "../golden/load.ts";
import { adapterAt } from "../serving/adapter-runs.ts";

const TEXT = "model.language_model";
const stored = { tensorDType: () => "bf16" as const };

/** Tensor, columns, and its format for dtype q8, q4, q4 with a vision tower in q8, and f16 beside a tower in q8. */
const FORMATS: readonly [string, number, ...WeightFormat[]][] = [
  [`${TEXT}.layers.0.self_attn.q_proj.weight`, 64, "q8", "q4", "q4", "f16"],
  [`${TEXT}.layers.0.self_attn.k_proj.weight`, 64, "q8", "q8", "q8", "f16"],
  [`${TEXT}.layers.0.self_attn.v_proj.weight`, 64, "q8", "q8", "q8", "f16"],
  [`${TEXT}.layers.0.mlp.down_proj.weight`, 80, "bf16", "bf16", "bf16", "f16"],
  [`${TEXT}.layers.1.mlp.experts.3.down_proj.weight`, 96, "q8", "q4", "q4", "f16"],
  [`${TEXT}.layers.1.mlp.gate.weight`, 64, "bf16", "bf16", "bf16", "f16"],
  [`${TEXT}.embed_tokens.weight`, 64, "q8", "q8", "q8", "f16"],
  ["lm_head.weight", 64, "q8", "q8", "q8", "f16"],
  ["model.visual.blocks.0.attn.qkv.weight", 32, "bf16", "bf16", "q8", "q8"],
  ["model.visual.patch_embed.proj.weight", 1176, "bf16", "bf16", "bf16", "bf16"],
  ["model.visual.embeddings.position_embedding.weight", 32, "bf16", "bf16", "bf16", "bf16"],
];

test("which weights are blocks: matrices of whole ones; not routers, not positions, not the tower unless asked", () => {
  const asked = [
    { dtype: "q8" },
    { dtype: "q4" },
    { dtype: "q4", visionDtype: "q8" },
    { dtype: "f16", visionDtype: "q8" },
  ] as const;
  for (const [tensor, cols, ...expected] of FORMATS) {
    const found = asked.map((storage) => chooseWeightFormat(stored, storage)([tensor], cols));
    assert.equal(found, expected, tensor);
  }
  assert.is(chooseWeightFormat(stored, {})([`${TEXT}.embed_tokens.weight`], 64), "bf16");
  assert.is(
    chooseWeightFormat(stored, { visionDtype: "f32" })(["model.visual.downsample.weight"], 96),
    "f32",
  );
});

test("blocks of a checkpoint stay where the backend has them; beside bf16, and elsewhere, they are rounded to it", () => {
  const own: Record<string, WeightFormat> = { a: "q8", b: "q8", c: "q4", d: "bf16", e: "f32" };
  const checkpoint = { tensorDType: (name: string) => own[name] ?? null };
  const here = chooseWeightFormat(checkpoint, {});
  const withoutBlocks = chooseWeightFormat(checkpoint, {}, (format) => !format.startsWith("q"));
  for (const [tensors, expected, elsewhere] of [
    [["a", "b"], "q8", "bf16"],
    [["c"], "q4", "bf16"],
    [["a", "c"], "bf16", "bf16"],
    [["a", "d"], "bf16", "bf16"],
    [["a", "e"], "f32", "f32"],
  ] as const) {
    assert.is(here(tensors, 64), expected);
    assert.is(withoutBlocks(tensors, 64), elsewhere);
  }
});

const dense = goldenCase("glm4v-tiny", "one-image");

async function logits(checkpoint: string, options: LoadOptions) {
  const model = await loadModel(join(goldenDataDir, checkpoint), {
    backend: "reference",
    media: "huggingface",
    ...options,
  });
  const { messages } = goldenCase(checkpoint, "one-image");
  const { topLogits } = await model.complete(messages as Message[], { maxTokens: 1 });
  const { dtype, loaded } = model;
  await model.dispose();
  return { values: new Map(topLogits), dtype, storedBytes: loaded.storedBytes };
}

/** Root mean square of the difference, over that of the likeliest tokens' logits. */
function distance(found: ReadonlyMap<number, number>, expected: (token: number) => number): number {
  let [difference, size] = [0, 0];
  for (const [token, value] of found) {
    difference += (value - expected(token)) ** 2;
    size += expected(token) ** 2;
  }
  return Math.sqrt(difference / size);
}

// Blocks of 8 bits have a step of 1/254 of their largest value, those of 4 bits of 1/16; activations are rounded too.
for (const [dtype, most] of [
  ["q8", 0.03],
  ["q4", 0.3],
] as const) {
  test(`${dtype}: a model loads from any checkpoint and answers near to f32`, async () => {
    const found = await logits("glm4v-tiny", { dtype });
    assert.is(found.dtype, dtype);
    assert.ok((found.storedBytes[dtype] ?? 0) > 0);
    const apart = distance(found.values, (token) => dense.lastLogits.data[token] as number);
    assert.ok(apart > 0 && apart < most, `${apart}`);
  });
}

test("the vision tower may be in blocks by itself", async () => {
  const { storedBytes, values } = await logits("glm4v-tiny", { visionDtype: "q8" });
  assert.equal(Object.keys(storedBytes), ["f32", "q8"]);
  const apart = distance(values, (token) => dense.lastLogits.data[token] as number);
  assert.ok(apart > 0 && apart < 0.03, `${apart}`);
});

test("a tied embedding stays one copy", async () => {
  const checkpoint = await openCheckpoint(await openFiles(join(goldenDataDir, "glm46v-flash-tiny")));
  const { vocabSize, hiddenSize } = checkpoint.config.text;
  assert.ok(checkpoint.config.tieWordEmbeddings);
  const { bytes } = describeStorage(checkpoint, { dtype: "q4" });
  const { numHiddenLayers, numKeyValueHeads, headDim } = checkpoint.config.text;
  const keysAndValues = 2 * numHiddenLayers * numKeyValueHeads * headDim * hiddenSize;
  assert.is(bytes.q8, ((vocabSize * hiddenSize + keysAndValues) * 34) / 32);
});

test("what becomes of each tensor is told, with its bytes and the loss", async () => {
  const checkpoint = await openCheckpoint(await openFiles(join(goldenDataDir, "glm46v-flash-tiny")));
  const totals = (storage: LoadOptions) => {
    const all = storageTotals(describeStorage(checkpoint, storage).tensors);
    return all.map(({ encoding, dtype, loss }) => `${encoding} ${dtype} ${loss}`).sort();
  };
  // Vectors are f32.
  assert.equal(totals({}), ["F16 f16 none", "F16 f32 none"]);
  assert.equal(totals({ dtype: "bf16" }), ["F16 bf16 rounded", "F16 f32 none"]);
  assert.equal(totals({ dtype: "q8" }), ["F16 f16 none", "F16 f32 none", "F16 q8 quantised"]);
  const { tensors, bytes } = describeStorage(checkpoint, { dtype: "q8" });
  const stored = tensors.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  assert.is(
    stored,
    Object.values(bytes).reduce((sum, some) => sum + some, 0),
  );
  const read = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
  assert.is(read, describeCheckpoint(checkpoint).total.bytes);
  const rows: CheckpointTensor[] = [
    { format: "q8", isDecoded: false, encoding: "Q8_0", bytes: 34 },
    { format: "f32", isDecoded: true, encoding: "Q5_0", bytes: 22 },
    { format: "f32", isDecoded: false, encoding: "F64", bytes: 256 },
  ].map(
    (row) =>
      ({ ...row, name: "w", shape: [1, 32], file: "", offset: 0, readRows: async () => {} }) as StoredWeight,
  );
  const loss = (tensor: CheckpointTensor, dtype: WeightFormat) => {
    const sources = [{ tensor: "w", shape: [1, 32], layout: "rows" }] as const;
    const spec = { name: "w", shape: [1, 32], dtype, sources };
    return tensorStorage(new Map([["w", tensor]]), [spec])[0]?.loss;
  };
  assert.equal(
    rows.map((row) => (["q8", "q4", "bf16", "f32"] as const).map((dtype) => loss(row, dtype))),
    [
      ["none", "requantised", "rounded", "none"],
      ["requantised", "requantised", "rounded", "none"],
      ["quantised", "quantised", "rounded", "rounded"],
    ],
  );
});

test("what can not be blocks stays as it is, and is named", async () => {
  const checkpoint = await openCheckpoint(await openFiles(join(goldenDataDir, "glm46v-flash-tiny")));
  const { precise } = describeStorage(checkpoint, { dtype: "q8" });
  assert.equal(
    precise.map(({ name, shape, dtype }) => [name, shape[1], dtype]),
    [0, 1].map((layer) => [`${TEXT}.layers.${layer}.mlp.down_proj.weight`, 80, "f16"]),
  );
  assert.equal(describeStorage(checkpoint, {}).precise, []);
});

for (const merge of [false, true]) {
  test(`adapters over weights in blocks, ${merge ? "merged into them" : "beside them"}`, async () => {
    const source = { ...adapterAt("glm4v-tiny", "both"), merge };
    const adapters = merge ? undefined : [{ name: source.name }];
    const answer = async (dtype: "f32" | "q8") => {
      const model = await loadModel(join(goldenDataDir, "glm4v-tiny"), {
        backend: "reference",
        media: "huggingface",
        dtype,
        adapters: [source],
      });
      const { topLogits } = await model.complete(dense.messages as Message[], {
        maxTokens: 1,
        adapters,
      });
      await model.dispose();
      return new Map(topLogits);
    };
    const expected = await answer("f32");
    const apart = distance(await answer("q8"), (token) => expected.get(token) as number);
    assert.ok(apart > 0 && apart < 0.03, `${apart}`);
  });
}

test("a backend without kernels for blocks says so, with the option's name", () => {
  const lacking = {
    ...referenceBackend,
    supports: () => ({ ok: false, reason: "x: linear has no q8." }) as const,
  };
  for (const name of ["dtype", "visionDtype"] as const) {
    assert.throws(
      () => checkFormats(lacking, { headDim: 64 }, { [name]: "q8" }),
      (error: { code: string; message: string }) =>
        error.code === "OPTION_INVALID" &&
        error.message.startsWith(`${name} is "q8", but x: linear has no q8.`),
    );
  }
  checkFormats(referenceBackend, { headDim: 64 }, { dtype: "q4", visionDtype: "q8" });
});

test.run();
