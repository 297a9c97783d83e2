/** What a partition does with weights, adapters, blocks and heads, and what it refuses. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { type CompileOptions, compileGraph, DEFAULT_PASSES } from "../../src/compiler/compile.ts";
import type { Partition } from "../../src/compiler/partition/partition.ts";
import { balancedCuts, nodeStages } from "../../src/compiler/partition/pipeline-stages.ts";
import { applyAdapters } from "../../src/compiler/passes/apply-adapters.ts";
import type { ModelConfig } from "../../src/config/types.ts";
import {
  BLOCK_MODEL_CONFIGS,
  denseConfig,
  moeConfig,
  ocrConfig,
} from "../../src/conformance/model-configs.ts";
import { createGraphBuilder, type GraphBuilder } from "../../src/graph/builder.ts";
import type { Graph, Value } from "../../src/graph/graph.ts";
import type { OpName } from "../../src/graph/ops.ts";
import { type IndexRange, sourceRectangle } from "../../src/graph/weight-spec.ts";
import { buildDecoder, type DecoderOptions } from "../../src/models/decoder.ts";
import { buildDraftingDecoder } from "../../src/models/mtp.ts";
import { buildVisionTower } from "../../src/models/vision-tower.ts";
import { communicationOf } from "../../src/program/communication.ts";
import { verifyRanks } from "../../src/program/verify-ranks.ts";
import { holdsColumns, type WeightFormat } from "../../src/tensor/storage.ts";
import { fullAdapter } from "./full-adapter.ts";
import { LockstepRank, runLockstep } from "./lockstep.ts";
import { compareResults, type Results, runsOf } from "./rank-runs.ts";
import { tensorRows } from "./tensor-rows.ts";

const OPTIONS: DecoderOptions = { activationDType: "f32", weightDType: () => "f32", pageSize: 16 };

const CONFIGS: Readonly<Record<string, ModelConfig>> = Object.fromEntries(
  Object.entries({ glm4v: denseConfig, glm_ocr: ocrConfig, glm4v_moe: moeConfig }).map(([name, config]) => [
    name,
    { ...config, text: { ...config.text, vocabSize: 64 } },
  ]),
);

function withText(config: ModelConfig, text: Partial<ModelConfig["text"]>): ModelConfig {
  return { ...config, text: { ...config.text, ...text } };
}

/** Weights in the format where their columns are whole blocks. */
function inFormat(format: WeightFormat): DecoderOptions {
  return { ...OPTIONS, weightDType: (_, cols) => (holdsColumns(format, cols) ? format : "f32") };
}

/** The ranks together compute what the whole program does. */
async function checkRanks(
  graph: Graph,
  partition: Partition,
  options: CompileOptions = {},
): Promise<ReturnType<typeof compileGraph>> {
  const supports: CompileOptions["supports"] = (query) => referenceBackend.supports(query).ok;
  const program = compileGraph(graph, { supports, ...options, partition });
  const open = async (programs: readonly (typeof program)[]) => {
    const ranks = programs.map((one) => new LockstepRank(one));
    for (const rank of ranks) await rank.load(tensorRows);
    return ranks;
  };
  const [whole, parts] = [await open([program]), await open(program.ranks ?? [])];
  for (const { symbols, inputs } of runsOf(program)) {
    const [expected] = runLockstep(whole, 1, symbols, inputs);
    const found = runLockstep(parts, partition.tensor, symbols, inputs).filter(({ size }) => size > 0);
    assert.is(found.length, partition.tensor);
    for (const results of found) compareResults(results, expected as Results, partition.tensor === 1);
  }
  return program;
}

