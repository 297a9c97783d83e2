/** A family that does not exist, made of one definition and one row: its config parses and its model runs. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import type { FamilyDefinition } from "../../src/config/families/family.ts";
import { FAMILIES } from "../../src/config/families/registry.ts";
import { parseModelConfig } from "../../src/config/model-config.ts";
import { runModelConformance } from "../../src/conformance/models.ts";
import type { GlimtError } from "../../src/errors.ts";

/** Half-split pairs with sandwich norms, and a tower with a position table and normed queries: no real family has both. */
const imagined: FamilyDefinition = {
  name: "glm9v",
  spellings: [
    { architecture: "Glm9vForConditionalGeneration", modelType: "glm9v" },
    { architecture: "Glm46VForConditionalGeneration", modelType: "glm46v", decoders: ["glm9v_text"] },
  ],
  traits: {
    ropePairs: "half",
    sandwichNorms: true,
    textAttentionBias: "config",
    partialRotaryFactor: 0.5,
    mixtureOfExperts: false,
    vision: {
      blockWidth: "intermediate_size",
      mergerWidth: "intermediate_size",
      biasEverywhere: true,
      qkNorm: true,
      postConvNorm: true,
      positionTable: true,
    },
  },
};
const families = [...FAMILIES, imagined];

const json = {
  architectures: ["Glm9vForConditionalGeneration"],
  model_type: "glm9v",
  image_token_id: 40,
  image_start_token_id: 41,
  image_end_token_id: 42,
  video_token_id: 43,
  video_start_token_id: 44,
  video_end_token_id: 45,
  text_config: {
    model_type: "glm9v_text",
    vocab_size: 50,
    hidden_size: 24,
    intermediate_size: 40,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    hidden_act: "silu",
    attention_bias: true,
    max_position_embeddings: 128,
    rms_norm_eps: 1e-5,
    head_dim: 16,
    rope_parameters: { rope_type: "default", rope_theta: 1e4, mrope_section: [2, 1, 1] },
  },
  vision_config: {
    depth: 2,
    hidden_size: 32,
    num_heads: 4,
    in_channels: 3,
    image_size: 56,
    patch_size: 14,
    temporal_patch_size: 2,
    spatial_merge_size: 2,
    out_hidden_size: 24,
    intermediate_size: 40,
    hidden_act: "silu",
    attention_bias: true,
    rms_norm_eps: 1e-5,
  },
};

test("its config parses by its row, and by a spelling that it shares with others", () => {
  const config = parseModelConfig(json, families);
  assert.is(config.family, "glm9v");
  assert.equal(config.text.rope, { theta: 1e4, rotaryDim: 8, mropeSection: [2, 1, 1], pairs: "half" });
  assert.ok(config.text.sandwichNorms && config.text.attentionBias);
  assert.ok(config.vision.qkNorm && config.vision.mlpBias && config.vision.positionTableSide === 4);
  const wrapped = { ...json, model_type: "glm46v", architectures: ["Glm46VForConditionalGeneration"] };
  assert.equal(parseModelConfig(wrapped, families), {
    ...config,
    architecture: "Glm46VForConditionalGeneration",
  });
});

test("without its row it is refused, with the names of those that are there", () => {
  assert.throws(
    () => parseModelConfig(json),
    (error: GlimtError) =>
      error.code === "MODEL_UNSUPPORTED" &&
      error.message.includes('model_type "glm9v"') &&
      error.message.includes("GlmOcrForConditionalGeneration (glm_ocr)"),
  );
});

test("its model runs: pictures, text and decoding, wasm as the reference", async () => {
  const configs = { glm9v: parseModelConfig(json, families) };
  const [result] = await runModelConformance(wasmBackend, { configs });
  assert.ok(result?.ok, result?.failure);
  assert.is(result?.greedyAgreement, result?.steps);
});

test("no two rows claim the same spelling", () => {
  const claims = FAMILIES.flatMap(({ spellings }) =>
    spellings.flatMap(({ modelType, decoders = ["any"] }) =>
      decoders.map((decoder) => `${modelType}/${decoder}`),
    ),
  );
  assert.is(new Set(claims).size, claims.length);
  assert.is(new Set(FAMILIES.map(({ name }) => name)).size, FAMILIES.length);
});

test.run();
