import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseModelConfig } from "../../src/config/model-config.ts";
import { GlimtError } from "../../src/errors.ts";
import { goldenCheckpoints } from "../golden/load.ts";
import { glm4v, glm4vMoe, glmOcr, withValue } from "./released.ts";

function failure(json: unknown): GlimtError {
  try {
    parseModelConfig(json);
  } catch (error) {
    if (error instanceof GlimtError) return error;
    throw error;
  }
  throw new Error("The config was accepted.");
}

test("GLM-4.1V: interleaved half-rotary decoder, position table, widths from swapped keys", () => {
  const config = parseModelConfig(glm4v);
  assert.is(config.family, "glm4v");
  assert.equal(config.text.rope, {
    theta: 10000,
    rotaryDim: 64,
    mropeSection: [8, 12, 12],
    pairs: "interleaved",
  });
  assert.is(config.text.headDim, 128);
  assert.is(config.text.attentionBias, true);
  assert.is(config.text.sandwichNorms, true);
  assert.is(config.text.moe, null);
  assert.is(config.vision.blockIntermediateSize, 4096);
  assert.is(config.vision.mergerIntermediateSize, 13696);
  assert.is(config.vision.positionTableSide, 24);
  assert.is(config.vision.ropeTheta, 10000);
  assert.is(config.vision.mlpBias, false);
  assert.is(config.tokens.image, 151343);
  assert.is(config.tieWordEmbeddings, false);
});

test("GLM-OCR: head_dim of its own, full rotary, biased tower with q and k norms and no table", () => {
  const { text, vision } = parseModelConfig(glmOcr);
  assert.is(text.headDim, 128);
  assert.is(text.attentionBias, false);
  assert.equal(text.rope, { theta: 10000, rotaryDim: 128, mropeSection: [16, 24, 24], pairs: "interleaved" });
  assert.is(vision.headDim, 64);
  assert.is(vision.blockIntermediateSize, 4096);
  assert.is(vision.mergerIntermediateSize, 1536 * 3);
  assert.is(vision.attentionOutputBias, true);
  assert.is(vision.mlpBias, true);
  assert.is(vision.qkNorm, true);
  assert.is(vision.positionTableSide, null);
});

test("GLM-4.5V: half-split pairs, two norms, experts", () => {
  const { family, text } = parseModelConfig(glm4vMoe);
  assert.is(family, "glm4v_moe");
  assert.is(text.rope.pairs, "half");
  assert.is(text.sandwichNorms, false);
  assert.equal(text.moe, {
    numExperts: 128,
    numExpertsPerToken: 8,
    numSharedExperts: 1,
    numGroups: 1,
    topkGroups: 1,
    normTopkProb: true,
    routedScalingFactor: 1,
    moeIntermediateSize: 1408,
    firstKDenseReplace: 1,
  });
});

test("both rotary spellings parse to the same config", () => {
  const { rope_scaling, rope_theta, partial_rotary_factor, ...rest } = glm4v.text_config;
  const nested = {
    ...glm4v,
    text_config: { ...rest, rope_parameters: { ...rope_scaling, rope_theta, partial_rotary_factor } },
  };
  assert.equal(parseModelConfig(nested), parseModelConfig(glm4v));
});

test("glm46v takes its family from the decoder it wraps", () => {
  const wrap = (config: object) =>
    withValue(withValue(config, "model_type", "glm46v"), "architectures", ["Glm46VForConditionalGeneration"]);
  assert.is(parseModelConfig(wrap(glm4v)).family, "glm4v");
  assert.is(parseModelConfig(wrap(glm4vMoe)).family, "glm4v_moe");
  assert.is(failure(withValue(wrap(glm4v), "text_config.model_type", "llama")).code, "MODEL_UNSUPPORTED");
});

test("what transformers treats as optional may be absent", () => {
  const rope = parseModelConfig(withValue(glm4vMoe, "text_config.partial_rotary_factor", undefined)).text
    .rope;
  assert.is(rope.rotaryDim, 64);
  assert.ok(parseModelConfig(withValue(glm4v, "architectures", undefined)));
  assert.is(
    parseModelConfig(withValue(glm4v, "text_config.tie_word_embeddings", true)).tieWordEmbeddings,
    true,
  );
  assert.is(
    parseModelConfig(withValue(glm4v, "text_config.num_key_value_heads", null)).text.numKeyValueHeads,
    32,
  );
});