for (const [name, config] of Object.entries(CONFIGS)) {
  test(`${name}: adapters on every linear, and nothing more is said for them`, async () => {
    const graph = buildDecoder(config, OPTIONS);
    const passes = [applyAdapters([fullAdapter(graph, "one", 3)]), ...DEFAULT_PASSES];
    for (const partition of [
      { tensor: 2, cuts: [] },
      { tensor: 2, cuts: [1] },
    ]) {
      const adapted = await checkRanks(graph, partition, { passes });
      const plain = compileGraph(graph, { partition });
      const symbols = runsOf(plain)[0]?.symbols ?? {};
      const said = ({ ranks = [] }: typeof plain) => ranks.map((rank) => communicationOf(rank, symbols));
      assert.equal(said(adapted), said(plain));
    }
    const tower = buildVisionTower(config.vision, OPTIONS);
    const onTower = [applyAdapters([fullAdapter(tower, "one", 3)]), ...DEFAULT_PASSES];
    await checkRanks(tower, { tensor: 2, cuts: [] }, { passes: onTower });
  });

  test(`${name}: the layer that drafts is split like the others`, async () => {
    const mtp = { ownEmbedding: false, ownNorm: true, ownHead: false };
    await checkRanks(buildDraftingDecoder(config, { ...OPTIONS, mtp }), { tensor: 2, cuts: [] });
  });
}

for (const [format, block] of [
  ["q8", 32],
  ["q4", 32],
  ["fp8", 128],
] as const) {
  test(`${format}: columns are cut at blocks, into unequal parts where equal ones would be none`, async () => {
    for (const [name, config] of Object.entries(CONFIGS)) {
      const wide = withText(config, {
        hiddenSize: 2 * block,
        headDim: block / 2,
        intermediateSize: 3 * block,
        moe: config.text.moe && { ...config.text.moe, moeIntermediateSize: 3 * block },
      });
      const program = await checkRanks(buildDecoder(wide, inFormat(format)), { tensor: 2, cuts: [] });
      const widths = (program.ranks ?? []).map(({ weights }) =>
        weights.flatMap(({ name, dtype, shape }) =>
          name.includes("layers.0.mlp.down_proj") ? [[dtype, shape[1]]] : [],
        ),
      );
      assert.equal(widths, [[[format, block]], [[format, 2 * block]]], name);
    }
  });
}

test("key and value heads that are fewer than ranks are on several of them", async () => {
  const config = withText(CONFIGS.glm4v as ModelConfig, { numAttentionHeads: 8, numKeyValueHeads: 2 });
  const { ranks = [] } = await checkRanks(buildDecoder(config, OPTIONS), { tensor: 4, cuts: [] });
  const heads = ranks.map(({ weights }) =>
    weights.flatMap(({ name, sources }) =>
      name.includes("layers.0.self_attn.q_proj.weight")
        ? sources.filter(({ tensor }) => tensor.includes("k_proj")).map(({ rows }) => rows?.first)
        : [],
    ),
  );
  assert.equal(heads, [[0], [0], [8], [8]]);
});

test("every element of every tensor is on a rank, and on no more than hold the same", () => {
  for (const config of Object.values(CONFIGS)) {
    for (const [tensor, cuts] of [
      [2, []],
      [2, [1]],
      [1, [1]],
      [4, []],
    ] as const) {
      const graph = buildDecoder(config, OPTIONS);
      const { weights, ranks = [] } = compileGraph(graph, { partition: { tensor, cuts } });
      const tensors = new Map(
        weights.flatMap(({ sources }) => sources.map((source) => [source.tensor, source])),
      );
      for (const [name, source] of tensors) {
        const { rows, tensorCols } = sourceRectangle({ shape: source.shape });
        const counts = new Uint8Array(rows.count * tensorCols);
        const rectangles = ranks.map((rank) =>
          rank.weights.flatMap(({ sources }) => sources.filter((one) => one.tensor === name)),
        );
        for (const held of rectangles) {
          const own = new Uint8Array(counts.length);
          for (const one of held) mark(own, sourceRectangle(one), tensorCols);
          own.forEach((count, at) => {
            assert.ok(count <= 1, `${name} twice on a rank`);
            counts[at] = (counts[at] as number) + count;
          });
        }
        const [most, least] = [Math.max(...counts), Math.min(...counts)];
        // A tied table is on both ends of the pipeline.
        const copies = ranks.length / tensor;
        assert.ok(least >= 1 && most === least, `${name}: ${least} to ${most}`);
        const isSplit =
          /(q|k|v|o|gate|up|gate_up|down)_proj|embed_tokens|lm_head|experts\.gate_up|experts\.down/.test(
            name,
          );
        if (isSplit && !/[kv]_proj/.test(name)) assert.ok(most <= copies, `${name} is on ${most} ranks`);
      }
    }
  }
});

