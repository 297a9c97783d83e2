/**
 * Requests that share steps beside the same in turns: `npm run bench -- together [--checkpoint DIR] [--dtype q8]
 * [--requests 16] [--tokens 100]`, by default the demo, or `--sizes released [--layers 16] [--depth 24] [--context 128]`: GLM-OCR's
 * sizes with random weights, by default in q8, greedy (`--temperature 2`: choosing among 59,392 tokens takes its time too).
 *
 * Decoding alone, from the first token of the last request to the end of the first: new tokens of all a second. And pages from
 * their pixels to their last token (`--pages 4 --page 448x616 --page-tokens 64`, 0 for none), with where the engine's time goes.
 * Medians of `--rounds`, in which both take turns. Tokens are compared.
 */
import { parseArgs } from "node:util";
import type { LoadOptions } from "../src/index.ts";
import { decoderPrompt, type PromptInputs } from "../src/prompt/prompt-inputs.ts";
import { generate } from "../src/serving/generate.ts";
import { type GenerateOptions, resolveGeneration } from "../src/serving/generation-options.ts";
import { ModelCore } from "../src/serving/model-core.ts";
import { GenerationRequest } from "../src/serving/request.ts";
import { WEIGHT_FORMATS, type WeightFormat } from "../src/tensor/storage.ts";
import { row } from "./kernels.ts";
import { clockParts, type Parts } from "./together/part-clock.ts";
import { openCheckpointServed, openReleased, type PageSize } from "./together/served.ts";

const { values: flags } = parseArgs({
  options: {
    checkpoint: { type: "string" },
    sizes: { type: "string" },
    layers: { type: "string" },
    depth: { type: "string" },
    context: { type: "string" },
    dtype: { type: "string" },
    threads: { type: "string" },
    requests: { type: "string", default: "16" },
    tokens: { type: "string" },
    pages: { type: "string", default: "4" },
    page: { type: "string" },
    "page-tokens": { type: "string", default: "64" },
    rounds: { type: "string" },
    temperature: { type: "string" },
  },
});
if (flags.sizes !== undefined && flags.sizes !== "released") {
  throw new Error(`--sizes is "${flags.sizes}", expected released.`);
}
const isReleased = flags.sizes === "released";
for (const name of isReleased ? (["checkpoint"] as const) : (["layers", "depth", "context"] as const)) {
  if (flags[name] !== undefined)
    throw new Error(`--${name} is ${isReleased ? "not " : ""}for --sizes released.`);
}
const checkpoint = flags.checkpoint ?? "examples/demo/checkpoint";
const whole = (text: string | undefined) => (text === undefined ? undefined : Number(text));
const requests = Number(flags.requests);
const tokens = whole(flags.tokens) ?? (isReleased ? 32 : 100);
/** Of the demo hot, so that its few words differ. */
const temperature = whole(flags.temperature) ?? (isReleased ? 0 : 2);
const rounds = whole(flags.rounds) ?? (isReleased ? 2 : 5);
const pages = Number(flags.pages);
const pageTokens = Number(flags["page-tokens"]);
const [width = 0, height = 0] = (flags.page ?? (isReleased ? "448x616" : "280x84")).split("x").map(Number);
const pageSize: PageSize = { width, height };

const served = isReleased
  ? await openReleased({
      weights: weightFormat(flags.dtype ?? "q8"),
      threads: whole(flags.threads),
      layers: whole(flags.layers),
      depth: whole(flags.depth),
      promptTokens: whole(flags.context) ?? 128,
    })
  : await openCheckpointServed(checkpoint, {
      dtype: flags.dtype as LoadOptions["dtype"],
      threads: whole(flags.threads),
      maxSequences: requests,
    });
const { parts } = served.core;
const { numHiddenLayers } = parts.config.text;
console.log(
  `${isReleased ? "GLM-OCR's sizes, random weights" : checkpoint}: ${numHiddenLayers} layers, ${parts.config.vision.depth} blocks, ${parts.engine.report.threads} threads, ${parts.engine.report.variant}`,
);
/** One engine: who takes turns has steps of one request. */
const CORES = {
  together: new ModelCore({ ...parts, maxSequences: Math.max(requests, pages) }),
  "in turns": new ModelCore({ ...parts, maxSequences: 1 }),
};
const readParts = clockParts(parts.engine);
const texts = await Promise.all(Array.from({ length: requests }, (_, number) => served.text(number)));
const pictures = await Promise.all(
  Array.from({ length: pages }, (_, number) => served.page(number, pageSize)),
);

function weightFormat(name: string): WeightFormat {
  const format = WEIGHT_FORMATS.find((known) => known === name);
  if (!format) throw new Error(`--dtype is "${name}", expected ${WEIGHT_FORMATS.join(", ")}.`);
  return format;
}

