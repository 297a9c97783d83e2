import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { describeCheckpoint } from "../../src/checkpoint/describe.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { resolveWeights } from "../../src/checkpoint/resolve-weights.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import type { WeightSpec } from "../../src/graph/weight-spec.ts";
import { buildDecoder } from "../../src/models/decoder.ts";
import { buildVisionTower } from "../../src/models/vision-tower.ts";
import { loadChatTemplate } from "../../src/text/chat-template.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { goldenCheckpoints } from "../golden/load.ts";
import {
  asFiles,
  directoryInMemory,
  f32,
  failure,
  half,
  type MemoryFiles,
  safetensors,
  type TensorFixture,
} from "./fixtures.ts";

const SHARDED = "test/golden/data/glm4v-tiny";
const SINGLE = "test/golden/data/glm_ocr-tiny";
const CHECKPOINTS = [
  ...goldenCheckpoints().map((name) => `test/golden/data/${name}`),
  "examples/demo/checkpoint",
];

function specsOf({ config }: Checkpoint): WeightSpec[] {
  const options = { activationDType: "f32" as const, weightDType: () => "f32" as const };
  const graphs = [
    buildVisionTower(config.vision, options),
    buildDecoder(config, { ...options, pageSize: 16 }),
  ];
  return graphs.flatMap((graph) => compileGraph(graph).weights);
}

for (const directory of CHECKPOINTS) {
  test(`${directory}: every tensor finds its weight, and no value is NaN`, async () => {
    const checkpoint = await openCheckpoint(await openDirectory(directory));
    const { weights, aside } = resolveWeights(checkpoint, specsOf(checkpoint));
    const used = new Set(weights.flatMap(({ spec }) => spec.sources.map(({ tensor }) => tensor)));
    assert.is(used.size + aside.size, checkpoint.tensors.size);
    for (const weight of weights) assert.is(await weight.findNotFinite(), null);
  });
}

test("MTP layers are kept aside and counted", async () => {
  const checkpoint = await openCheckpoint(await openDirectory(SINGLE));
  const { aside } = resolveWeights(checkpoint, specsOf(checkpoint));
  assert.ok(aside.size > 0);
  assert.ok([...aside].every(([name, reason]) => reason === "mtp" && name.includes(".layers.2.")));
});

test("an MTP layer of a mixture of experts, with experts of its own, is kept aside and can be read", async () => {
  const files = directoryInMemory("test/golden/data/glm4v_moe-tiny");
  const open = await openCheckpoint(asFiles(files));
  const next = open.config.text.numHiddenLayers;
  const file = files.get("model.safetensors") as Uint8Array<ArrayBuffer>;
  const own = [...open.tensors.values()].map(({ name, encoding, shape, offset, bytes }) => {
    return [name, { dtype: encoding, shape, data: file.slice(offset, offset + bytes) }] as const;
  });
  const last = `.layers.${next - 1}.`;
  const added = own.flatMap(([name, tensor]): [string, TensorFixture][] =>
    name.includes(last) ? [[name.replace(last, `.layers.${next}.`), tensor]] : [],
  );
  added.push([`model.language_model.layers.${next}.enorm.weight`, half("BF16", [2], [0x3f80, 0x4000])]);
  files.set("model.safetensors", safetensors(Object.fromEntries([...own, ...added])));
  const checkpoint = await openCheckpoint(asFiles(files));
  const { aside } = resolveWeights(checkpoint, specsOf(checkpoint));
  assert.equal([...aside].sort(), added.map(([name]) => [name, "mtp"]).sort());
  assert.ok([...aside.keys()].some((name) => name.includes(".experts.7.down_proj")));
  for (const [name, { shape, data }] of added) {
    const tensor = checkpoint.tensors.get(name);
    if (!tensor || tensor.refusal !== undefined) throw new Error(name);
    const bytes = new Uint8Array(data.length);
    await tensor.readRows(0, shape[0] as number, bytes);
    assert.equal(bytes, new Uint8Array(data), name);
  }
  const part = describeCheckpoint(checkpoint).parts.find(({ name }) => name === "mtp");
  assert.is(part?.tensors, added.length);
});