test("what transformers' converter leaves out, and where it puts two token ids", () => {
  const optional = ["topk_group", "first_k_dense_replace", "routed_scaling_factor"];
  const sparse = optional.reduce<object>(
    (json, key) => withValue(json, `text_config.${key}`, undefined),
    glm4vMoe,
  );
  assert.equal(parseModelConfig(sparse).text.moe, parseModelConfig(glm4vMoe).text.moe);
  const moved = withValue(withValue(glm4v, "image_token_id", undefined), "text_config.image_token_id", 5);
  assert.is(parseModelConfig(moved).tokens.image, 5);
});

test("the tower's rotary base, where a file gives one", () => {
  const group = { rope_type: "axial", rope_theta: 500 };
  assert.is(
    parseModelConfig(withValue(glmOcr, "vision_config.rope_parameters", group)).vision.ropeTheta,
    500,
  );
  assert.is(parseModelConfig(glmOcr).vision.ropeTheta, 10000);
});

test("the checkpoints of the repository parse", () => {
  const golden = goldenCheckpoints().map((name) => `test/golden/data/${name}`);
  for (const folder of [...golden, "examples/demo/checkpoint"]) {
    assert.ok(parseModelConfig(JSON.parse(readFileSync(`${folder}/config.json`, "utf8"))), folder);
  }
});

test("a parsed config can not be written to", () => {
  const config = parseModelConfig(glm4v);
  assert.throws(() => {
    (config.text.rope.mropeSection as number[])[0] = 9;
  }, TypeError);
});

const OPTIONAL = [
  "architectures",
  "tie_word_embeddings",
  "text_config.tie_word_embeddings",
  "text_config.model_type",
  "text_config.eos_token_id",
  "text_config.pad_token_id",
  "text_config.num_nextn_predict_layers",
  "text_config.partial_rotary_factor",
  "text_config.head_dim",
  "text_config.topk_group",
  "text_config.first_k_dense_replace",
  "text_config.routed_scaling_factor",
  "vision_config.model_type",
  "vision_config.in_channels",
  "vision_config.hidden_dropout_prob",
  "vision_config.initializer_range",
];

for (const [name, json] of Object.entries({ glm4v, glmOcr, glm4vMoe })) {
  test(`${name}: every missing key is named`, () => {
    const unread = name === "glmOcr" ? ["vision_config.image_size"] : [];
    const paths = Object.entries(json).flatMap(([key, value]) =>
      key.endsWith("_config") ? [key, ...Object.keys(value).map((inner) => `${key}.${inner}`)] : [key],
    );
    for (const path of paths) {
      if (OPTIONAL.includes(path) || unread.includes(path)) continue;
      const error = failure(withValue(json, path, undefined));
      assert.is(error.code, "CONFIG_INVALID", path);
      const named = path === "text_config.rope_scaling" ? "text_config.rope_parameters" : path;
      assert.ok(error.message.includes(`${named}: expected`), `${path}: ${error.message}`);
      assert.ok(error.message.includes("found nothing"), error.message);
    }
  });
}

test("scaled rotaries that glimt lacks are refused by name, and those it has by the number that is wrong", () => {
  const group = (values: object) =>
    withValue(glm4v, "text_config.rope_scaling", { ...glm4v.text_config.rope_scaling, ...values });
  for (const [values, expected] of [
    [{ rope_type: "longrope", factor: 2 }, 'found "longrope"'],
    [{ rope_type: "proportional", factor: 2 }, 'found "proportional"'],
    [{ rope_type: "toString" }, 'found "toString"'],
    [{ rope_type: "linear" }, "factor: expected"],
    [{ rope_type: "dynamic", factor: "2" }, "factor: expected"],
    [{ rope_type: "yarn", factor: 0 }, "factor: expected"],
    [{ rope_type: "yarn", factor: 2, beta_fast: -1 }, "beta_fast: expected"],
    [{ rope_type: "yarn", factor: 2, truncate: 1 }, "truncate: expected"],
    [{ rope_type: "llama3", factor: 2, low_freq_factor: 1 }, "high_freq_factor: expected"],
    [
      { rope_type: "yarn", factor: 2, original_max_position_embeddings: 0.5 },
      "original_max_position_embeddings",
    ],
  ] as const) {
    const error = failure(group(values));
    assert.is(error.code, "CONFIG_INVALID");
    assert.ok(error.message.includes(expected), error.message);
  }
});

