/** `quantizeModel`: what is written loads to the bits that `dtype` makes of the source, says what it is, and is whole or not there. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { chooseWeightFormat, type WeightStorage } from "../../src/api/weight-dtype.ts";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { resolveWeights } from "../../src/checkpoint/resolve-weights.ts";
import type { WeightReader } from "../../src/checkpoint/weight-reader.ts";
import type { WeightSpec } from "../../src/graph/weight-spec.ts";
import { loadModel, openCheckpoint, openFiles, quantizeModel } from "../../src/index.ts";
import { modelStages } from "../../src/models/stages.ts";
import { quantise } from "../../src/tensor/blocks.ts";
import { widenRows } from "../../src/tensor/rows.ts";
import { isBlockFormat, isRoundedFormat, storageBytes } from "../../src/tensor/storage.ts";
import { failure, half } from "../checkpoint/fixtures.ts";
import { writeRandomCheckpoint } from "../checkpoint/random-checkpoint.ts";
import { goldenCase } from "../golden/load.ts";

const DATA = "test/golden/data";
const folder = mkdtempSync(join(tmpdir(), "glimt-quantize-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** A new folder, made or not. */
let folders = 0;
function place(made = false): string {
  const path = join(folder, String(folders++));
  if (made) mkdirSync(path);
  return path;
}

/** GLM-OCR and a mixture of experts whose matrices are whole blocks, the former with a layer for several tokens at once. */
const ocr = place(true);
writeRandomCheckpoint(`${DATA}/glm_ocr-tiny`, ocr, {
  text: { hidden_size: 64, intermediate_size: 96 },
  vision: { out_hidden_size: 64 },
  extra: {
    "model.language_model.layers.2.self_attn.k_proj.weight": half(
      "BF16",
      [32, 64],
      new Array(2048).fill(0x3f80),
    ),
    "model.language_model.rotary_emb.inv_freq": half("F16", [3], [0x3c00, 0x3800, 0x3400]),
  },
});
const moe = place(true);
writeRandomCheckpoint(`${DATA}/glm4v_moe-tiny`, moe, {
  text: { hidden_size: 64, intermediate_size: 96, moe_intermediate_size: 32 },
  vision: { out_hidden_size: 64 },
});
const dense = `${DATA}/glm4v-tiny`;

async function checkpointOf(location: string): Promise<Checkpoint> {
  return openCheckpoint(await openFiles(location));
}

function weightsOf(checkpoint: Checkpoint, storage: WeightStorage): readonly WeightReader[] {
  const stages = modelStages(checkpoint.config, {
    activationDType: "f32",
    weightDType: chooseWeightFormat(checkpoint, storage),
    pageSize: 16,
  });
  const specs = new Map<string, WeightSpec>();
  for (const { graph } of stages) {
    for (const { origin } of graph.values) {
      if (origin.kind === "weight") specs.set(origin.spec.name, origin.spec);
    }
  }
  return resolveWeights(checkpoint, [...specs.values()]).weights;
}

/** As the device would have it, in plain layout. */
async function storedRows(weight: WeightReader): Promise<Uint8Array> {
  const { spec, dtype, rows, cols } = weight;
  const read = new Uint8Array(weight.bytes);
  await weight.readRows(0, rows, read);
  if (!isBlockFormat(spec.dtype) || !isRoundedFormat(spec.dtype) || dtype === spec.dtype) return read;
  const blocks = new Uint8Array(storageBytes(spec.dtype, rows, cols));
  quantise(spec.dtype, widenRows(dtype, read), blocks);
  return blocks;
}