/** Glm4v with its tensors renamed by `rename`. */
async function renamed(rename: (name: string) => string) {
  const files = directoryInMemory(SINGLE);
  const open = await openCheckpoint(asFiles(files));
  const file = files.get("model.safetensors") as Uint8Array<ArrayBuffer>;
  const tensors = [...open.tensors.values()].map(({ name, encoding, shape, offset, bytes }) => {
    return [rename(name), { dtype: encoding, shape, data: file.slice(offset, offset + bytes) }] as const;
  });
  files.set("model.safetensors", safetensors(Object.fromEntries(tensors)));
  return openCheckpoint(asFiles(files));
}

test("older prefixes are read as the published ones", async () => {
  const older = await renamed((name) =>
    name.replace("model.visual.", "visual.").replace("model.language_model.", "model."),
  );
  assert.ok(older.tensors.has("model.visual.blocks.0.attn.qkv.weight"));
  resolveWeights(older, specsOf(older));
});

test("missing, misshapen and unknown tensors are told in one error", async () => {
  const checkpoint = await renamed((name) => name.replace("layers.0.mlp.down_proj", "layers.0.mlp.down"));
  const specs = specsOf(checkpoint).map(
    (spec): WeightSpec =>
      spec.name === "model.visual.post_layernorm.weight"
        ? { ...spec, shape: [7], sources: spec.sources.map((source) => ({ ...source, shape: [7] })) }
        : spec,
  );
  const error = await failure(() => resolveWeights(checkpoint, specs));
  assert.is(error.code, "WEIGHTS_INVALID");
  assert.match(error.message, "1 missing: model.language_model.layers.0.mlp.down_proj.weight.");
  assert.match(error.message, "model.visual.post_layernorm.weight has shape [48], expected [7]");
  assert.match(error.message, "1 unknown: model.language_model.layers.0.mlp.down.weight.");
});

test("a long list is cut, with the count", async () => {
  const checkpoint = await openCheckpoint(await openDirectory(SINGLE));
  const [first] = specsOf(checkpoint);
  const sources = [{ tensor: "absent", shape: [1], layout: "rows" as const }];
  const absent: WeightSpec = { ...(first as WeightSpec), shape: [1], sources };
  const error = await failure(() => resolveWeights(checkpoint, [absent]));
  assert.match(error.message, /\d\d unknown: (\S+, ){20}and \d+ more\./);
});

test("a tensor of a type that is no weight is named, unless nobody asks for it", async () => {
  const checkpoint = await openCheckpoint(
    asFiles(withTensor("model.visual.rotary_pos_emb.inv_freq", "I64", 8)),
  );
  resolveWeights(checkpoint, specsOf(checkpoint));
  const specs: WeightSpec[] = [
    {
      name: "x",
      shape: [1],
      dtype: "f32",
      sources: [{ tensor: "model.visual.rotary_pos_emb.inv_freq", shape: [1], layout: "rows" }],
    },
  ];
  assert.match((await failure(() => resolveWeights(checkpoint, specs))).message, "has dtype I64");
});

/** glm_ocr-tiny with one more tensor [1], in a second shard. */
function withTensor(name: string, dtype: string, bytes: number): MemoryFiles {
  const files = directoryInMemory(SINGLE);
  files.set("a.safetensors", files.get("model.safetensors") as Uint8Array<ArrayBuffer>);
  files.set("b.safetensors", safetensors({ [name]: { dtype, shape: [1], data: new Uint8Array(bytes) } }));
  files.delete("model.safetensors");
  const map = { "lm_head.weight": "a.safetensors", [name]: "b.safetensors" };
  files.set("model.safetensors.index.json", JSON.stringify({ weight_map: map }));
  return files;
}