/** One answer, token by token. */
async function* answer(core: ModelCore, prompt: PromptInputs, options: GenerateOptions) {
  const { config, tokenizer, generation } = core.parts;
  const resolved = resolveGeneration(options, generation, { ...config.text, tokenizer });
  const [lease] = await core.adapters.acquireAll(undefined, 1);
  if (!lease) throw new Error("there is no lease");
  const request = new GenerationRequest(core.parts, decoderPrompt(prompt, config), resolved);
  yield* generate(core, request, lease, options);
}

interface Found {
  /** A second. */
  readonly speed: number;
  readonly ids: string;
}

async function decode(core: ModelCore): Promise<Found> {
  let begun = 0;
  let first = 0;
  let last = Number.POSITIVE_INFINITY;
  let counted = 0;
  const ask = async (prompt: PromptInputs, seed: number) => {
    const ids: number[] = [];
    const choice = { maxTokens: tokens, ignoreEos: true, temperature, topK: 1000, seed };
    for await (const { tokenId } of answer(core, prompt, choice)) {
      if (ids.push(tokenId) === 1 && ++begun === requests) first = performance.now();
      if (begun === requests && last === Number.POSITIVE_INFINITY) counted++;
    }
    last = Math.min(last, performance.now());
    return ids.join(" ");
  };
  const ids = (await Promise.all(texts.map(ask))).join("\n");
  if (!(last > first)) throw new Error("A text ended before all had begun: --tokens, or fewer --requests.");
  return { speed: (1000 * counted) / (last - first), ids };
}

async function readPages(core: ModelCore, atOnce: boolean): Promise<Found & { parts: Parts; host: number }> {
  const ask = async (prompt: PromptInputs) => {
    const ids: number[] = [];
    const options = { maxTokens: pageTokens, ignoreEos: true };
    for await (const { tokenId } of answer(core, prompt, options)) ids.push(tokenId);
    return ids.join(" ");
  };
  readParts();
  const start = performance.now();
  const ids: string[] = [];
  if (atOnce) ids.push(...(await Promise.all(pictures.map(ask))));
  else for (const picture of pictures) ids.push(await ask(picture));
  const took = performance.now() - start;
  const parts = readParts();
  const host = took - parts.vision - parts.prompts - parts.answers;
  return { speed: (1000 * pages) / took, ids: ids.join("\n"), parts, host };
}

function compare(found: ReadonlyMap<string, readonly Found[]>): void {
  const all = [...found.values()].flat().map(({ ids }) => ids);
  if (new Set(all).size > 1) throw new Error("Answers together are not those in turns.");
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

type Names = keyof typeof CORES;
const names = Object.keys(CORES) as Names[];
const decoded = new Map(names.map((name) => [name, [] as Found[]]));
const read = new Map(names.map((name) => [name, [] as Awaited<ReturnType<typeof readPages>>[]]));
// What the first run plans and allocates is not counted.
if (!isReleased) for (const name of names) await decode(CORES[name]);
for (let round = 0; round < rounds; round++) {
  for (const name of names) decoded.get(name)?.push(await decode(CORES[name]));
}
compare(decoded);
console.log(row(`${requests} requests`, "tokens/s", "ratio"));
const speedOf = (found: readonly Found[] = []) => median(found.map(({ speed }) => speed));
for (const [name, found] of decoded) {
  console.log(
    row(`  ${name}`, speedOf(found), (speedOf(found) / speedOf(decoded.get("in turns"))).toFixed(2)),
  );
}
if (pages > 0) {
  for (let round = 0; round < rounds; round++) {
    for (const name of names) read.get(name)?.push(await readPages(CORES[name], name === "together"));
  }
  compare(read);
  const features = pictures[0]?.imageGridThw?.[0]?.join(" x ");
  console.log(
    row(
      `${pages} pages, ${features} patches`,
      "pages/s",
      "ratio",
      "vision s",
      "prompts s",
      "answers s",
      "rest s",
    ),
  );
  for (const [name, found] of read) {
    const seconds = (of: (one: (typeof found)[number]) => number) =>
      (median(found.map(of)) / 1000).toFixed(2);
    const ratio = speedOf(found) / speedOf(read.get("in turns"));
    console.log(
      row(
        `  ${name}`,
        speedOf(found).toFixed(4),
        ratio.toFixed(2),
        seconds(({ parts }) => parts.vision),
        seconds(({ parts }) => parts.prompts),
        seconds(({ parts }) => parts.answers),
        seconds(({ host }) => host),
      ),
    );
  }
}
await served.core.dispose();
