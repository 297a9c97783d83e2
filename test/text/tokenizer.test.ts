import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { blobFiles } from "../../src/checkpoint/blobs.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { GlimtError } from "../../src/errors.ts";
import { createTokenizer, loadTokenizer } from "../../src/text/tokenizer.ts";
import { goldenCases } from "../golden/load.ts";
import { goldenTokenizer, TOKENIZER_NAMES } from "./golden.ts";

for (const name of TOKENIZER_NAMES) {
  const { golden, tokenizer } = goldenTokenizer(name);

  test(`${name}: ${golden.encode.length} texts have Hugging Face's ids`, () => {
    for (const [text, ids] of golden.encode) assert.equal(tokenizer.encode(text), ids, JSON.stringify(text));
  });

  test(`${name}: ${golden.decode.length} id lists have Hugging Face's texts`, () => {
    for (const [ids, skipped, full] of golden.decode) {
      assert.is(tokenizer.decode(ids), skipped, `${ids}`);
      assert.is(tokenizer.decode(ids, { skipSpecialTokens: false }), full, `${ids}`);
    }
  });

  test(`${name}: size and special tokens`, () => {
    assert.is(tokenizer.vocabSize, golden.length);
    const specials = Array.from({ length: golden.length }, (_, id) => id).filter((id) =>
      tokenizer.isSpecial(id),
    );
    assert.equal(specials, golden.specialIds);
  });
}

for (const golden of goldenCases()) {
  test(`${golden.name}: the prompt's ids, and the answer's text`, async () => {
    const tokenizer = await loadTokenizer(await openDirectory(golden.checkpointDir));
    const image = tokenizer.idOf("<|image|>");
    // A picture is one marker in the prompt and a run of them in the ids.
    const collapsed = golden.inputIds.filter((id, at) => id !== image || golden.inputIds[at - 1] !== image);
    if (golden.videoGridThw.length === 0) assert.equal(tokenizer.encode(golden.promptText), collapsed);
    assert.is(tokenizer.decode(golden.tokenIds), golden.text);
  });
}

test("tokens by id and ids by token", () => {
  const { tokenizer } = goldenTokenizer("bpe");
  const id = tokenizer.idOf("<|image|>") as number;
  assert.is(tokenizer.tokenOf(id), "<|image|>");
  assert.is(tokenizer.idOf("no such token"), null);
  assert.is(tokenizer.tokenOf(tokenizer.vocabSize), null);
  assert.is(tokenizer.isSpecial(tokenizer.vocabSize), false);
  assert.is(tokenizer.bytesOf(tokenizer.vocabSize).length, 0);
  assert.equal(tokenizer.specialTokens, { eos_token: "<|endoftext|>", pad_token: "<|endoftext|>" });
});

test("many special tokens in a row take no time", () => {
  const { tokenizer } = goldenTokenizer("bpe");
  const ids = tokenizer.encode("<|image|>".repeat(20_000));
  assert.is(ids.length, 20_000);
});

const valid = JSON.parse(readFileSync("test/golden/data/glm4v-tiny/tokenizer.json", "utf8"));

for (const [name, json, config, expected] of [
  ["not an object", [], {}, "tokenizer.json is not a JSON object"],
  ["config not an object", valid, 7, "tokenizer_config.json is not a JSON object"],
  ["another model", { ...valid, model: { type: "Unigram", vocab: [] } }, {}, "has a Unigram model"],
  ["another decoder", { ...valid, decoder: { type: "Metaspace" } }, {}, "with a Metaspace decoder"],
  ["no decoder", { ...valid, decoder: null }, {}, "with a undefined decoder"],
  ["a part missing", { model: valid.model, decoder: valid.decoder }, {}, "tokenizer.json"],
  ["a vocabulary that is none", { ...valid, model: { ...valid.model, vocab: null } }, {}, "tokenizer.json"],
  [
    "a pattern that is none",
    { ...valid, pre_tokenizer: { type: "Split", pattern: { Regex: "(" } } },
    {},
    "tokenizer.json",
  ],
] as const) {
  test(`refused: ${name}`, () => {
    try {
      createTokenizer(json, config);
    } catch (error) {
      assert.instance(error, GlimtError);
      assert.is((error as GlimtError).code, "TOKENIZER_INVALID");
      assert.match((error as GlimtError).message, expected);
      return;
    }
    assert.unreachable();
  });
}

test("bytes that the vocabulary lacks are left out; an unknown token that it lacks too is an error", () => {
  const model = { ...valid.model, vocab: { a: 0 }, merges: [] };
  const lenient = createTokenizer({ ...valid, added_tokens: [], model });
  assert.equal(lenient.encode("aba"), [0, 0]);
  const lying = createTokenizer({ ...valid, added_tokens: [], model: { ...model, unk_token: "<unk>" } });
  assert.throws(
    () => lying.encode("ab"),
    (error: GlimtError) => error.code === "TOKENIZER_INVALID",
  );
});

test("a checkpoint without tokenizer.json, and one without its config", async () => {
  try {
    await loadTokenizer(blobFiles(new Map()));
    assert.unreachable();
  } catch (error) {
    assert.is((error as GlimtError).code, "CHECKPOINT_NOT_FOUND");
  }
  const alone = await loadTokenizer(
    blobFiles(new Map([["tokenizer.json", new Blob([JSON.stringify(valid)])]])),
  );
  assert.equal(alone.specialTokens, {});
});

test.run();