const index = (weightMap: unknown) => JSON.stringify({ metadata: {}, weight_map: weightMap });

const broken: [name: string, change: (files: MemoryFiles) => void, code: string, expected: string][] = [
  ["no config.json", (f) => f.delete("config.json"), "CHECKPOINT_NOT_FOUND", "no config.json"],
  [
    "config.json cut short",
    (f) => f.set("config.json", '{"model_type":'),
    "CHECKPOINT_INVALID",
    "config.json",
  ],
  [
    "config of another model",
    (f) => f.set("config.json", '{"model_type":"llama"}'),
    "MODEL_UNSUPPORTED",
    "llama",
  ],
  [
    "no preprocessor",
    (f) => f.delete("preprocessor_config.json") && f.delete("video_preprocessor_config.json"),
    "CONFIG_INVALID",
    "preprocessor_config.json",
  ],
  [
    "no weights",
    (f) => f.delete("model.safetensors.index.json"),
    "CHECKPOINT_NOT_FOUND",
    "neither model.safetensors",
  ],
  [
    "pickled weights",
    (f) => f.delete("model.safetensors.index.json") && f.set("pytorch_model.bin", "x"),
    "CHECKPOINT_NOT_FOUND",
    "convert them to safetensors",
  ],
  [
    "a shard is absent",
    (f) => f.delete("model-00002-of-00002.safetensors"),
    "CHECKPOINT_INVALID",
    "lacks model-00002-of-00002.safetensors",
  ],
  [
    "an index without a map",
    (f) => f.set("model.safetensors.index.json", "{}"),
    "CHECKPOINT_INVALID",
    "no weight_map",
  ],
  [
    "an index that leads outside",
    (f) => f.set("model.safetensors.index.json", index({ a: "../x.safetensors" })),
    "CHECKPOINT_INVALID",
    "no safetensors file name",
  ],
  ...[
    "/etc/x.safetensors",
    "a/x.safetensors",
    "..\\\\x.safetensors",
    "x.safetensors\0",
    "x.bin",
    5,
    null,
    ["x"],
  ].map((file): (typeof broken)[number] => [
    `an index with a shard named ${JSON.stringify(file)}`,
    (f) => f.set("model.safetensors.index.json", index({ a: file })),
    "CHECKPOINT_INVALID",
    "no safetensors file name",
  ]),
  [
    "an index of more files than there can be",
    (f) =>
      f.set(
        "model.safetensors.index.json",
        index(Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`t${i}`, `${i}.safetensors`]))),
      ),
    "CHECKPOINT_INVALID",
    "lists 5000 files",
  ],
  [
    "many shards absent, in few words",
    (f) =>
      f.set(
        "model.safetensors.index.json",
        index(Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`t${i}`, `${i}.safetensors`]))),
      ),
    "CHECKPOINT_INVALID",
    "0.safetensors, 1.safetensors, 2.safetensors, 3.safetensors, 4.safetensors and 895 more",
  ],
  [
    "a shard in place of which a page comes",
    (f) => f.set("model-00001-of-00002.safetensors", "<!DOCTYPE html><html></html>"),
    "CHECKPOINT_INVALID",
    "the header claims",
  ],
  ...[
    "config.json",
    "model.safetensors.index.json",
    "preprocessor_config.json",
    "generation_config.json",
  ].flatMap((file): (typeof broken)[number][] => [
    [
      `${file} is a Git LFS pointer`,
      (f) => f.set(file, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"),
      "CHECKPOINT_INVALID",
      `${file} in memory is a Git LFS pointer, not the file; fetch it with \`git lfs pull\``,
    ],
    [
      `${file} in UTF-16`,
      (f) => f.set(file, new Uint8Array(Buffer.from("\ufeff{}", "utf16le"))),
      "CHECKPOINT_INVALID",
      `${file} in memory is UTF-16`,
    ],
    [
      `${file} in UTF-16 without a mark`,
      (f) => f.set(file, new Uint8Array(Buffer.from("{}", "utf16le"))),
      "CHECKPOINT_INVALID",
      `${file} in memory is UTF-16`,
    ],
    [
      `${file} is no UTF-8`,
      (f) => f.set(file, new Uint8Array(Buffer.from('{"a":"\u00e9"}', "latin1"))),
      "CHECKPOINT_INVALID",
      `${file} in memory is not valid UTF-8`,
    ],
    [
      `${file} of many levels`,
      (f) => f.set(file, `${"[".repeat(100_000)}${"]".repeat(100_000)}`),
      "CHECKPOINT_INVALID",
      file,
    ],
  ]),
  [
    "an index that lies",
    (f) => f.set("model.safetensors.index.json", index({ a: "model-00001-of-00002.safetensors" })),
    "CHECKPOINT_INVALID",
    'puts "a" in model-00001-of-00002.safetensors',
  ],
  [
    "the same tensor twice",
    (f) => {
      const twice = safetensors({ "visual.x": f32([1], [1]), "model.visual.x": f32([1], [1]) });
      f.set("model.safetensors", twice);
    },
    "CHECKPOINT_INVALID",
    'holds "model.visual.x" twice: as visual.x in model.safetensors',
  ],
];

