/**
 * Time to the first token of a prompt that comes again, of the same page with another question, and of the next turns of two
 * chats that take turns: `npm run bench -- nothing-twice [--checkpoint DIR] [--dtype q8] [--tokens 1800] [--rounds 5]`, by
 * default the demo. Medians; each round has pages of its own, so that their first time finds nothing. Answers are compared
 * with those of a model without caches.
 */
import { parseArgs } from "node:util";
import { type LoadOptions, loadModel, type Message } from "../src/index.ts";
import { row } from "./kernels.ts";

const { values: flags } = parseArgs({
  options: {
    checkpoint: { type: "string", default: "examples/demo/checkpoint" },
    dtype: { type: "string" },
    tokens: { type: "string", default: "1800" },
    rounds: { type: "string", default: "5" },
  },
});
const [tokens, rounds] = [Number(flags.tokens), Number(flags.rounds)] as [number, number];
const options = { backend: "wasm", dtype: flags.dtype as LoadOptions["dtype"] } as const;
const model = await loadModel(flags.checkpoint, options);
const cold = await loadModel(flags.checkpoint, { ...options, prefixCache: false, encoderCacheBytes: 0 });
const { patchSize, spatialMergeSize } = model.config.vision;
const side = patchSize * spatialMergeSize;
/** Of so many features, half of the prompt; the other half is text. */
const width = 30 * side;
const height = Math.max(1, Math.round(tokens / 2 / 30)) * side;

function page(seed: number, question: string): Message[] {
  const data = Uint8Array.from({ length: 3 * width * height }, (_, index) => (index * (seed + 3)) % 251);
  const text = `${"Read it. ".repeat(Math.max(1, Math.round(tokens / 2 / 7)))}${question}`;
  return [
    {
      role: "user",
      content: [
        { type: "image", image: { data, width, height } },
        { type: "text", text },
      ],
    },
  ];
}

const times = new Map<string, number[]>();
const found = new Map<string, string>();
const next = (messages: Message[]): Message[] => [
  ...messages,
  { role: "assistant", content: "A page." },
  { role: "user", content: "Who wrote it?" },
];
for (let round = -1; round < rounds; round++) {
  const one = page(100 + 2 * round, "What is it?");
  const other = page(101 + 2 * round, "What is it?");
  for (const [name, messages] of [
    ["the first time", page(round + 1, "What is it?")],
    ["again", page(round + 1, "What is it?")],
    ["another question", page(round + 1, "Who wrote it?")],
    ["two chats, first turns", one],
    ["two chats, first turns", other],
    ["two chats, next turns", next(one)],
    ["two chats, next turns", next(other)],
  ] as const) {
    // Processed before: what decoding and resizing take is the same each time.
    const prompt = await model.process(messages);
    const start = performance.now();
    const { tokenIds, usage } = await model.complete(prompt, { maxTokens: 1 });
    if (round >= 0) times.set(name, [...(times.get(name) ?? []), performance.now() - start]);
    found.set(name, `${usage.cachedTokens} of ${usage.promptTokens}`);
    const expected = await cold.complete(prompt, { maxTokens: 1 });
    if (String(tokenIds) !== String(expected.tokenIds)) throw new Error(`${name}: another answer.`);
  }
}
console.log(row("first token", "ms", "share", " found"));
const first = median(times.get("the first time") as number[]);
for (const [name, all] of times) {
  const time = median(all);
  console.log(row(`  ${name}`, time, `${((100 * time) / first).toFixed(1)} %`, ` ${found.get(name)}`));
}
const { prefixCache, encoderCache } = model.stats();
console.log(JSON.stringify({ prefixCache, encoderCache }));
await model.dispose();
await cold.dispose();

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}
