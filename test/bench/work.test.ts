/** What the whole-model benchmark reckons speeds with. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { blockWeights } from "../../bench/model/block-weights.ts";
import { timedModel } from "../../bench/model/configs.ts";
import { bytesRead, cacheBytesPerToken, operations } from "../../bench/model/work.ts";
import type { WeightSpec } from "../../src/graph/weight-spec.ts";
import { compileStages, stagePrograms } from "../../src/runtime/compile-stages.ts";

function programs(name: string) {
  const { config } = timedModel(name);
  const bf16 = {
    activationDType: "bf16",
    supports: () => ({ ok: true as const }),
    weightLayout: () => "plain" as const,
  } as const;
  return {
    config,
    ...stagePrograms(compileStages(bf16, config, { weightDType: () => "bf16" })),
  };
}

const symbols = { tokens: 2048, sequences: 1, blocks: 128, pages: 128, slab: 0, features: 0, logits: 1 };

test("decoding reads every weight once, a row of the embedding table, and the caches", () => {
  const { config, decoder } = programs("glm-4.1v");
  const { hiddenSize, intermediateSize, numHiddenLayers, vocabSize, headDim } = config.text;
  const heads = config.text.numAttentionHeads + 2 * config.text.numKeyValueHeads;
  const matrices =
    hiddenSize * (heads * headDim + config.text.numAttentionHeads * headDim + 3 * intermediateSize);
  const vectors = 4 * hiddenSize + heads * headDim;
  const head = hiddenSize * vocabSize;
  const expected =
    2 * (numHiddenLayers * matrices + head + hiddenSize) + 4 * (numHiddenLayers * vectors + hiddenSize);
  const token = numHiddenLayers * 2 * config.text.numKeyValueHeads * headDim * 2;
  assert.is(cacheBytesPerToken(decoder), token);
  assert.is(bytesRead(decoder, 1, [{ queries: 1, context: 1000 }]), expected + 1000 * token);
});

test("operations of a prompt: two for each weight and token, and causal attention; behind the last attention for one", () => {
  const { config, decoder } = programs("glm-ocr");
  const { hiddenSize, intermediateSize, numHiddenLayers, vocabSize, headDim, numAttentionHeads } =
    config.text;
  const projections =
    hiddenSize * headDim * (numAttentionHeads + 2 * config.text.numKeyValueHeads) * numHiddenLayers;
  const behind = hiddenSize * (numAttentionHeads * headDim + 3 * intermediateSize);
  const pairs = (2048 * 2049) / 2;
  const attention = numHiddenLayers * 4 * pairs * numAttentionHeads * headDim;
  const all = projections + behind * (numHiddenLayers - 1);
  const expected = 2 * 2048 * all + 2 * (behind + hiddenSize * vocabSize) + attention;
  assert.is(operations(decoder, symbols, [{ queries: 2048, context: 2048 }]), expected);
});

test("a page of 1036 x 1036 pixels is 7.4 TFLOP in GLM-OCR's tower", () => {
  const { vision } = programs("glm-ocr");
  const page = { queries: 5476, context: 5476 };
  const total = operations(vision, { patches: 5476, frames: 1 }, [page]);
  assert.ok(Math.abs(total / 1e12 - 7.4) < 0.1, `${total / 1e12} TFLOP`);
});

test("block weights: the same rows however they are read, of the asked spread, different by name", async () => {
  const rows = blockWeights();
  const spec = (name: string, shape: number[]): WeightSpec => ({ name, shape, dtype: "f32", sources: [] });
  const read = async (name: string, pieces: readonly number[]) => {
    const source = rows(spec(name, [3000, 400]));
    const all = new Uint8Array(3000 * 400 * 4);
    let first = 0;
    for (const count of pieces) {
      await source.readRows(first, count, all.subarray(first * 1600, (first + count) * 1600));
      first += count;
    }
    return new Float32Array(all.buffer);
  };
  const whole = await read("a", [3000]);
  assert.equal(await read("a", [1, 999, 2000]), whole);
  assert.not.equal(await read("b", [3000]), whole);
  const squares = whole.reduce((sum, value) => sum + value * value, 0);
  assert.ok(Math.abs((squares / whole.length) * 400 - 1) < 0.02);
});

test.run();
