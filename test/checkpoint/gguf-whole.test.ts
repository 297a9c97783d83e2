/** Whole GGUF models as publishers make them: widths padded to blocks of 256 columns, and layers for multi-token prediction. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { describeCheckpoint, loadModel, type Message, openCheckpoint, openFiles } from "../../src/index.ts";
import { widenRows } from "../../src/tensor/rows.ts";
import { storageBytes } from "../../src/tensor/storage.ts";
import { goldenCase, goldenDataDir } from "../golden/load.ts";
import { float32 } from "../mrope/golden.ts";

const FOLDER = join(goldenDataDir, "gguf");
const expected = JSON.parse(readFileSync(join(FOLDER, "expected.json"), "utf8")) as {
  readonly padded: {
    readonly base: string;
    readonly cases: Readonly<Record<string, { readonly lastLogits: string; readonly greedyIds: number[] }>>;
  };
  readonly mtp: { readonly base: string; readonly sha256: Readonly<Record<string, string>> };
};
const TOLERANCE = 1e-3;

for (const backend of ["wasm", "reference"] as const) {
  for (const [name, { lastLogits, greedyIds }] of Object.entries(expected.padded.cases)) {
    test(`${backend}, ${name}: padded MLPs with Q4_K and Q6_K answer as transformers with the values and without the padding`, async () => {
      const { base } = expected.padded;
      const model = await loadModel(join(FOLDER, "glm46v-flash-padded.gguf"), {
        ...{ backend, media: "huggingface", dtype: "f32" },
        mmproj: join(FOLDER, `mmproj-${base}.gguf`),
      });
      const encodings = model.loaded.conversions.map(({ encoding }) => encoding);
      assert.ok(encodings.includes("Q4_K") && encodings.includes("Q6_K"), encodings.join(" "));
      assert.is(model.config.text.intermediateSize, 256);
      const messages = goldenCase(base, name).messages as Message[];
      const { tokenIds, topLogits } = await model.complete(messages, { maxTokens: greedyIds.length });
      await model.dispose();
      assert.equal(tokenIds, greedyIds.slice(0, tokenIds.length));
      const logits = float32(lastLogits);
      for (const [token, logit] of topLogits) assert.ok(Math.abs(logit - logits[token]!) < TOLERANCE);
    });
  }
}

for (const backend of ["wasm", "reference"] as const) {
  test(`${backend}: blocks of 256 columns of a padded model stay as they are, and it answers alike`, async () => {
    const model = await loadModel(join(FOLDER, "glm46v-flash-padded.gguf"), { backend });
    const { q4_k, q6_k } = model.loaded.storedBytes;
    const { base, cases } = expected.padded;
    const messages = goldenCase(base, "text").messages as Message[];
    const { topLogits } = await model.complete(messages, { maxTokens: 1 });
    await model.dispose();
    // 64 rows of a block: 144 bytes, and 210.
    assert.equal([q4_k, q6_k], [64 * 144, 64 * 210]);
    const logits = float32(cases.text!.lastLogits);
    // Activations that meet blocks are in 8 bits.
    const [apart, all] = topLogits.reduce(
      ([sum, size], [token, logit]) => [sum + (logit - logits[token]!) ** 2, size + logit ** 2],
      [0, 0],
    );
    assert.ok(Math.sqrt(apart / all) < 0.03, `${Math.sqrt(apart / all)}`);
  });
}

test("a mixture of experts with an MTP layer in GGUF: it is told of, read through the public API, and unused", async () => {
  const { base, sha256 } = expected.mtp;
  const file = join(FOLDER, "glm4v_moe-mtp.gguf");
  const checkpoint = await openCheckpoint(await openFiles(file));
  const part = describeCheckpoint(checkpoint).parts.find(({ name }) => name === "mtp");
  assert.is(part?.tensors, Object.keys(sha256).length);
  for (const [name, hash] of Object.entries(sha256)) {
    const tensor = checkpoint.tensors.get(name);
    if (!tensor || tensor.refusal !== undefined) throw new Error(name);
    const [rows = 1, ...rest] = tensor.shape;
    const bytes = new Uint8Array(
      storageBytes(
        tensor.format,
        rows,
        rest.reduce((product, size) => product * size, 1),
      ),
    );
    await tensor.readRows(0, rows, bytes);
    const values = new Uint8Array(widenRows(tensor.format, bytes).buffer);
    assert.is(createHash("sha256").update(values).digest("hex"), hash, name);
  }
  const model = await loadModel(file, { dtype: "f32", mtp: false });
  assert.equal(new Set(model.loaded.aside.values()), new Set(["mtp"]));
  assert.equal([...model.loaded.aside.keys()].sort(), Object.keys(sha256).sort());
  const { messages, tokenIds } = goldenCase(base, "text");
  const answer = await model.complete(messages as Message[], { maxTokens: 8 });
  await model.dispose();
  assert.equal(answer.tokenIds, tokenIds.slice(0, 8));
});

test.run();