function mark(
  counts: Uint8Array,
  { rows, cols }: { readonly rows: IndexRange; readonly cols: IndexRange },
  width: number,
): void {
  for (let row = rows.first; row < rows.first + rows.count; row++) {
    for (let at = row * width + cols.first; at < row * width + cols.first + cols.count; at++) {
      counts[at] = (counts[at] as number) + 1;
    }
  }
}

const REFUSED: readonly [
  name: string,
  config: ModelConfig,
  partition: Partition,
  message: RegExp,
  options?: DecoderOptions,
][] = [
  ["heads", denseConfig, { tensor: 3, cuts: [] }, /numHeads 4 \(attention_paged\) is not a multiple of 3/],
  [
    "the vocabulary",
    denseConfig,
    { tensor: 4, cuts: [] },
    /embed_tokens\.weight has 50 rows, not a multiple of 4/,
  ],
  [
    "key and value heads",
    withText(denseConfig, { numAttentionHeads: 12, numKeyValueHeads: 3 }),
    { tensor: 2, cuts: [] },
    /numKvHeads 3 \(attention_paged\) is not a multiple of 2/,
  ],
  [
    "experts",
    withText(moeConfig, {
      vocabSize: 64,
      numAttentionHeads: 8,
      numKeyValueHeads: 8,
      intermediateSize: 48,
      moe: { ...(moeConfig.text.moe as NonNullable<ModelConfig["text"]["moe"]>), numExperts: 4 },
    }),
    { tensor: 8, cuts: [] },
    /numExperts 4 \(experts\) is not a multiple of 8.*shared_experts\..*12 rows, not a multiple of 8/,
  ],
  [
    "blocks of a layer that has fewer than ranks",
    withText(BLOCK_MODEL_CONFIGS.glm4v_moe as ModelConfig, { vocabSize: 64 }),
    { tensor: 2, cuts: [] },
    /shared_experts\.gate_proj\.weight has 32 rows, which are fewer than 2 blocks of 32/,
    inFormat("q8"),
  ],
  [
    "blocks of heads",
    withText(BLOCK_MODEL_CONFIGS.glm4v as ModelConfig, { vocabSize: 64 }),
    { tensor: 4, cuts: [] },
    /layers\.N\.self_attn\.o_proj\.weight has 64 columns, of which a rank's 16 are no whole blocks of 32 \(q8\)/,
    inFormat("q8"),
  ],
  [
    "more stages than layers",
    denseConfig,
    { tensor: 1, cuts: [1, 2] },
    /2 decoder layers can not be cut before layers 1, 2/,
  ],
  ["cuts in no order", denseConfig, { tensor: 1, cuts: [0] }, /can not be cut before layers 0/],
];

for (const [name, config, partition, message, options = OPTIONS] of REFUSED) {
  test(`refused with the numbers: ${name}`, () => {
    try {
      compileGraph(buildDecoder(config, options), { partition });
    } catch (error) {
      assert.is((error as { code?: string }).code, "OPTION_INVALID");
      assert.match(String(error), message);
      // A complaint stands once for all layers.
      const complaints = String(error).split(/: |; /).slice(1);
      assert.is(new Set(complaints).size, complaints.length);
      return;
    }
    assert.unreachable("it was accepted");
  });
}

test("a layer says two sums to its ranks, the table one, and logits are gathered", () => {
  for (const config of Object.values(CONFIGS)) {
    const { ranks = [] } = compileGraph(buildDecoder(config, OPTIONS), {
      partition: { tensor: 2, cuts: [1] },
    });
    const { hiddenSize, vocabSize } = config.text;
    const symbols = { ...runsOf(ranks[0] as (typeof ranks)[0])[0]?.symbols, tokens: 20, logits: 3 };
    const sum = (operations: number, rows: number) => ({
      op: "all_reduce",
      operations,
      bytes: rows * hiddenSize * 4,
    });
    const send = { op: "send", operations: 1, bytes: 20 * hiddenSize * 4 };
    const receive = { op: "receive", operations: 1, bytes: 0 };
    const gather = { op: "all_gather", operations: 1, bytes: 3 * (vocabSize / 2) * 4 };
    // Behind the last attention only the rows that are asked for are summed.
    const [first, , last] = ranks.map((rank) => communicationOf(rank, symbols));
    assert.equal(first, [sum(3, 60), send]);
    assert.equal(last, [receive, sum(2, 20 + 3 - 20 + 3), gather]);
  }
});