for (const [name, change, code, expected] of broken) {
  test(`refused: ${name}`, async () => {
    const files = directoryInMemory(SHARDED);
    change(files);
    const error = await failure(() => openCheckpoint(asFiles(files)));
    assert.is(error.code, code, error.message);
    assert.match(error.message, expected);
  });
}

test("of equal keys the last counts, as in Python; a mark of UTF-8 is no part of the text", async () => {
  const files = directoryInMemory(SHARDED);
  const config = new TextDecoder().decode(files.get("config.json") as Uint8Array);
  files.set("config.json", `\ufeff${config.replace("{", '{"model_type": "llama",')}`);
  assert.is((await openCheckpoint(asFiles(files))).config.family, "glm4v");
});

test("a tokenizer and a template that are Git LFS pointers are named", async () => {
  for (const name of ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]) {
    const files = directoryInMemory(SHARDED);
    files.set(name, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n");
    const read = name.startsWith("token") ? loadTokenizer : loadChatTemplate;
    const error = await failure(() => read(asFiles(files)));
    assert.is(error.code, "CHECKPOINT_INVALID");
    assert.match(error.message, `${name} in memory is a Git LFS pointer`);
  }
});

test("types of tensors, and the type of most bytes", async () => {
  const ocr = await openCheckpoint(await openDirectory(SINGLE));
  assert.is(ocr.mainDType, "bf16");
  assert.is(ocr.tensorDType("lm_head.weight"), "bf16");
  assert.is(ocr.tensorDType("absent"), null);
});

test("a description counts every tensor once", async () => {
  const checkpoint = await openCheckpoint(await openDirectory(SINGLE));
  const description = describeCheckpoint(checkpoint);
  const sum = (rows: readonly { tensors: number; bytes: number }[]) => [
    rows.reduce((n, row) => n + row.tensors, 0),
    rows.reduce((n, row) => n + row.bytes, 0),
  ];
  assert.is(description.total.tensors, checkpoint.tensors.size);
  assert.equal(sum(description.parts), [description.total.tensors, description.total.bytes]);
  assert.equal(sum(description.dtypes), [description.total.tensors, description.total.bytes]);
  assert.equal(
    description.dtypes.map(({ name }) => name),
    ["BF16"],
  );
  assert.equal(description.parts.map(({ name }) => name).sort(), [
    "decoder",
    "embedding",
    "lm_head",
    "mtp",
    "vision",
  ]);
  assert.is(description.total.bytes, description.total.parameters * 2);
  assert.is(description.kvBytesPerToken("f32"), 2 * 2 * 2 * 32 * 4);
});

test.run();