test("a wrapper's decoder is not read from the root: transformers takes its own default there", () => {
  const { text_config, ...root } = glm4v;
  const wrapper = {
    ...root,
    ...text_config,
    model_type: "glm46v",
    architectures: ["Glm46VForConditionalGeneration"],
  };
  assert.match(failure(wrapper).message, "text_config: expected an object");
  assert.equal(parseModelConfig({ ...root, ...text_config, model_type: "glm4v" }), parseModelConfig(glm4v));
});

test("a part of a model is refused as that", () => {
  for (const [json, part] of [
    [{ model_type: "glm4v_text", architectures: ["Glm4vTextModel"] }, "the language model alone"],
    [{ model_type: "glm_ocr_vision", architectures: ["GlmOcrVisionModel"] }, "the vision tower alone"],
    [{ ...glm4vMoe, architectures: ["Glm4vMoeModel"] }, "the model without its head"],
  ] as const) {
    const error = failure(json);
    assert.is(error.code, "MODEL_UNSUPPORTED");
    assert.match(error.message, part);
    assert.match(error.message, "save the whole");
  }
});

for (const [path, value, expected] of [
  ["text_config.hidden_size", "4096", "a positive integer"],
  ["text_config.hidden_size", 0, "a positive integer"],
  ["vision_config.out_hidden_size", 2048, "text_config.hidden_size (4096)"],
  ["text_config.num_key_value_heads", 3, "a divisor of num_attention_heads"],
  ["text_config.rms_norm_eps", Number.NaN, "a positive number"],
  ["text_config.hidden_act", "gelu", '"silu"'],
  ["text_config.rope_scaling.rope_type", "yarn", '"default"'],
  ["text_config.rope_scaling.mrope_section", [8, 12], "sum to half of 64"],
  ["text_config.partial_rotary_factor", 2, "a share of head_dim"],
  ["vision_config", [], "an object"],
  ["vision_config.num_heads", 7, "a divisor of hidden_size"],
  ["vision_config.attention_bias", "no", "true or false"],
  ["vision_config.image_size", 7, "at least patch_size"],
  ["image_token_id", 151552, "an id below"],
] as const) {
  test(`${path} = ${JSON.stringify(value)} is refused`, () => {
    const error = failure(withValue(glm4v, path, value));
    assert.is(error.code, "CONFIG_INVALID");
    assert.ok(error.message.includes(expected), error.message);
  });
}

test("silu by its other name", () => {
  for (const path of ["text_config.hidden_act", "vision_config.hidden_act"]) {
    assert.equal(parseModelConfig(withValue(glm4v, path, "swish")), parseModelConfig(glm4v));
  }
});

test("counts that no model has are refused before anything is built from them", () => {
  for (const [json, path] of [
    [glm4v, "text_config.num_hidden_layers"],
    [glmOcr, "vision_config.depth"],
    [glm4vMoe, "text_config.n_routed_experts"],
  ] as const) {
    const error = failure(withValue(json, path, 1e9));
    assert.is(error.code, "CONFIG_INVALID");
    assert.match(error.message, `${path}: expected at most`);
  }
});

test("another model is refused with the list of supported ones", () => {
  for (const json of [
    { model_type: "qwen2_vl", architectures: ["Qwen2VLForConditionalGeneration"] },
    { ...glm4v, architectures: ["LlamaForCausalLM"] },
    { model_type: "chatglm", architectures: ["ChatGLMModel"] },
  ]) {
    const error = failure(json);
    assert.is(error.code, "MODEL_UNSUPPORTED");
    assert.match(error.message, "GlmOcrForConditionalGeneration (glm_ocr)");
  }
  assert.is(failure([]).code, "CONFIG_INVALID");
  assert.is(failure({}).code, "CONFIG_INVALID");
});

test.run();
