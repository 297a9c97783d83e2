/** What runs of programs have to do at the least, against figures counted by hand. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { timedModel } from "../../bench/model/configs.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";
import { addWork, operationsOf, programWork, sumWork } from "../../src/measure/work.ts";
import { compileStages, stagePrograms } from "../../src/runtime/compile-stages.ts";
import type { WeightFormat } from "../../src/tensor/storage.ts";

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

const symbols = {
  tokens: 2048,
  sequences: 1,
  blocks: 128,
  pages: 128,
  slab: 0,
  features: 0,
  logits: 1,
  adjusted: 0,
  changes: 0,
  masks: 0,
};

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
  const step = { ...symbols, tokens: 1 };
  const { bytes } = sumWork(
    programWork(decoder, { symbols: step, extents: [{ queries: 1, context: 1000 }] }),
  );
  assert.is(bytes, expected + 1000 * token);
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
  const work = programWork(decoder, { symbols, extents: [{ queries: 2048, context: 2048 }] });
  assert.is(sumWork(work).floatOperations, expected);
  assert.is(sumWork(work).integerOperations, 0);
});

test("a page of 1036 x 1036 pixels is 7.4 TFLOP in GLM-OCR's tower", () => {
  const { vision } = programs("glm-ocr");
  const extents = [{ queries: 5476, context: 5476 }];
  const total = operationsOf(
    sumWork(programWork(vision!, { symbols: { patches: 5476, frames: 1 }, extents })),
  );
  assert.ok(Math.abs(total / 1e12 - 7.4) < 0.1, `${total / 1e12} TFLOP`);
});

function builder(format: WeightFormat) {
  return createGraphBuilder({ name: "counted", activationDType: "f32", weightDType: () => format });
}

test("weights in blocks count as operations on integers or bytes, and as their bytes with the scales", () => {
  for (const [format, bytesOf32] of [
    ["q8", 34],
    ["q4", 18],
  ] as const) {
    const operations = { integerOperations: 0, byteOperations: 0 };
    operations[format === "q8" ? "byteOperations" : "integerOperations"] = 2 * 5 * 96 * 64;
    const g = builder(format);
    const y = g.linear({ x: g.input("x", [5, 64], "f32"), w: g.weight("w", [96, 64]) });
    const work = programWork(compileGraph(g.finish({ y })), { symbols: {}, extents: [] });
    assert.equal(work, [{ floatOperations: 0, ...operations, bytes: 96 * 2 * bytesOf32 }]);
  }
});

test("experts: operations of those that tokens choose, bytes of those that an even choice touches", () => {
  const [numExperts, topK, width, n] = [8, 2, 6, 20];
  const work = (tokens: number) => {
    const g = builder("bf16");
    const y = g.experts(
      {
        x: g.input("x", [tokens, n], "f32"),
        experts: g.input("experts", [tokens, topK], "i32"),
        weights: g.input("weights", [tokens, topK], "f32"),
        gateUp: g.weight("gateUp", [numExperts * 2 * width, n]),
        down: g.weight("down", [numExperts * n, width]),
      },
      { numExperts, topK, width, firstExpert: 0, totalExperts: numExperts },
    );
    return sumWork(programWork(compileGraph(g.finish({ y })), { symbols: {}, extents: [] }));
  };
  const elements = 3 * width * n;
  assert.equal(work(1), {
    floatOperations: 2 * topK * elements,
    integerOperations: 0,
    byteOperations: 0,
    bytes: 2 * topK * elements,
  });
  const three = work(3);
  assert.is(three.floatOperations, 3 * 2 * topK * elements);
  // Of eight experts, 8 (1 - (3/4)^3) are chosen by one of three tokens.
  assert.ok(Math.abs(three.bytes - 8 * (1 - 27 / 64) * 2 * elements) < 1e-6);
});

test("a table that is read by row costs the rows that are asked for, and no more than it has", () => {
  const bytes = (tokens: number) => {
    const g = builder("f32");
    const y = g.embed(
      { ids: g.input("ids", [tokens], "i32"), table: g.weight("table", [10, 3]) },
      { first: 0, total: 10 },
    );
    return sumWork(programWork(compileGraph(g.finish({ y })), { symbols: {}, extents: [] })).bytes;
  };
  assert.is(bytes(2), 2 * 12);
  assert.is(bytes(50), 10 * 12);
});

test("a prompt in two chunks sees as many keys as in one, and reads the weights of the layers twice", () => {
  const { decoder } = programs("tiny");
  const run = (queries: number, context: number) =>
    programWork(decoder, {
      symbols: { ...symbols, tokens: queries, logits: +(context === 64) },
      extents: [{ queries, context }],
    });
  const whole = sumWork(run(64, 64));
  const chunks = sumWork(addWork([run(32, 32), run(32, 64)]));
  const attention = (context: number, queries: number) => queries * context - (queries * (queries - 1)) / 2;
  assert.is(attention(32, 32) + attention(64, 32), attention(64, 64));
  assert.is(chunks.floatOperations, whole.floatOperations);
  // Behind the last attention nothing is read for a chunk that does not end the prompt.
  assert.ok(chunks.bytes > 1.4 * whole.bytes && chunks.bytes < 2 * whole.bytes);
});

test.run();
