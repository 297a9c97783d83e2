/** PEFT adapters: what is read from their files, what is refused, and the weights with them merged. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type Adapter,
  adapterRows,
  adapterSpecs,
  checkAdapterFits,
  openAdapter,
} from "../../src/checkpoint/adapter.ts";
import { mergeAdapters, mergeTargets } from "../../src/checkpoint/merged-weight.ts";
import { modelPart } from "../../src/checkpoint/module-map.ts";
import { plainTensor } from "../../src/checkpoint/plain-weight.ts";
import { readSafetensorsHeader } from "../../src/checkpoint/safetensors.ts";
import type { StoredWeight } from "../../src/checkpoint/stored-weight.ts";
import { WeightReader } from "../../src/checkpoint/weight-reader.ts";
import type { WeightSource } from "../../src/graph/weight-spec.ts";
import {
  asFiles,
  f32,
  failure,
  half,
  type MemoryFiles,
  safetensors,
  type TensorFixture,
} from "./fixtures.ts";

const PATH = "model.language_model.layers.0.self_attn.q_proj";
const config = { peft_type: "LORA", r: 2, lora_alpha: 3, target_modules: ["q_proj", "proj"] };
const zeros = (...shape: number[]) => f32(shape, new Array(shape.reduce((a, b) => a * b, 1)).fill(0));

function pair(path: string, a: TensorFixture = zeros(2, 4), b: TensorFixture = zeros(3, 2)) {
  return {
    [`base_model.model.${path}.lora_A.weight`]: a,
    [`base_model.model.${path}.lora_B.weight`]: b,
  };
}

function open(
  changes: Readonly<Record<string, unknown>> = {},
  tensors: Readonly<Record<string, TensorFixture>> = pair(PATH),
): Promise<Adapter> {
  const json = JSON.stringify({ ...config, ...changes });
  const files: MemoryFiles = new Map<string, string | Uint8Array<ArrayBuffer>>([
    ["adapter_config.json", json],
    ["adapter_model.safetensors", safetensors(tensors)],
  ]);
  return openAdapter(asFiles(files));
}

const modulesOf = async (adapter: Promise<Adapter>) => [...(await adapter).modules.keys()];

test("names as every version of PEFT and transformers spells them", async () => {
  const spellings: [string, string][] = [
    [`base_model.model.${PATH}.lora_A.weight`, PATH],
    [`base_model.model.${PATH}.lora_A.default.weight`, PATH],
    [`base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight`, PATH],
    [`base_model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight`, PATH],
    [`${PATH}.lora_A.weight`, PATH],
    ["base_model.model.visual.blocks.1.attn.proj.lora_A.weight", "model.visual.blocks.1.attn.proj"],
    ["base_model.model.model.visual.merger.proj.lora_A.weight", "model.visual.merger.proj"],
  ];
  for (const [name, path] of spellings) {
    const tensors = { [name]: zeros(2, 4), [name.replace("lora_A", "lora_B")]: zeros(3, 2) };
    assert.equal(await modulesOf(open({}, tensors)), [path], name);
  }
});

test("rank and scaling by PEFT's rules", async () => {
  const scalingOf = async (changes: Readonly<Record<string, unknown>>) => {
    const adapter = await open(changes);
    return adapter.modules.get(PATH)?.scaling;
  };
  const cases: [Readonly<Record<string, unknown>>, number][] = [
    [{}, 1.5],
    [{ use_rslora: true }, 3 / Math.sqrt(2)],
    [{ r: 8, rank_pattern: { q_proj: 2 } }, 1.5],
    [{ r: 8, rank_pattern: { "layers\\.[0-3]\\.self_attn\\.q_proj": 2 } }, 1.5],
    [{ r: 8, rank_pattern: { [`^${PATH}`]: 2, q_proj: 5 } }, 1.5],
    [{ alpha_pattern: { "self_attn.q_proj": 10 } }, 5],
    // Only whole names at the end of a path count.
    [{ alpha_pattern: { _proj: 10, self_attn: 10 } }, 1.5],
    [{ alpha_pattern: { q_proj: 10 }, use_rslora: true }, 10 / Math.sqrt(2)],
    [{ target_modules: ".*q_proj", init_lora_weights: "gaussian", lora_dropout: 0.1, eva_config: null }, 1.5],
    [{ modules_to_save: [], loftq_config: {}, use_dora: false, fan_in_fan_out: false }, 1.5],
  ];
  for (const [changes, scaling] of cases)
    assert.is(await scalingOf(changes), scaling, JSON.stringify(changes));
});

test("what would compute something else is refused by its key", async () => {
  const cases: [Readonly<Record<string, unknown>>, RegExp][] = [
    [{ peft_type: "IA3" }, /peft_type: expected "LORA", found "IA3"/],
    [{ peft_type: undefined }, /peft_type/],
    [{ r: 0 }, /: r: expected a positive integer, found 0/],
    [{ r: undefined }, /: r: /],
    [{ lora_alpha: "8" }, /lora_alpha/],
    [{ bias: "lora_only" }, /bias: expected "none"/],
    [{ use_dora: true }, /use_dora: .*DoRA/],
    [{ lora_bias: true }, /lora_bias/],
    [{ fan_in_fan_out: true }, /fan_in_fan_out/],
    [{ modules_to_save: ["lm_head"] }, /modules_to_save/],
    [{ target_parameters: ["mlp.experts.gate_up_proj"] }, /target_parameters: .*routed experts/],
    [{ trainable_token_indices: [1] }, /trainable_token_indices/],
    [{ layer_replication: [[0, 2]] }, /layer_replication/],
    [{ alora_invocation_tokens: [3] }, /alora_invocation_tokens/],
    [{ kasa_config: { beta: 1 } }, /kasa_config/],
    [{ init_lora_weights: "pissa_niter_4" }, /init_lora_weights: .*plain LoRA/],
    [{ target_modules: [] }, /target_modules/],
    [{ target_modules: ["k_proj"] }, /q_proj is not among target_modules/],
    [{ rank_pattern: { "q_proj(": 2 } }, /rank_pattern: expected regular expressions/],
    [{ rank_pattern: { q_proj: 4 } }, /q_proj has matrices \[2, 4\] and \[3, 2\], .* rank 4/],
    [{ use_rslora: 1 }, /use_rslora/],
  ];
  for (const [changes, message] of cases) {
    const error = await failure(() => open(changes));
    assert.is(error.code, "ADAPTER_INVALID", error.message);
    assert.match(error.message, message);
    assert.match(error.message, /memory/);
  }
});

test("files that are no adapter, and tensors that are no LoRA of a linear", async () => {
  const cases: [Readonly<Record<string, TensorFixture>>, RegExp][] = [
    [{}, /holds no lora_A/],
    [
      { ...pair(PATH), "base_model.model.model.embed_tokens.lora_embedding_A": zeros(2, 4) },
      /lora_embedding_A" is no/,
    ],
    [
      { ...pair(PATH), [`base_model.model.${PATH}.lora_magnitude_vector`]: zeros(3) },
      /lora_magnitude_vector/,
    ],
    [{ ...pair(PATH), "base_model.model.lm_head.weight": zeros(3, 4) }, /lm_head.weight/],
    [{ ...pair(PATH), [`base_model.model.${PATH}.lora_B.bias`]: zeros(3) }, /lora_B.bias/],
    [{ [`base_model.model.${PATH}.lora_A.weight`]: zeros(2, 4) }, /has lora_A but no lora_B/],
    [{ ...pair(PATH), [`${PATH}.lora_A.second.weight`]: zeros(2, 4) }, /second lora_A of/],
    [pair(PATH, { dtype: "I8", shape: [2, 4], data: new Uint8Array(8) }), /dtype I8/],
  ];
  for (const [tensors, message] of cases) {
    const error = await failure(() => open({}, tensors));
    assert.is(error.code, "ADAPTER_INVALID", error.message);
    assert.match(error.message, message);
  }
  const json = JSON.stringify(config);
  const absent: [Map<string, string>, RegExp][] = [
    [new Map(), /no adapter_config.json/],
    [new Map([["adapter_config.json", json]]), /no adapter_model.safetensors/],
    [
      new Map([
        ["adapter_config.json", json],
        ["adapter_model.bin", "x"],
      ]),
      /pickled/,
    ],
  ];
  for (const [files, message] of absent) {
    const error = await failure(() => openAdapter(asFiles(files)));
    assert.is(error.code, "CHECKPOINT_NOT_FOUND");
    assert.match(error.message, message);
  }
});

test("the first module that does not fit is named, and what the adapter was made for", async () => {
  const q: WeightSource = { tensor: `${PATH}.weight`, shape: [3, 4], layout: "rows" };
  const conv: WeightSource = {
    tensor: "model.visual.downsample.weight",
    shape: [3, 4, 2, 2],
    layout: "conv2x2",
  };
  const targets = new Map([
    [PATH, q],
    ["model.visual.downsample", conv],
  ]);
  const glm = "Glm4vForConditionalGeneration";
  const made = (base_model_class: string) => ({ auto_mapping: { base_model_class } });
  const any = { target_modules: ".*" };
  const fits: [Readonly<Record<string, unknown>>, Readonly<Record<string, TensorFixture>>][] = [
    [any, pair(PATH)],
    [any, pair("model.visual.downsample", zeros(2, 4, 2, 2), zeros(3, 2, 1, 1))],
    [{ ...any, ...made("Glm4vModel") }, pair(PATH)],
    [{ ...any, ...made("Glm46VForConditionalGeneration") }, pair(PATH)],
    [any, { ...pair(PATH), [`base_model.model.${PATH}.base_layer.weight`]: zeros(3, 4) }],
  ];
  for (const [changes, tensors] of fits) checkAdapterFits(await open(changes, tensors), glm, targets);
  const misfits: [Readonly<Record<string, unknown>>, Readonly<Record<string, TensorFixture>>, RegExp][] = [
    [
      any,
      pair("model.language_model.layers.9.mlp.up_proj"),
      /changes model.language_model.layers.9.mlp.up_proj, which/,
    ],
    [any, pair(PATH, zeros(2, 5)), /q_proj is \[3, 4\] here, but lora_A is \[2, 5\]/],
    [any, pair(PATH, zeros(2, 4), zeros(4, 2)), /lora_B \[4, 2\]/],
    [any, pair("model.visual.downsample", zeros(2, 4, 2, 2), zeros(3, 2)), /lora_B \[3, 2\]/],
    [
      any,
      { ...pair(PATH), [`base_model.model.${PATH}.base_layer.weight`]: zeros(4, 4) },
      /base_layer.weight" is \[4, 4\]/,
    ],
    [
      { ...any, ...made("Qwen3VLForConditionalGeneration") },
      pair(PATH),
      /does not fit Glm4vForConditionalGeneration. It was made for Qwen3VLForConditionalGeneration. model.*q_proj/,
    ],
  ];
  for (const [changes, tensors, message] of misfits) {
    const error = await failure(async () => checkAdapterFits(await open(changes, tensors), glm, targets));
    assert.is(error.code, "ADAPTER_INVALID", error.message);
    assert.match(error.message, message);
  }
});

test("what can only be merged is said so", async () => {
  const path = "model.language_model.layers.1.mlp.experts.3.down_proj";
  const adapter = await open({ target_modules: ".*" }, pair(path));
  const expert = { tensor: `${path}.weight`, shape: [3, 4], layout: "rows" } as const;
  const targets = mergeTargets([{ name: "stack", shape: [3, 4], dtype: "f32", sources: [expert] }]);
  checkAdapterFits(adapter, "any", targets);
  const error = await failure(() => checkAdapterFits(adapter, "any", new Map(), targets));
  assert.match(error.message, /experts.3.down_proj, .* merge: true/);
});

test("B is read with its scale, A in the layout of its weight", async () => {
  // 1 and 2 in bf16.
  const b = half("BF16", [1, 2, 1, 1], [0x3f80, 0x4000]);
  const a = f32([2, 2, 1, 2], [1, 2, 3, 4, 5, 6, 7, 8]);
  const adapter = await open({ target_modules: ".*" }, pair("model.visual.downsample", a, b));
  const module = adapter.modules.get("model.visual.downsample")!;
  const base: WeightSource = {
    tensor: "model.visual.downsample.weight",
    shape: [1, 2, 1, 2],
    layout: "conv2x2",
  };
  const specs = adapterSpecs(module, base, 2);
  const values = async (reader: WeightReader) => {
    const into = new Float32Array(reader.rows * reader.cols);
    await reader.readRows(0, reader.rows, new Uint8Array(into.buffer));
    return [...into];
  };
  assert.equal(await values(adapterRows(adapter, specs.a)), [1, 3, 2, 4, 5, 7, 6, 8]);
  assert.equal(await values(adapterRows(adapter, specs.b)), [3, 6]);
});

test("merged rows are W + scale B A, in every part of a stacked weight", async () => {
  const [q, k] = [PATH, PATH.replace("q_proj", "k_proj")];
  const stored = { [`${q}.weight`]: f32([2, 2], [1, 2, 3, 4]), [`${k}.weight`]: f32([1, 2], [5, 6]) };
  const file = safetensors(stored);
  const files = asFiles(new Map([["m.safetensors", file]]));
  const headers = await readSafetensorsHeader(files, "m.safetensors", file.length);
  const sources = headers.map(({ name, shape }): WeightSource => ({ tensor: name, shape, layout: "rows" }));
  const spec = { name: "qk", shape: [3, 2], dtype: "f32" as const, sources };
  const resolved = headers.map((header) => ({
    tensor: plainTensor(files, header) as StoredWeight,
    layout: "rows" as const,
  }));
  const weight = new WeightReader(spec, resolved, 0);
  const rank1 = { r: 1, lora_alpha: 2, target_modules: ".*" };
  const onQ = await open(rank1, pair(q, f32([1, 2], [1, 10]), f32([2, 1], [1, -1])));
  const onK = await open(rank1, pair(k, f32([1, 2], [1, 1]), f32([1, 1], [3])));

  const [merged] = mergeAdapters(
    [weight],
    [
      { adapter: onQ, scale: 0.5 },
      { adapter: onK, scale: 1 },
    ],
  );
  const expected = [1 + 1, 2 + 10, 3 - 1, 4 - 10, 5 + 6, 6 + 6];
  for (let first = 0; first < 3; first++) {
    for (let count = 1; first + count <= 3; count++) {
      const into = new Float32Array(count * 2);
      await merged!.readRows(first, count, new Uint8Array(into.buffer));
      assert.equal([...into], expected.slice(2 * first, 2 * (first + count)), `${first} +${count}`);
    }
  }
  assert.equal(mergeAdapters([weight], [{ adapter: onQ, scale: 0 }]), [weight]);

  // The second row of q over k, and of both the second column.
  const cols = { first: 1, count: 1 };
  const [q2, k2] = [{ rows: { first: 1, count: 1 }, cols }, { cols }];
  const cut = sources.map((source, index) => ({ ...source, ...(index === 0 ? q2 : k2) }));
  const parts = resolved.map((source, index) => ({ ...source, ...(index === 0 ? q2 : k2) }));
  const part = new WeightReader({ ...spec, shape: [2, 1], sources: cut }, parts, 0);
  const [mergedPart] = mergeAdapters(
    [part],
    [
      { adapter: onQ, scale: 0.5 },
      { adapter: onK, scale: 1 },
    ],
  );
  const into = new Float32Array(2);
  await mergedPart!.readRows(0, 2, new Uint8Array(into.buffer));
  assert.equal([...into], [expected[3], expected[5]]);
});

test("every module of a model is in one part", () => {
  const parts = [
    PATH,
    "lm_head",
    "model.visual.merger.proj",
    "model.visual.downsample",
    "model.visual.blocks.0.attn.qkv",
  ];
  assert.equal(parts.map(modelPart), ["language", "language", "connector", "connector", "tower"]);
  assert.is(modelPart("model.audio.conv"), null);
});

test.run();
