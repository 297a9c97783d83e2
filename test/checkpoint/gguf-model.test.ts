/** Models in GGUF files: their weights are those of the checkpoints they were made of, and so are settings and tokens. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { blobFiles } from "../../src/checkpoint/blobs.ts";
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { resolveWeights } from "../../src/checkpoint/resolve-weights.ts";
import type { CheckpointTensor } from "../../src/checkpoint/stored-weight.ts";
import { openFiles } from "../../src/index.ts";
import { modelStages } from "../../src/models/stages.ts";
import { widenRows } from "../../src/tensor/rows.ts";
import { storageBytes } from "../../src/tensor/storage.ts";
import { loadChatTemplate } from "../../src/text/chat-template.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { goldenDataDir } from "../golden/load.ts";
import { failure } from "./fixtures.ts";

const FOLDER = join(goldenDataDir, "gguf");
const CHECKPOINTS = ["glm46v-flash-tiny", "glm_ocr-tiny", "glm4v_moe-tiny"];
const expected = JSON.parse(readFileSync(join(FOLDER, "expected.json"), "utf8")) as {
  readonly sha256: Readonly<Record<string, string>>;
};

const fileOf = (name: string) => {
  const found = readdirSync(FOLDER).find((file) =>
    new RegExp(`^${name}(-00001-of-\\d+)?\\.gguf$`).test(file),
  );
  return join(FOLDER, found!);
};
const towerOf = (name: string) => join(FOLDER, `mmproj-${name}.gguf`);
const openPair = async (name: string) =>
  openCheckpoint(await openFiles(fileOf(name), { mmproj: towerOf(name) }));
const openPublished = async (name: string) => openCheckpoint(await openFiles(join(goldenDataDir, name)));

async function valuesOf(tensor: CheckpointTensor | undefined, step = Number.MAX_SAFE_INTEGER) {
  if (!tensor || tensor.refusal !== undefined) throw new Error(`${tensor?.name} ${tensor?.refusal}`);
  const [rows = 1, ...rest] = tensor.shape;
  const cols = rest.reduce((product, size) => product * size, 1);
  const parts: number[] = [];
  for (let first = 0; first < rows; first += step) {
    const count = Math.min(step, rows - first);
    const bytes = new Uint8Array(storageBytes(tensor.format, count, cols));
    await tensor.readRows(first, count, bytes);
    parts.push(...widenRows(tensor.format, bytes));
  }
  return Float32Array.from(parts);
}

for (const name of CHECKPOINTS) {
  test(`${name}: the same tensors under the same names, with the same values, MTP layers too`, async () => {
    const [pair, published] = [await openPair(name), await openPublished(name)];
    assert.equal([...pair.tensors.keys()].sort(), [...published.tensors.keys()].sort());
    for (const [tensor, stored] of published.tensors) {
      const own = pair.tensors.get(tensor);
      assert.equal(own?.shape, stored.shape, tensor);
      assert.equal(await valuesOf(own), await valuesOf(stored), tensor);
    }
  });

  test(`${name}: the same configuration, and every weight is found`, async () => {
    const [pair, published] = [await openPair(name), await openPublished(name)];
    const { architecture, ...config } = published.config;
    assert.match(pair.config.architecture, /ForConditionalGeneration/);
    assert.equal({ ...pair.config, architecture }, { ...config, architecture });
    assert.equal(pair.processor.image, published.processor.image);
    assert.is(pair.processor.kind, published.processor.kind);
    const { aside } = resolveWeights(pair, specsOf(pair));
    assert.ok([...aside.values()].every((reason) => reason === "mtp"));
    const [own, theirs] = [pair.generation, published.generation];
    // GLM-OCR's own file does not name it; other dense models' do, and their GGUF files lose it.
    const observation = (await loadTokenizer(published.files)).idOf("<|observation|>")!;
    assert.equal(new Set(own.eosTokenIds), new Set([...theirs.eosTokenIds, observation]));
    assert.is(own.padTokenId, theirs.padTokenId);
    assert.equal([own.doSample, own.temperature, own.topK, own.topP], [true, 0.8, 2, 0.6]);
  });

  test(`${name}: the same tokens and the same template`, async () => {
    const [pair, published] = [await openPair(name), await openPublished(name)];
    const [own, theirs] = [await loadTokenizer(pair.files), await loadTokenizer(published.files)];
    const text =
      "[gMASK]<sop><|user|>\nGrüße aus 東京, it's 12345 o'clock 🙂 <think>x</think>\n\n /nothink <|image|>";
    assert.equal(own.encode(text), theirs.encode(text));
    for (let id = 0; id < published.config.text.vocabSize; id++) {
      assert.is(own.tokenOf(id), theirs.tokenOf(id), `${id}`);
      assert.is(own.isSpecial(id), theirs.isSpecial(id), `${theirs.tokenOf(id)}`);
    }
    assert.is(own.specialTokens.eos_token, theirs.specialTokens.eos_token);
    const [ownTemplate, template] = [
      await loadChatTemplate(pair.files),
      await loadChatTemplate(published.files),
    ];
    assert.is(ownTemplate.source, template.source);
  });
}

test("quantised: every weight has the values that the gguf package dequantises, whatever rows are asked for", async () => {
  const pair = await openPair("glm4v-tiny");
  assert.equal([...pair.tensors.keys()].sort(), Object.keys(expected.sha256).sort());
  const encodings = new Set<string>();
  for (const [name, tensor] of pair.tensors) {
    encodings.add(tensor.encoding);
    for (const step of [Number.MAX_SAFE_INTEGER, 7]) {
      const values = await valuesOf(tensor, step);
      const hash = createHash("sha256").update(new Uint8Array(values.buffer)).digest("hex");
      assert.is(hash, expected.sha256[name], `${name} by ${step} rows`);
    }
  }
  assert.equal([...encodings].sort(), ["F16", "F32", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]);
});

test("types that are storage formats stay as they are", async () => {
  const { tensorDType } = await openPair("glm4v-tiny");
  const layer = "model.language_model.layers.0";
  const found = ["self_attn.q_proj", "self_attn.k_proj", "mlp.gate_up_proj", "mlp.down_proj"].map((module) =>
    tensorDType(`${layer}.${module}.weight`),
  );
  assert.equal(found, ["q4", "q5_1", "q4", "q5_0"]);
  assert.is(tensorDType("lm_head.weight"), "q8");
});

test("what the file does not say is told", async () => {
  const { notes } = await openPair("glm4v-tiny");
  assert.is(notes.length, 1);
  assert.match(notes[0]!, /how videos are sampled: as GLM-4\.1V and GLM-4\.5V/);
});

test("a folder, files by name, and an address of a file", async () => {
  const names = readdirSync(FOLDER).filter((file) => file.includes("glm_ocr-tiny"));
  const blobs = new Map(names.map((name) => [name, new Blob([readFileSync(join(FOLDER, name))])]));
  const { config, tensors } = await openCheckpoint(await openFiles(blobs));
  assert.is(config.family, "glm_ocr");
  assert.is(config.textOnly, null);
  assert.ok(tensors.has("model.visual.patch_embed.proj.weight"));
  // The folder of the fixtures holds several.
  const { code, message } = await failure(async () => openCheckpoint(await openFiles(FOLDER)));
  assert.is(code, "CHECKPOINT_INVALID");
  assert.match(message, /holds 6 GGUF models .*give the path/);
  const other = await openCheckpoint(await openFiles(new URL(`file://${fileOf("glm4v-tiny")}`)));
  assert.is(other.config.family, "glm4v");
  const mmproj = new Map([["mmproj.gguf", new Blob([readFileSync(towerOf("glm4v-tiny"))])]]);
  const mixed = await openCheckpoint(await openFiles(fileOf("glm4v-tiny"), { mmproj }));
  assert.is(mixed.config.textOnly, null);
});

const rejected: readonly [string, string, string | undefined, string, RegExp][] = [
  [
    "a tower in the model's place",
    towerOf("glm4v-tiny"),
    undefined,
    "MODEL_UNSUPPORTED",
    /as the option mmproj/,
  ],
  [
    "a model in the tower's place",
    fileOf("glm4v-tiny"),
    fileOf("glm4v-tiny"),
    "MODEL_UNSUPPORTED",
    /"clip" and "glm4v"/,
  ],
  [
    "a wider tower",
    fileOf("glm4v_moe-tiny"),
    towerOf("glm4v-tiny"),
    "CHECKPOINT_INVALID",
    /64 columns, .* takes 48/,
  ],
  [
    "GLM-OCR's tower",
    fileOf("glm4v_moe-tiny"),
    towerOf("glm_ocr-tiny"),
    "CHECKPOINT_INVALID",
    /is of GLM-OCR/,
  ],
  ["no such file", join(FOLDER, "absent.gguf"), undefined, "CHECKPOINT_NOT_FOUND", /has no absent\.gguf/],
  [
    "a tower of a checkpoint",
    join(goldenDataDir, "glm4v-tiny"),
    towerOf("glm4v-tiny"),
    "OPTION_INVALID",
    /^mmproj/,
  ],
];
for (const [name, model, mmproj, code, pattern] of rejected) {
  test(`refused: ${name}`, async () => {
    const error = await failure(async () => openCheckpoint(await openFiles(model, { mmproj })));
    assert.is(error.code, code, error.message);
    assert.match(error.message, pattern);
  });
}

test("a part of a model that is missing, or another's, is named", async () => {
  const parts = readdirSync(FOLDER).filter((file) => file.startsWith("glm_ocr-tiny-0"));
  assert.ok(parts.length > 1);
  const blob = (name: string) => new Blob([readFileSync(join(FOLDER, name))]);
  const all = new Map(parts.map((name) => [name, blob(name)]));
  const last = parts.at(-1)!;
  const open = (files: ReadonlyMap<string, Blob>) => openCheckpoint(blobFiles(files));
  const without = new Map([...all].filter(([name]) => name !== last));
  const missing = await failure(() => open(without));
  assert.is(missing.code, "CHECKPOINT_NOT_FOUND");
  assert.match(missing.message, new RegExp(`has no ${last}, one of \\d+ parts`));
  const swapped = await failure(() => open(new Map([...all, [last, blob(parts[0]!)]])));
  assert.is(swapped.code, "CHECKPOINT_INVALID");
  assert.match(swapped.message, /by its name it is/);
});

function specsOf(checkpoint: Checkpoint) {
  const options = { activationDType: "f32", weightDType: () => "f32" as const, pageSize: 16 } as const;
  const values = modelStages(checkpoint.config, options).flatMap(({ graph }) => graph.values);
  return values.flatMap(({ origin }) => (origin.kind === "weight" ? [origin.spec] : []));
}

test.run();