/** Every weight of `written` has the bits that loading `source` with `storage` gives it. Returns their formats by name. */
async function sameBits(
  source: string,
  written: string,
  storage: WeightStorage,
): Promise<Map<string, string>> {
  const expected = weightsOf(await checkpointOf(source), storage);
  const found = new Map(
    weightsOf(await checkpointOf(written), {}).map((weight) => [weight.spec.name, weight]),
  );
  for (const weight of expected) {
    // A convolution becomes blocks in another order of its elements than files have: there it stays as it is.
    if (weight.spec.name === "model.visual.downsample.weight") continue;
    const other = found.get(weight.spec.name) as WeightReader;
    assert.is(other.spec.dtype, weight.spec.dtype, weight.spec.name);
    assert.equal(await storedRows(other), await storedRows(weight), weight.spec.name);
    if (isBlockFormat(weight.spec.dtype))
      assert.is(other.dtype, weight.spec.dtype, `${weight.spec.name} is read as blocks`);
  }
  assert.is(found.size, expected.length);
  return new Map(expected.map(({ spec }) => [spec.name, spec.dtype]));
}

for (const [name, source] of Object.entries({ dense, ocr, moe })) {
  for (const storage of [{ dtype: "q8" }, { dtype: "q4" }, { dtype: "q4", visionDtype: "q8" }] as const) {
    test(`${name} in ${Object.values(storage).join(", tower in ")}: the bits of loading with it`, async () => {
      const out = place();
      const written = await quantizeModel(source, out, storage);
      const formats = await sameBits(source, out, storage);
      const kept = [...formats].filter(
        ([name, format]) => name.includes(".visual.") && isBlockFormat(format as never),
      );
      assert.is(kept.length > 0, "visionDtype" in storage, "the tower is precise when nobody says otherwise");
      assert.ok([...formats.values()].includes(storage.dtype));
      const sizes = readdirSync(out).filter((file) => file.endsWith(".safetensors"));
      assert.equal(sizes, ["model.safetensors"]);
      assert.is(readFileSync(join(out, "model.safetensors")).length, written.bytes);
    });
  }
}

test("the written model answers as the source does with dtype", async () => {
  const { messages } = goldenCase("glm4v-tiny", "one-image");
  const out = place();
  await quantizeModel(dense, out, { dtype: "q4" });
  const answers = [];
  for (const [location, options] of [
    [dense, { dtype: "q4" }],
    [out, {}],
  ] as const) {
    for (const backend of ["wasm", "reference"] as const) {
      const model = await loadModel(location, { backend, threads: 1, media: "huggingface", ...options });
      const { tokenIds } = await model.complete(messages, { maxTokens: 8 });
      answers.push({ backend, tokenIds });
      assert.ok(model.loaded.conversions.every(({ loss }) => loss === (location === out ? "none" : loss)));
      await model.dispose();
    }
  }
  assert.equal(answers.slice(2), answers.slice(0, 2));
});

test("files beside the weights are copied; what a model does without is copied too, or told of", async () => {
  const source = place(true);
  cpSync(ocr, source, { recursive: true });
  writeFileSync(join(source, "special_tokens_map.json"), "{}");
  writeFileSync(join(source, "LICENSE"), "as one likes");
  writeFileSync(join(source, "README.md"), "of the source");
  writeFileSync(join(source, "model.safetensors.index.json"), "{}");
  const out = place(true);
  const { notes, location } = await quantizeModel(source, out, { dtype: "q8" });
  assert.is(location, out);
  assert.equal(notes, []);
  const copied = readdirSync(source).filter((name) => !/^(config|model)\.|README|index/.test(name));
  assert.equal(readdirSync(out).sort(), [...copied, "config.json", "model.safetensors"].sort());
  for (const name of copied)
    assert.equal(readFileSync(join(out, name)), readFileSync(join(source, name)), name);
  const { tensors } = await checkpointOf(out);
  const mtp = tensors.get("model.language_model.layers.2.self_attn.k_proj.weight");
  assert.is(mtp?.encoding, "BF16", "a layer past the last is no part of the model that is quantised");
});

