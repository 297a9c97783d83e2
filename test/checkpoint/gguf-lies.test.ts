/** GGUF models whose keys, shapes and names lie: one short error that names the file and what is wrong, and nothing is made of a lie. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { blobFiles } from "../../src/checkpoint/blobs.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { partsOf } from "../../src/checkpoint/gguf/find.ts";
import { ggufLocation } from "../../src/checkpoint/gguf/location.ts";
import { goldenDataDir } from "../golden/load.ts";
import { failure } from "./fixtures.ts";
import { putTogether, type RawGguf, takeApart, value } from "./gguf-rewrite.ts";

const DATA = join(goldenDataDir, "gguf");
const LONGEST_MESSAGE = 400;

function changed(name: string, change: (file: RawGguf) => void): Uint8Array<ArrayBuffer> {
  const file = takeApart(new Uint8Array(readFileSync(join(DATA, `${name}.gguf`))));
  change(file);
  return putTogether(file);
}

const open = (bytes: Uint8Array<ArrayBuffer>, name = "m.gguf") =>
  openCheckpoint(blobFiles(new Map([[name, new Blob([bytes])]])));

async function refused(bytes: Uint8Array<ArrayBuffer>, name?: string) {
  const error = await failure(() => open(bytes, name));
  assert.ok(error.message.length < LONGEST_MESSAGE, `${error.message.length} characters`);
  return error;
}

const tensorOf = ({ tensors }: RawGguf, name: string) => {
  const found = tensors.find((tensor) => tensor.name === name);
  if (!found) throw new Error(`no ${name}`);
  return found;
};

const setKey = (key: string, to: Parameters<RawGguf["keys"]["set"]>[1]) => (file: RawGguf) =>
  void file.keys.set(key, to);

test("a file that is put together as it was opens as before", async () => {
  const { tensors } = await open(changed("glm4v-tiny", () => undefined));
  assert.ok(tensors.has("model.language_model.layers.0.self_attn.q_proj.weight"));
});

for (const experts of [10_000_000n, 2n ** 31n, 2n ** 40n]) {
  // The bytes of a type that nobody knows can not be held against the file's size.
  test(`${experts} experts of an unknown type are not listed`, async () => {
    const file = changed("glm4v_moe-tiny", (file) => {
      Object.assign(tensorOf(file, "blk.1.ffn_gate_exps.weight"), { type: 77, dims: [1n, 1n, experts] });
    });
    const { code, message } = await refused(file);
    assert.is(code, "CHECKPOINT_INVALID");
    assert.match(message, `m.gguf: tensor "blk.1.ffn_gate_exps.weight" has shape [${experts}, 1, 1]`);
  });
}

test("q, k and v in one tensor have just their rows: what lies behind it is not theirs", async () => {
  const file = changed("glm4v-tiny", (file) => {
    tensorOf(file, "blk.0.attn_q.weight").name = "blk.0.attn_qkv.weight";
    file.tensors = file.tensors.filter(({ name }) => !/^blk\.0\.attn_[kv]\.weight$/.test(name));
  });
  const { code, message } = await refused(file);
  assert.is(code, "CHECKPOINT_INVALID");
  assert.match(message, /"blk\.0\.attn_qkv\.weight" has shape \[64, 64\], expected 128 rows, of q, k and v/);
});

test("tensors may be called as objects call what they inherit", async () => {
  const names = [
    "constructor.weight",
    "blk.0.constructor.weight",
    "blk.0.__proto__.bias",
    "__proto__.weight",
  ];
  const file = changed("glm4v-tiny", ({ tensors }) => {
    for (const name of names)
      tensors.push({ name, dims: [4n], type: 0, offset: 0n, data: new Uint8Array(16) });
  });
  const { tensors } = await open(file);
  for (const name of names) assert.ok(tensors.has(name), name);
});

test("values of any length are cut in messages, and lists are shown as such", async () => {
  const long = value.text("y".repeat(1_000_000));
  const list = value.bytes(new Uint8Array(1_000_000).fill(255));
  const cases = [
    ["general.architecture", long, /has architecture "y+\.\.\.; glimt reads/],
    ["split.count", long, /split\.count: expected an integer >= 0, found "y+/],
    ["split.no", list, /split\.no: expected an integer >= 0, found \[255,255/],
    ["split.tensors.count", long, /split\.tensors\.count: expected an integer >= 0/],
    ["general.alignment", list, /general\.alignment is a list, expected a power of two up to 1048576/],
    ["general.alignment", value.u32(2 ** 31), /is 2147483648, expected a power of two up to 1048576/],
    ["glm4.attention.head_count", value.u32s([4, 4]), /expected a positive integer, found \[4,4\]/],
    ["glm4.rope.dimension_sections", value.text("x"), /expected a list of numbers, found "x"/],
  ] as const;
  for (const [key, to, pattern] of cases) {
    const { message } = await refused(changed("glm4v-tiny", setKey(key, to)));
    assert.match(message, pattern);
  }
});

test("what is wrong in a configuration made of a GGUF file is said of that file", async () => {
  const { code, message } = await refused(
    changed("glm4v-tiny", setKey("glm4.block_count", value.u32(2 ** 31))),
  );
  assert.is(code, "CONFIG_INVALID");
  assert.match(message, /m\.gguf, as config\.json: text_config\.num_hidden_layers: expected at most 1000/);
});

test("names of parts that can be none", async () => {
  const file = changed("glm4v-tiny", () => undefined);
  for (const [name, pattern] of [
    ["m-00001-of-00000.gguf", /m-00001-of-00000\.gguf is by its name part 1 of 0/],
    ["m-00001-of-99999.gguf", /of 99999 parts; no model has so many/],
    ["m-00002-of-00002.gguf", /has m-00002-of-00002\.gguf, and not the first part of that model/],
  ] as const) {
    assert.match((await refused(file, name)).message, pattern);
  }
  assert.throws(() => partsOf("m-00007-of-00003.gguf"), /part 7 of 3/);
  assert.equal(partsOf("M-00002-of-00002.GGUF"), ["M-00001-of-00002.GGUF", "M-00002-of-00002.GGUF"]);
  assert.ok(await open(file, "M.GGUF"));
});

test("a vocabulary with tokens that have no embedding", async () => {
  const file = changed("glm4v-tiny", (file) => {
    const embedding = tensorOf(file, "token_embd.weight");
    embedding.dims[1] = 300n;
    embedding.data = embedding.data.slice(0, (embedding.data.length / 384) * 300);
  });
  const { code, message } = await refused(file);
  assert.is(code, "TOKENIZER_INVALID");
  assert.match(message, /it has a token \d+, and embeddings of 300 tokens/);
});

test("the address of a file may hold a percent sign that encodes nothing", () => {
  for (const name of ["%zz.gguf", "100%.gguf"]) {
    assert.is(ggufLocation(`https://host/${name}`)?.file, name);
  }
  assert.is(ggufLocation("https://host/a%20b.gguf")?.file, "a b.gguf");
});

test.run();
