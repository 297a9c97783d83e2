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
import { goldenCheckpoints } from "../golden/load.ts";
import { asFiles, directoryInMemory, f32, failure, type MemoryFiles, safetensors } from "./fixtures.ts";

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

/** Glm4v with its tensors renamed by `rename`. */
async function renamed(rename: (name: string) => string) {
  const files = directoryInMemory(SINGLE);
  const open = await openCheckpoint(asFiles(files));
  const file = files.get("model.safetensors") as Uint8Array<ArrayBuffer>;
  const tensors = [...open.tensors.values()].map(({ name, dtype, shape, offset, bytes }) => {
    return [rename(name), { dtype, shape, data: file.slice(offset, offset + bytes) }] as const;
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