test("tensors of types that glimt does not read are left out, and told of", async () => {
  const source = place(true);
  writeRandomCheckpoint(`${DATA}/glm_ocr-tiny`, source, {
    text: {},
    vision: {},
    extra: { "model.position_ids": { dtype: "I64", shape: [2], data: new Uint8Array(16) } },
  });
  const { notes } = await quantizeModel(source, place(), { dtype: "q8" });
  assert.is(notes.length, 1);
  assert.match(notes[0] as string, /position_ids.*left out.*I64/);
});

/** The words that the configuration says of a module, as its readers find them. */
function configured(config: Record<string, never>, module: string): number | null {
  const { config_groups: groups, ignore } = config as unknown as {
    config_groups: Record<string, { targets: string[]; weights: { num_bits: number } }>;
    ignore: string[];
  };
  const fits = (patterns: readonly string[]) =>
    patterns.some((pattern) => new RegExp(`^(?:${pattern.replace(/^re:/, "")})`).test(module));
  if (fits(ignore)) return null;
  const found = Object.values(groups).filter(({ targets }) => fits(targets));
  assert.ok(found.length <= 1, `${module} is in ${found.length} groups`);
  return found[0]?.weights.num_bits ?? null;
}

test("config.json names just the modules that are quantised, by the names of transformers and of vLLM", async () => {
  for (const [source, options] of [
    [dense, { dtype: "q4" }],
    [dense, { dtype: "q4", for: "vllm" }],
    [dense, { dtype: "q8", keep: ["embeddings", "vision"] }],
    [ocr, { dtype: "q4", visionDtype: "q8" }],
    [moe, { dtype: "q4" }],
  ] as const) {
    const out = place();
    await quantizeModel(source, out, options);
    const before = JSON.parse(readFileSync(join(source, "config.json"), "utf8"));
    const { quantization_config: quantisation, ...config } = JSON.parse(
      readFileSync(join(out, "config.json"), "utf8"),
    );
    assert.equal(config, before, "the rest stays");
    assert.is(quantisation.quant_method, "compressed-tensors");
    assert.is(quantisation.format, "pack-quantized");
    const { tensors } = await checkpointOf(out);
    let matrices = 0;
    for (const [name, tensor] of tensors) {
      if (tensor.refusal !== undefined || tensor.shape.length !== 2) continue;
      matrices++;
      const module = name.slice(0, -".weight".length);
      const bits = { q4: 4, q8: 8 }[tensor.format as string] ?? null;
      const inVllm = module
        .replace(/^model\.language_model\./, "language_model.model.")
        .replace(/^model\.visual\./, "visual.")
        .replace(/^lm_head/, "language_model.lm_head");
      assert.is(configured(quantisation, module), bits, module);
      assert.is(configured(quantisation, inVllm), bits, inVllm);
    }
    assert.ok(matrices > 10);
  }
});

test("for vLLM: queries, keys and values have one format, table and head stay", async () => {
  const out = place();
  await quantizeModel(dense, out, { dtype: "q4", for: "vllm" });
  const { tensors } = await checkpointOf(out);
  const format = (name: string) => {
    const tensor = tensors.get(name);
    return tensor?.refusal === undefined ? tensor?.format : null;
  };
  const layer = "model.language_model.layers.0";
  const attention = ["q", "k", "v", "o"].map((part) => format(`${layer}.self_attn.${part}_proj.weight`));
  assert.equal(attention, ["q8", "q8", "q8", "q4"]);
  assert.is(format("model.language_model.embed_tokens.weight"), "f32");
  assert.is(format("lm_head.weight"), "f32");
});

test("a quantised checkpoint is read as any other: blocks that fit stay without loss", async () => {
  const first = place();
  const second = place();
  await quantizeModel(dense, first, { dtype: "q8", visionDtype: "q8" });
  const { conversions } = await quantizeModel(first, second, { dtype: "q8" });
  assert.ok(conversions.every(({ loss }) => loss === "none"));
  assert.equal(
    readFileSync(join(second, "model.safetensors")).subarray(-4096),
    readFileSync(join(first, "model.safetensors")).subarray(-4096),
  );
  await sameBits(first, second, {});
  const third = place();
  await quantizeModel(first, third, { dtype: "q4", visionDtype: "q4" });
  await sameBits(first, third, { dtype: "q4", visionDtype: "q4" });
});

