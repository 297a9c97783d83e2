/** Models load from GGUF files and answer: as their checkpoints to the bit, quantised ones as transformers on the same values. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type LoadOptions, loadModel, type Message, openCheckpoint, openFiles } from "../../src/index.ts";
import { failure } from "../checkpoint/fixtures.ts";
import { serve, withServer } from "../checkpoint/server.ts";
import { goldenCase, goldenDataDir } from "../golden/load.ts";

const FOLDER = join(goldenDataDir, "gguf");
const CASES = ["text", "one-image"];
const expected = JSON.parse(readFileSync(join(FOLDER, "expected.json"), "utf8")) as {
  readonly cases: Readonly<
    Record<string, { readonly lastLogits: string; readonly greedyIds: readonly number[] }>
  >;
};
/** Largest difference of a logit from transformers in float32, as for checkpoints. */
const TOLERANCE = 1e-3;

const fileOf = (name: string) => {
  const found = readdirSync(FOLDER).find((file) =>
    new RegExp(`^${name}(-00001-of-\\d+)?\\.gguf$`).test(file),
  );
  return join(FOLDER, found!);
};
const towerOf = (name: string) => join(FOLDER, `mmproj-${name}.gguf`);
const exact = { media: "huggingface", dtype: "f32" } as const;

async function answers(location: string, checkpoint: string, maxTokens: number, options: LoadOptions) {
  const model = await loadModel(location, options);
  const found = [];
  for (const name of CASES) {
    const { messages } = goldenCase(checkpoint, name);
    found.push(await model.complete(messages as Message[], { maxTokens }));
  }
  await model.dispose();
  return found.map(({ tokenIds, topLogits }) => ({ tokenIds, topLogits }));
}

for (const name of ["glm46v-flash-tiny", "glm_ocr-tiny", "glm4v_moe-tiny"]) {
  test(`${name}: logits and tokens of the GGUF files are those of the checkpoint, bit for bit`, async () => {
    const own = await answers(fileOf(name), name, 12, { ...exact, mmproj: towerOf(name) });
    assert.equal(own, await answers(join(goldenDataDir, name), name, 12, exact));
    const golden = CASES.map((each) => goldenCase(name, each).tokenIds.slice(0, 12));
    assert.equal(
      own.map(({ tokenIds }) => tokenIds),
      golden,
    );
  });
}

for (const backend of ["reference", "wasm"] as const) {
  test(`${backend}: quantised, tokens and logits are those of transformers on the dequantised weights`, async () => {
    const own = await answers(fileOf("glm4v-tiny"), "glm4v-tiny", 12, {
      ...exact,
      backend,
      mmproj: towerOf("glm4v-tiny"),
    });
    for (const [index, name] of CASES.entries()) {
      const { lastLogits, greedyIds } = expected.cases[name]!;
      const logits = new Float32Array(Uint8Array.from(Buffer.from(lastLogits, "base64")).buffer);
      const { tokenIds, topLogits } = own[index]!;
      assert.equal(tokenIds, greedyIds.slice(0, tokenIds.length), name);
      for (const [token, logit] of topLogits) {
        assert.ok(Math.abs(logit - logits[token]!) < TOLERANCE, `${name}: token ${token}`);
      }
    }
  });

  test(`${backend}: blocks of the file go to the device as they are, and the model answers alike`, async () => {
    const model = await loadModel(fileOf("glm4v-tiny"), {
      media: "huggingface",
      backend,
      mmproj: towerOf("glm4v-tiny"),
    });
    const { conversions, storedBytes } = model.loaded;
    const told = conversions.map(({ encoding, dtype, loss }) => `${encoding} ${dtype} ${loss}`).sort();
    assert.equal(told, [
      "F16 f16 none",
      "F32 f32 none",
      "Q4_0 q4 none",
      "Q4_1 q4_1 none",
      "Q5_0 q5_0 none",
      "Q5_1 q5_1 none",
      "Q8_0 q8 none",
    ]);
    assert.ok(storedBytes.q4 && storedBytes.q8 && storedBytes.q5_0);
    const { messages } = goldenCase("glm4v-tiny", "text");
    const { topLogits } = await model.complete(messages as Message[], { maxTokens: 1 });
    await model.dispose();
    const logits = new Float32Array(
      Uint8Array.from(Buffer.from(expected.cases.text!.lastLogits, "base64")).buffer,
    );
    // Activations of blocks are in 8 bits.
    const [difference, size] = topLogits.reduce(
      ([apart, all], [token, logit]) => [apart + (logit - logits[token]!) ** 2, all + logits[token]! ** 2],
      [0, 0],
    );
    assert.ok(Math.sqrt(difference / size) < 0.03, `${Math.sqrt(difference / size)}`);
  });
}

test("what an adapter is merged into is bf16 where nothing is rounded to its blocks", async () => {
  const location = join(goldenDataDir, "lora", "glm4v-tiny", "both");
  const adapters = [{ name: "both", location, merge: true }];
  const answer = async (dtype?: "f32") => {
    const mmproj = towerOf("glm4v-tiny");
    const model = await loadModel(fileOf("glm4v-tiny"), { backend: "wasm", mmproj, dtype, adapters });
    const { topLogits } = await model.complete([{ role: "user", content: "Hello" }], { maxTokens: 1 });
    await model.dispose();
    return { topLogits, formats: Object.keys(model.loaded.storedBytes) };
  };
  const [exact, stored] = [await answer("f32"), await answer()];
  assert.ok(stored.formats.includes("bf16"));
  const expected = new Map(exact.topLogits);
  // Activations that meet the other weights are in 8 bits.
  const shared = stored.topLogits.filter(([token]) => expected.has(token));
  const [apart, all] = shared.reduce(
    ([sum, size], [token, logit]) => [sum + (logit - expected.get(token)!) ** 2, size + logit ** 2],
    [0, 0],
  );
  assert.ok(shared.length > 4 && Math.sqrt(apart / all) < 0.08, `${shared.length} ${Math.sqrt(apart / all)}`);
});