test("what one rank waits for and none gives is found", () => {
  const { ranks = [] } = compileGraph(buildDecoder(CONFIGS.glm4v as ModelConfig, OPTIONS), {
    partition: { tensor: 2, cuts: [1] },
  });
  const without = (rank: number, op: OpName) =>
    ranks.map((program, index) => {
      if (index !== rank) return program;
      const left = program.instructions.findIndex((instruction) => instruction.op === op);
      return { ...program, instructions: program.instructions.filter((_, at) => at !== left) };
    });
  verifyRanks(ranks, 2);
  assert.throws(
    () => verifyRanks(without(1, "all_reduce"), 2),
    /decoder: rank 0 waits at all_reduce.*, rank 1 at/,
  );
  assert.throws(
    () => verifyRanks(without(0, "send"), 2),
    /rank 2 waits at a transfer of \[tokens, 24\].*rank 0 at its end/,
  );
  assert.throws(() => verifyRanks(without(3, "receive"), 2), /rank 1 waits at a transfer/);
  assert.throws(
    () => verifyRanks(without(2, "all_gather"), 2),
    /rank 3 waits at all_gather\(2, 1\) of \[logits, 32\]/,
  );
});

function graphOf(build: (g: GraphBuilder) => Record<string, Value>): Graph {
  const g = createGraphBuilder({ ...OPTIONS, name: "sample" });
  return g.finish(build(g));
}

test("sums of which a rank reads columns alone are scattered; of what is whole it takes its own", async () => {
  const graph = graphOf((g) => {
    const tokens = g.symbol("tokens");
    const ids = g.input("ids", [tokens], "i32");
    const embedded = g.embed({ ids, table: g.weight("t", [40, 8]) }, { first: 0, total: 40 });
    const up = g.input("up", [tokens, 8], "f32");
    const gate = g.linear({ x: up, w: g.weight("g", [8, 8]) });
    const both = g.add({ a: g.gelu({ x: embedded }), b: g.swiglu({ gate, up }) });
    return { y: g.linear({ x: both, w: g.weight("w", [6, 8]) }) };
  });
  const { ranks = [] } = await checkRanks(graph, { tensor: 2, cuts: [] });
  const said = communicationOf(ranks[0] as (typeof ranks)[0], { tokens: 5 });
  assert.equal(said, [
    { op: "reduce_scatter", operations: 1, bytes: 5 * 8 * 4 },
    { op: "all_reduce", operations: 1, bytes: 5 * 6 * 4 },
  ]);
});

test("stages have about the same bytes of weights, with the table and the head", () => {
  const config = withText(denseConfig, { numHiddenLayers: 6, vocabSize: 50 });
  const cutsOf = (vocabSize: number, stages: number) =>
    balancedCuts(buildDecoder(withText(config, { vocabSize }), OPTIONS), stages);
  assert.equal(cutsOf(8, 2), [3]);
  assert.equal(cutsOf(8, 3), [2, 4]);
  assert.equal(cutsOf(8, 6), [1, 2, 3, 4, 5]);
  // A table and a head that are larger than all layers are alone with one each.
  assert.equal(cutsOf(4000, 3), [1, 5]);
  assert.throws(() => cutsOf(8, 7), /6 decoder layers can not be cut into 7 stages/);
  // With as much beside the first layers as all of them have, the first stage has few of them.
  const bare = buildDecoder(withText(config, { vocabSize: 8 }), OPTIONS);
  assert.equal(balancedCuts(bare, 2, 1e9), [1]);
  const graph = buildDecoder(config, OPTIONS);
  const stages = [...nodeStages(graph, [2, 4]).values()];
  assert.equal(stages, stages.toSorted());
  assert.is(stages.at(-1), 2);
});

test.run();