test("NaN in a weight is an error that names it, and leaves nothing behind", async () => {
  const source = place(true);
  cpSync(ocr, source, { recursive: true });
  const bytes = readFileSync(join(source, "model.safetensors"));
  const { tensors } = await checkpointOf(source);
  const name = "model.language_model.layers.1.self_attn.o_proj.weight";
  const { offset = 0 } = tensors.get(name) ?? {};
  bytes.writeUInt16LE(0x7fc0, offset);
  writeFileSync(join(source, "model.safetensors"), bytes);
  const before = readdirSync(folder);
  const error = await failure(() => quantizeModel(source, join(folder, "nan"), { dtype: "q8" }));
  assert.is(error.code, "WEIGHTS_INVALID");
  assert.match(error.message, new RegExp(`${name.replaceAll(".", "\\.")}.*NaN`));
  assert.equal(readdirSync(folder), before);
});

test("an abort, or an error of onProgress, leaves nothing behind", async () => {
  const before = readdirSync(folder);
  const out = join(folder, "aborted");
  const control = new AbortController();
  const aborted = await failure(() =>
    quantizeModel(dense, out, {
      dtype: "q8",
      signal: control.signal,
      onProgress: ({ writtenBytes, totalBytes }) => {
        if (writtenBytes > totalBytes / 2) control.abort();
      },
    }),
  );
  assert.is(aborted.code, "ABORTED");
  assert.equal(readdirSync(folder), before);
  const stop = new Error("stop");
  const thrown = await quantizeModel(dense, out, {
    dtype: "q8",
    onProgress: () => {
      throw stop;
    },
  }).catch((error) => error);
  assert.is(thrown, stop);
  assert.equal(readdirSync(folder), before);
});

test("progress counts the bytes of the files", async () => {
  const seen: { writtenBytes: number; totalBytes: number }[] = [];
  const { bytes } = await quantizeModel(dense, place(), { dtype: "q4", onProgress: (p) => seen.push(p) });
  assert.ok(seen.length > 10);
  assert.ok(seen.every(({ totalBytes }) => totalBytes === bytes));
  assert.is(seen.at(-1)?.writtenBytes, bytes);
  assert.ok(seen.every(({ writtenBytes }, index) => writtenBytes >= (seen[index - 1]?.writtenBytes ?? 0)));
});

test("a folder that holds something is refused; with force a checkpoint there is replaced, and other files stay", async () => {
  const out = place(true);
  writeFileSync(join(out, "notes.txt"), "mine");
  const other = await failure(() => quantizeModel(dense, out, { dtype: "q8", force: true }));
  assert.is(other.code, "OPTION_INVALID");
  assert.match(other.message, /holds 1 files already/);
  rmSync(join(out, "notes.txt"));
  cpSync(dense, out, { recursive: true });
  writeFileSync(join(out, "notes.txt"), "mine");
  const filled = await failure(() => quantizeModel(dense, out, { dtype: "q8" }));
  assert.is(filled.code, "OPTION_INVALID");
  assert.match(filled.message, /--force/);
  assert.ok(existsSync(join(out, "model-00001-of-00002.safetensors")));
  await quantizeModel(dense, out, { dtype: "q8", force: true });
  assert.is(readFileSync(join(out, "notes.txt"), "utf8"), "mine");
  const weights = readdirSync(out).filter((name) => /safetensors/.test(name));
  assert.equal(weights, ["model.safetensors"]);
  await sameBits(dense, out, { dtype: "q8" });
});