test("requantised when asked", async () => {
  const model = await loadModel(fileOf("glm4v-tiny"), { backend: "reference", dtype: "q8" });
  const told = model.loaded.conversions.map(({ encoding, dtype, loss }) => `${encoding} ${dtype} ${loss}`);
  assert.ok(told.includes("Q4_1 q8 requantised"));
  // The same integers and scales.
  assert.ok(told.includes("Q5_0 q8 none"));
  assert.ok(told.includes("Q8_0 q8 none"));
  await model.dispose();
});

test("without its tower a model reads text, and says what a picture takes", async () => {
  const model = await loadModel(fileOf("glm46v-flash-tiny"), exact);
  const { messages, tokenIds } = goldenCase("glm46v-flash-tiny", "text");
  const answer = await model.complete(messages as Message[], { maxTokens: 8 });
  assert.equal(answer.tokenIds, tokenIds.slice(0, 8));
  assert.ok((await model.plan({ textTokens: 10 })).peakBytes > 0);
  const picture = goldenCase("glm46v-flash-tiny", "one-image");
  for (const ask of [
    () => model.complete(picture.messages as Message[], { maxTokens: 1 }),
    () => model.complete({ inputIds: picture.inputIds, imageGridThw: [[1, 4, 4]] }, { maxTokens: 1 }),
  ]) {
    const { code, message } = await failure(ask);
    assert.is(code, "MODEL_UNSUPPORTED");
    assert.match(message, /the language model alone: give its vision tower .* option mmproj/);
  }
  await model.dispose();
});

test("over http, from the addresses of the two files", async () => {
  const names = readdirSync(FOLDER).filter((file) => file.includes("glm46v"));
  const files = new Map(names.map((name) => [name, readFileSync(join(FOLDER, name))]));
  await withServer(
    (request, response) => serve(files, request, response),
    async (address) => {
      const model = await loadModel(`${address}/glm46v-flash-tiny.gguf`, {
        ...exact,
        mmproj: `${address}/mmproj-glm46v-flash-tiny.gguf`,
      });
      const { messages, tokenIds } = goldenCase("glm46v-flash-tiny", "one-image");
      const answer = await model.complete(messages as Message[], { maxTokens: 4 });
      assert.equal(answer.tokenIds, tokenIds.slice(0, 4));
      await model.dispose();
    },
  );
});

/** The fixture's text file with bytes changed: given as files by name. */
function changed(name: string, change: (bytes: Buffer) => void): ReadonlyMap<string, Blob> {
  const bytes = readFileSync(fileOf(name));
  change(bytes);
  const tower = readFileSync(towerOf(name));
  return new Map([
    ["model.gguf", new Blob([bytes])],
    ["mmproj-model.gguf", new Blob([tower])],
  ]);
}

test("a file of a converter for text alone reads text; a picture is refused with what to do", async () => {
  const key = "glm4.rope.dimension_sections";
  const files = changed("glm4v-tiny", (bytes) =>
    bytes.write(key.replace("rope", "rode"), bytes.indexOf(key)),
  );
  const model = await loadModel(files, { backend: "reference" });
  assert.is(
    (await model.complete([{ role: "user", content: "Hello" }], { maxTokens: 2 })).tokenIds.length,
    2,
  );
  const { messages } = goldenCase("glm4v-tiny", "one-image");
  const { code, message } = await failure(() => model.complete(messages as Message[], { maxTokens: 1 }));
  assert.is(code, "MODEL_UNSUPPORTED");
  assert.match(message, /converter for text alone.*Convert the checkpoint anew/);
  await model.dispose();
});

for (const [encoding, tensor] of [
  ["Q5_0", "blk.1.ffn_down.weight"],
  ["Q5_1", "blk.1.attn_k.weight"],
  ["Q4_0", "blk.1.ffn_up.weight"],
  ["Q8_0", "output.weight"],
]) {
  test(`a scale of NaN in a ${encoding} tensor is found while it is loaded, and named`, async () => {
    const file = fileOf("glm4v-tiny");
    const { tensors } = await openCheckpoint(await openFiles(file));
    const { offset } = [...tensors.values()].find(({ name }) => name === tensor)!;
    const files = changed("glm4v-tiny", (bytes) => bytes.writeUInt16LE(0x7e00, offset));
    for (const dtype of [undefined, "f32"] as const) {
      const { code, message } = await failure(() => loadModel(files, { backend: "wasm", dtype }));
      assert.is(code, "WEIGHTS_INVALID");
      assert.ok(message.startsWith(`${tensor} in model.gguf holds NaN`), message);
    }
  });
}

test("a type that can not be read is told by tensor and type", async () => {
  const files = changed("glm4v-tiny", (bytes) => {
    const name = "blk.0.attn_output.weight";
    // Name, number of dimensions, two dimensions.
    bytes.writeUInt32LE(77, bytes.indexOf(name) + name.length + 4 + 16);
  });
  const { code, message } = await failure(() => loadModel(files, { backend: "reference" }));
  assert.is(code, "WEIGHTS_INVALID");
  assert.match(message, /layers\.0\.self_attn\.o_proj\.weight has GGUF type 77; glimt reads F32, F16, Q4_0/);
});

test.run();
