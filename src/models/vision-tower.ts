/**
 * The vision tower of the whole family: patches -> blocks -> 2x2 downsample -> merger. Patches come in merge-block
 * order, so that four consecutive rows make one language token. What differs between families is in the config.
 *
 * Inputs: pixelValues [patches, C*T*P*P], cos and sin [patches, headDim/2], cuSeqlens [frames+1], and, when there is
 * a position table, positionCoords [patches, 2]. Output: embeddings [patches / merge², outHiddenSize].
 */
import type { VisionConfig } from "../config/types.ts";
import { createGraphBuilder, type GraphBuilder, type GraphOptions } from "../graph/builder.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { offsetDim } from "../tensor/dims.ts";
import { columns, gatedMlp, linear, rmsNorm } from "./layers.ts";

const ROOT = "model.visual";
/** torch.nn.LayerNorm's default, which the merger uses. */
const MERGER_NORM_EPS = 1e-5;

interface VisionInputs {
  readonly cos: Value;
  readonly sin: Value;
  readonly cuSeqlens: Value;
}

export function buildVisionTower(config: VisionConfig, options: Omit<GraphOptions, "name">): Graph {
  const g = createGraphBuilder({ ...options, name: "vision" });
  const patches = g.symbol("patches");
  const { patchSize, temporalPatchSize, inChannels, headDim } = config;
  const patchElements = inChannels * temporalPatchSize * patchSize ** 2;
  const pixelValues = g.input("pixelValues", [patches, patchElements], options.activationDType);
  const inputs: VisionInputs = {
    cos: g.input("cos", [patches, headDim / 2], "f32"),
    sin: g.input("sin", [patches, headDim / 2], "f32"),
    cuSeqlens: g.input("cuSeqlens", [offsetDim(g.symbol("frames"), 1)], "i32"),
  };

  let x = g.scope("patch_embed", () => patchEmbedding(g, pixelValues, config));
  for (let layer = 0; layer < config.depth; layer++) {
    x = g.scope(`blocks.${layer}`, () => block(g, x, `${ROOT}.blocks.${layer}`, inputs, config));
  }
  const embeddings = g.scope("merger", () => {
    const normed = rmsNorm(g, x, `${ROOT}.post_layernorm`, config.rmsNormEps);
    return merger(g, downsample(g, normed, config), config);
  });
  return g.finish({ embeddings });
}

function patchEmbedding(g: GraphBuilder, pixelValues: Value, config: VisionConfig): Value {
  const { hiddenSize, inChannels, temporalPatchSize, patchSize, positionTableSide } = config;
  const path = `${ROOT}.patch_embed.proj`;
  const tensorShape = [hiddenSize, inChannels, temporalPatchSize, patchSize, patchSize];
  const w = g.weight(`${path}.weight`, [hiddenSize, columns(pixelValues)], { tensorShape });
  let x = g.add_bias({ x: g.linear({ x: pixelValues, w }), bias: g.weight(`${path}.bias`, [hiddenSize]) });
  if (config.postConvNorm) x = rmsNorm(g, x, `${ROOT}.post_conv_layernorm`, config.rmsNormEps);
  if (positionTableSide === null) return x;
  const side = positionTableSide;
  const coords = g.input("positionCoords", [pixelValues.shape[0]!, 2], "f32");
  const table = g.weight(`${ROOT}.embeddings.position_embedding.weight`, [side * side, hiddenSize]);
  return g.add({ a: x, b: g.position_embed_bicubic({ table, coords }, { side }) });
}

function block(g: GraphBuilder, x: Value, path: string, inputs: VisionInputs, config: VisionConfig): Value {
  const middle = g.scope("attention", () => {
    const normed = rmsNorm(g, x, `${path}.norm1`, config.rmsNormEps);
    return g.add({ a: x, b: attention(g, normed, `${path}.attn`, inputs, config) });
  });
  return g.scope("mlp", () => {
    const normed = rmsNorm(g, middle, `${path}.norm2`, config.rmsNormEps);
    const mixed = gatedMlp(g, normed, `${path}.mlp`, config.blockIntermediateSize, config.mlpBias);
    return g.add({ a: middle, b: mixed });
  });
}

function attention(
  g: GraphBuilder,
  x: Value,
  path: string,
  inputs: VisionInputs,
  config: VisionConfig,
): Value {
  const { hiddenSize, numHeads, headDim, attentionBias, attentionOutputBias, qkNorm, rmsNormEps } = config;
  const { cos, sin, cuSeqlens } = inputs;
  const qkv = linear(g, x, `${path}.qkv`, 3 * hiddenSize, attentionBias);
  const part = (index: number) => g.slice({ x: qkv }, { start: index * hiddenSize, length: hiddenSize });
  const rotated = (part: Value, norm: string) => {
    const normed = qkNorm ? rmsNorm(g, part, `${path}.${norm}`, rmsNormEps, headDim) : part;
    return g.rope({ x: normed, cos, sin }, { numHeads, headDim, rotaryDim: headDim, pairs: "half" });
  };
  const q = rotated(part(0), "q_norm");
  const k = rotated(part(1), "k_norm");
  const y = g.attention_varlen(
    { q, k, v: part(2), cuSeqlens },
    { numHeads, headDim, scale: headDim ** -0.5 },
  );
  return linear(g, y, `${path}.proj`, hiddenSize, attentionOutputBias);
}

/** A stride-2 2x2 convolution over each merge block: a linear on its four joined rows. */
function downsample(
  g: GraphBuilder,
  x: Value,
  { hiddenSize, outHiddenSize, spatialMergeSize }: VisionConfig,
): Value {
  const factor = spatialMergeSize ** 2;
  const path = `${ROOT}.downsample`;
  const w = g.weight(`${path}.weight`, [outHiddenSize, factor * hiddenSize], {
    layout: "conv2x2",
    tensorShape: [outHiddenSize, hiddenSize, spatialMergeSize, spatialMergeSize],
  });
  const y = g.linear({ x: g.merge_rows({ x }, { factor }), w });
  return g.add_bias({ x: y, bias: g.weight(`${path}.bias`, [outHiddenSize]) });
}

function merger(g: GraphBuilder, x: Value, { outHiddenSize, mergerIntermediateSize }: VisionConfig): Value {
  const path = `${ROOT}.merger`;
  const projected = linear(g, x, `${path}.proj`, outHiddenSize, false);
  const normed = g.layer_norm(
    {
      x: projected,
      w: g.weight(`${path}.post_projection_norm.weight`, [outHiddenSize]),
      b: g.weight(`${path}.post_projection_norm.bias`, [outHiddenSize]),
    },
    { eps: MERGER_NORM_EPS },
  );
  return gatedMlp(g, g.gelu({ x: normed }), path, mergerIntermediateSize, false);
}
