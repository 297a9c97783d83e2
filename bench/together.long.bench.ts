/**
 * Requests that share steps beside the same in turns: `npm run bench -- together [--checkpoint DIR] [--dtype q8]
 * [--requests 16] [--tokens 100]`, by default the demo. Decoding alone, from the first token of the last request to the
 * end of the first: new tokens of all a second, the median of several rounds, in which both take turns. Texts are compared.
 */
import { parseArgs } from "node:util";
import { type LoadOptions, loadModel, type Model } from "../src/index.ts";
import { row } from "./kernels.ts";

const { values: flags } = parseArgs({
  options: {
    checkpoint: { type: "string", default: "examples/demo/checkpoint" },
    dtype: { type: "string" },
    threads: { type: "string" },
    requests: { type: "string", default: "16" },
    tokens: { type: "string", default: "100" },
    rounds: { type: "string", default: "5" },
  },
});
const [requests, tokens, rounds] = [flags.requests, flags.tokens, flags.rounds].map(Number) as [
  number,
  number,
  number,
];
const options = {
  backend: "wasm",
  dtype: flags.dtype as LoadOptions["dtype"],
  threads: flags.threads === undefined ? undefined : Number(flags.threads),
} as const;

const models: Record<string, Model> = {
  together: await loadModel(flags.checkpoint, { ...options, maxSequences: requests }),
  "in turns": await loadModel(flags.checkpoint, { ...options, maxSequences: 1 }),
};
const speeds = new Map<string, number[]>(Object.keys(models).map((name) => [name, []]));
const texts = new Set<string>();
for (let round = -1; round < rounds; round++) {
  for (const [name, model] of Object.entries(models)) {
    const { speed, text } = await measure(model);
    texts.add(text);
    if (round >= 0) speeds.get(name)?.push(speed);
  }
}
console.log(row(`${requests} requests`, "tokens/s", "ratio"));
const medians = [...speeds].map(([name, found]) => [name, median(found)] as const);
const inTurns = medians.at(-1)?.[1] as number;
for (const [name, speed] of medians) console.log(row(`  ${name}`, speed, (speed / inTurns).toFixed(2)));
if (texts.size > 1) throw new Error("Answers together are not those in turns.");
for (const model of Object.values(models)) await model.dispose();

async function measure(model: Model): Promise<{ speed: number; text: string }> {
  let begun = 0;
  let first = 0;
  let last = Number.POSITIVE_INFINITY;
  let counted = 0;
  const answer = async (seed: number) => {
    const ids: number[] = [];
    // Hot, so that texts are long and differ.
    const choice = { maxTokens: tokens, temperature: 2, topK: 1000, seed };
    for await (const { tokenId } of model.generate([{ role: "user", content: `Page ${seed}` }], choice)) {
      if (ids.push(tokenId) === 1 && ++begun === requests) first = performance.now();
      if (begun === requests && last === Number.POSITIVE_INFINITY) counted++;
    }
    last = Math.min(last, performance.now());
    return ids.join(" ");
  };
  const texts = await Promise.all(Array.from({ length: requests }, (_, seed) => answer(seed)));
  if (!(last > first)) throw new Error("A text ended before all had begun: --tokens, or fewer --requests.");
  return { speed: (1000 * counted) / (last - first), text: texts.join("\n") };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}
