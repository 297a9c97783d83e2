/**
 * What guessing tokens brings and costs: the demo's pictures read without guesses, with its MTP layer and by looking back, in
 * turns in one run; and of released sizes with random weights, where no guess can be right, what steps of more rows and the
 * layer take beside a step of one row.
 *
 * `npm run bench -- speculation [--threads 1] [--rounds 5] [--checkpoint DIR] [--layers 16] [--weights q8] [--context 512]`
 */
import { parseArgs } from "node:util";
import { loadModel } from "../src/index.ts";
import { textPositions } from "../src/mrope/positions.ts";
import { wasmBackend } from "../src/node-files.ts";
import { compileStages, stageWeights } from "../src/runtime/compile-stages.ts";
import { answerOf } from "../src/runtime/decoder.ts";
import { Sequence } from "../src/runtime/kv-pool.ts";
import { openStages } from "../src/runtime/open-stages.ts";
import { GREEDY } from "../src/runtime/sampling-rows.ts";
import { holdsColumns, type WeightFormat } from "../src/tensor/storage.ts";
import { blockWeights } from "./model/block-weights.ts";
import { timedModel } from "./model/configs.ts";

const { values: flags } = parseArgs({
  options: {
    threads: { type: "string", default: "1" },
    rounds: { type: "string", default: "5" },
    checkpoint: { type: "string", default: "examples/demo/checkpoint" },
    layers: { type: "string", default: "16" },
    weights: { type: "string", default: "q8" },
    context: { type: "string", default: "512" },
  },
});

const PICTURES = ["hello", "lines", "numbers", "receipt"];
const WAYS = ["off", "mtp", "lookup"] as const;

interface Sum {
  milliseconds: number;
  tokens: number;
  drafted: number;
  accepted: number;
}

const model = await loadModel(flags.checkpoint, { threads: Number(flags.threads) });
const sums = new Map(WAYS.map((way) => [way, { milliseconds: 0, tokens: 0, drafted: 0, accepted: 0 }]));
const said = new Map<string, string>();
for (let round = 0; round <= Number(flags.rounds); round++) {
  for (const way of WAYS) {
    const before = model.stats().drafts;
    for (const picture of PICTURES) {
      const image = `examples/demo/pictures/${picture}.png`;
      const content = [
        { type: "image" as const, image },
        { type: "text" as const, text: "Text Recognition:" },
      ];
      const result = await model.complete([{ role: "user", content }], { speculation: way, maxTokens: 96 });
      if ((said.get(picture) ?? result.text) !== result.text)
        throw new Error(`${way} reads ${picture} otherwise.`);
      said.set(picture, result.text);
      // The first round warms up.
      if (round === 0) continue;
      const sum = sums.get(way) as Sum;
      sum.milliseconds += result.timings.decode;
      sum.tokens += result.tokenIds.length - 1;
    }
    if (round === 0) continue;
    const after = model.stats().drafts;
    const sum = sums.get(way) as Sum;
    sum.drafted += after.drafted - before.drafted;
    sum.accepted += after.accepted - before.accepted;
  }
}
await model.dispose();
const off = sums.get("off") as Sum;
console.log(
  `${flags.checkpoint}: ${PICTURES.length} pictures, ${flags.rounds} rounds, ${flags.threads} thread(s)`,
);
for (const [way, { milliseconds, tokens, drafted, accepted }] of sums) {
  const speed = (1000 * tokens) / milliseconds;
  const ratio = speed / ((1000 * off.tokens) / off.milliseconds);
  const share =
    drafted > 0 ? `${((100 * accepted) / drafted).toFixed(0)} % of ${drafted} drafts accepted` : "no drafts";
  const steps = tokens - accepted;
  console.log(
    `  ${way.padEnd(7)} ${speed.toFixed(0)} tokens/s, ${ratio.toFixed(2)} x off; ${share}, ${(tokens / steps).toFixed(2)} tokens a step`,
  );
}

const context = Number(flags.context);
const format = flags.weights as WeightFormat;
const { config } = timedModel("glm-ocr", Number(flags.layers), 1);
const compiled = compileStages(wasmBackend, config, {
  weightDType: (_, cols) => (holdsColumns(format, cols) ? format : "f32"),
  mtp: { ownEmbedding: false, ownNorm: true, ownHead: false },
});
const stages = await openStages(wasmBackend, compiled, stageWeights(compiled).map(blockWeights()), {
  engine: { threads: Number(flags.threads) },
});
const sequence = new Sequence(stages.pool);
sequence.reserve(context + 16);

/** A step of one token and guesses, which are what is chosen: all are accepted, and the layer reads them all. */
async function step(ids: readonly number[], drafts: number): Promise<readonly number[]> {
  sequence.length = context;
  const rows = ids.map(() => GREEDY);
  const drafting = { most: drafts, sampling: Array.from({ length: ids.length + drafts }, () => GREEDY) };
  const positionIds = textPositions(context, ids.length, 0);
  const slice = { sequence, inputIds: ids, positionIds, sampling: rows, ...(drafts > 0 && { drafting }) };
  return answerOf((await stages.decoder.forward([slice]))[0]).tokens;
}

const prompt = Array.from({ length: context }, (_, index) => (index * 31 + 7) % 40);
await stages.decoder.forward([{ sequence, inputIds: prompt, positionIds: textPositions(0, context, 0) }]);
const right = [1];
while (right.length < 9) right.push((await step(right, 0)).at(-1) as number);
const kinds = [
  [0, false],
  [1, true],
  [2, true],
  [3, true],
  [1, false],
  [3, false],
  [8, false],
] as const;
const times = kinds.map((): number[] => []);
for (let round = 0; round <= Number(flags.rounds); round++) {
  for (const [index, [drafts, byLayer]] of kinds.entries()) {
    const begin = performance.now();
    await step(right.slice(0, 1 + drafts), byLayer ? drafts : 0);
    if (round > 0) times[index]?.push(performance.now() - begin);
  }
}
const medians = times.map((values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] as number);
const [alone] = medians as [number];
console.log(
  `GLM-OCR, ${flags.layers} layers, ${format}, ${context} tokens behind: a step of one token ${alone.toFixed(1)} ms`,
);
for (const [index, [drafts, byLayer]] of kinds.entries()) {
  if (drafts === 0) continue;
  const cost = (medians[index] as number) / alone;
  const gain = (share: number) => (1 - share ** (drafts + 1)) / (1 - share) / cost;
  const gains = [0.5, 0.7, 0.8, 0.9].map((share) => `${share}: ${gain(share).toFixed(2)} x`).join(", ");
  console.log(
    `  ${drafts} drafts ${byLayer ? "of the layer" : "that cost nothing"}: ${cost.toFixed(2)} steps; with a share accepted of ${gains}`,
  );
}
stages.engine.dispose();