test("an empty folder that is there is filled, and stays the one it is: it may be a mounted disk, or a link", async () => {
  const out = place(true);
  const link = place();
  symlinkSync(out, link);
  const { ino } = statSync(out);
  const before = readdirSync(folder);
  const stop = () => {
    throw new Error("stop");
  };
  await quantizeModel(dense, out, { dtype: "q8", onProgress: stop }).catch(() => undefined);
  assert.equal(readdirSync(out), []);
  // What lies beside it is seen while it is written: nothing of ours.
  const beside = new Set<string>();
  const look = () => {
    for (const name of readdirSync(folder)) beside.add(name);
  };
  const { location } = await quantizeModel(dense, link, { dtype: "q8", onProgress: look });
  assert.is(location, link);
  assert.equal([...beside], before);
  assert.is(statSync(out).ino, ino);
  assert.not(readdirSync(out).some((name) => name.startsWith(".")));
  await sameBits(dense, out, { dtype: "q8" });
});

test("folders that are made around the output go with it when it fails", async () => {
  const before = readdirSync(folder);
  const stop = () => {
    throw new Error("stop");
  };
  await quantizeModel(dense, join(folder, "deep", "er"), { dtype: "q8", onProgress: stop }).catch(() => {});
  assert.equal(readdirSync(folder), before);
});

test("the source is never written into, by whatever path", async () => {
  const link = join(folder, "link");
  symlinkSync(ocr, link);
  for (const out of [ocr, `${ocr}/`, link]) {
    const error = await failure(() => quantizeModel(ocr, out, { dtype: "q8", force: true }));
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, /is the checkpoint that is read/);
  }
});

test("wrong inputs are one error that names them", async () => {
  const cases: readonly [unknown, unknown, string, RegExp][] = [
    [dense, {}, "OPTION_INVALID", /dtype is undefined/],
    [dense, undefined, "OPTION_INVALID", /dtype is undefined/],
    [dense, { dtype: "bf16" }, "OPTION_INVALID", /dtype is "bf16"/],
    [dense, { dtype: "q8", visionDtype: "f16" }, "OPTION_INVALID", /visionDtype is "f16"/],
    [dense, { dtype: "q8", keep: "vision" }, "OPTION_INVALID", /keep is "vision", expected a list/],
    [dense, { dtype: "q8", keep: ["tower"] }, "OPTION_INVALID", /keep is "tower"/],
    [dense, { dtype: "q8", keep: ["vision"], visionDtype: "q8" }, "OPTION_INVALID", /give one/],
    [dense, { dtype: "q8", for: "sglang" }, "OPTION_INVALID", /for is "sglang"/],
    [dense, { dtype: "q8", force: 1 }, "OPTION_INVALID", /force is 1/],
    [dense, { dtype: "q8", mmproj: "x" }, "OPTION_INVALID", /no option "mmproj"/],
    [join(folder, "absent"), { dtype: "q8" }, "CHECKPOINT_NOT_FOUND", /not there/],
    [`${DATA}/gguf/glm4v-tiny.gguf`, { dtype: "q8" }, "MODEL_UNSUPPORTED", /GGUF/],
  ];
  const before = readdirSync(folder);
  for (const [location, options, code, message] of cases) {
    const error = await failure(() =>
      quantizeModel(location as string, join(folder, "out"), options as never),
    );
    assert.is(error.code, code, error.message);
    assert.match(error.message, message);
  }
  const noPath = await failure(() => quantizeModel(dense, "", { dtype: "q8" }));
  assert.match(noPath.message, /output is ""/);
  for (const address of ["https://host/out", "file:///tmp/out", "s3://bucket/out"]) {
    const error = await failure(() => quantizeModel(dense, address, { dtype: "q8" }));
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, /no address/);
  }
  writeFileSync(join(folder, "file"), "");
  for (const path of ["file", "file/inside"]) {
    const error = await failure(() => quantizeModel(dense, join(folder, path), { dtype: "q8" }));
    assert.match(error.code, /OPTION_INVALID|OUTPUT_FAILED/);
    assert.match(error.message, /no folder/);
  }
  rmSync(join(folder, "file"));
  assert.equal(readdirSync(folder), before);
});

test.run();
