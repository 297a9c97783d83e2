/** Guesses change nothing: whatever is guessed, an answer is the one that its request gives alone, to the bit. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { createWasmBackend } from "../../src/backends/wasm/backend.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import type { GenerationDefaults } from "../../src/config/types.ts";
import { ocrConfig } from "../../src/conformance/model-configs.ts";
import { Random } from "../../src/conformance/random.ts";
import { openSeededStages } from "../../src/conformance/seeded-stages.ts";
import { GlimtError } from "../../src/errors.ts";
import { layOutPrompt } from "../../src/prompt/layout.ts";
import { answerOf } from "../../src/runtime/decoder.ts";
import type { Stages } from "../../src/runtime/open-stages.ts";
import { type GenerateOptions, resolveGeneration } from "../../src/serving/generation-options.ts";
import type { GeneratedPiece, RequestResult } from "../../src/serving/generation-result.ts";
import { PromptLookup } from "../../src/serving/prompt-lookup.ts";
import { GenerationRequest } from "../../src/serving/request.ts";
import { DraftCounts, type Drafter } from "../../src/serving/speculation.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { fc } from "../property.ts";
import { openSeeded } from "../runtime/seeded-stages.ts";

const tokenizer = await loadTokenizer(await openDirectory("test/golden/data/glm_ocr-tiny"));
const generation: GenerationDefaults = {
  doSample: false,
  eosTokenIds: [],
  padTokenId: null,
  temperature: null,
  topK: null,
  topP: null,
  repetitionPenalty: null,
};

interface Told {
  readonly pieces: GeneratedPiece[];
  readonly result: Omit<RequestResult, "timings">;
  readonly steps: number;
}

function open(
  { pool, drafting }: Stages,
  prompt: readonly number[],
  options: GenerateOptions,
  given?: Drafter,
) {
  const layout = layOutPrompt(
    prompt,
    prompt.map(() => 0),
    { spatialMergeSize: 2 },
  );
  const resolved = resolveGeneration(options, generation, { ...ocrConfig.text, tokenizer });
  const drafts = new DraftCounts();
  const parts = { config: ocrConfig, tokenizer, pool, drafting, drafts, videoPruning: 0 };
  const drafter = given ?? (resolved.speculation === "lookup" ? lookupOf(prompt) : null);
  return new GenerationRequest(parts, { layout, history: prompt, visionItems: [] }, resolved, { drafter });
}

function lookupOf(tokens: readonly number[]): PromptLookup {
  const lookup = new PromptLookup();
  for (const token of tokens) lookup.push(token);
  return lookup;
}

/** Runs requests side by side, each step of each of one of these sizes, and takes the pages of some away in between. */
async function run(
  { decoder }: Stages,
  requests: readonly GenerationRequest[],
  size = () => 64,
  isPreempted = () => false,
): Promise<Told[]> {
  const pieces = requests.map((): GeneratedPiece[] => []);
  const steps = requests.map(() => 0);
  while (requests.some(({ finished }) => !finished)) {
    const going = requests.filter(({ finished }) => !finished);
    const slices = going.map((request) => request.nextSlice(Math.min(size(), request.tokensToRead)));
    const results = await decoder.forward(slices);
    for (const [index, request] of going.entries()) {
      const place = requests.indexOf(request);
      steps[place]!++;
      pieces[place]?.push(...request.accept(answerOf(results[index])));
      if (isPreempted()) slices[index]?.sequence.release();
    }
  }
  return requests.map((request, index) => {
    const { timings: _, ...result } = request.result();
    request.release();
    return { pieces: pieces[index] as GeneratedPiece[], result, steps: steps[index] as number };
  });
}

/** A layer of seeded weights beside the model: it is seldom right. */
const openWithLayer = (backend: Backend) =>
  openSeededStages(backend, ocrConfig, "f32", {
    mtp: { ownEmbedding: false, ownNorm: true, ownHead: false },
  });

test("pages that the layer has not read, for want of memory, are not found by who drafts", async () => {
  const stages = await openWithLayer(createReferenceBackend("f32"));
  const { engine } = stages;
  const prompt = Array.from({ length: 40 }, (_, index) => index % 7);
  const cached = async () => {
    const request = open(stages, prompt, { speculation: "mtp", maxTokens: 4 });
    request.identify({ adapters: "", media: [] }, true);
    request.adoptPages();
    const [{ result }] = (await run(stages, [request])) as [Told];
    return result.usage.cachedTokens;
  };
  const runs = engine.run.bind(engine);
  engine.run = (executable, ...rest) => {
    if (executable.program.name === "drafting") throw new GlimtError("OUT_OF_MEMORY", "full");
    return runs(executable, ...rest);
  };
  assert.is(await cached(), 0);
  engine.run = runs;
  assert.is(await cached(), 0);
  assert.is(await cached(), 32);
  engine.dispose();
});

/** Knows the answer, and says what is wrong now and then. */
function oracle(answer: readonly number[], wrong: number, random: Random): Drafter {
  let at = 0;
  const guess = (token: number) =>
    random.uniform() < wrong ? random.integer(ocrConfig.text.vocabSize) : token;
  return {
    push: () => at++,
    drafts: (most) => answer.slice(at, at + random.integer(most + 1)).map(guess),
  };
}

const settings = fc.record({
  temperature: fc.constantFrom(0, 0.7, 1, 1.5),
  topK: fc.constantFrom(0, 5),
  topP: fc.constantFrom(0.8, 1),
  minP: fc.constantFrom(0, 0.05),
  repetitionPenalty: fc.constantFrom(1, 1.3),
  seed: fc.nat(1000),
  presencePenalty: fc.constantFrom(0, 0.8),
  frequencyPenalty: fc.constantFrom(0, 0.5),
  logitBias: fc.constantFrom({}, { 3: 2, 7: -5 }),
  allowedTokenIds: fc.constantFrom(undefined, undefined, [1, 2, 3, 5, 8, 13, 21]),
  logprobs: fc.boolean(),
  repetitionDetection: fc.boolean(),
  maxTokens: fc.integer({ min: 1, max: 24 }),
});
const prompts = fc.array(fc.nat(ocrConfig.text.vocabSize - 1), { minLength: 1, maxLength: 20 });

const BACKENDS: readonly (readonly [Backend, number])[] = [
  [createReferenceBackend("f32"), 40],
  [createWasmBackend(), 150],
];

for (const [backend, numRuns] of BACKENDS) {
  test(`${backend.name}: tokens, logits, text and end are those without guesses, whatever is guessed, stopped, cut and beside it`, async () => {
    const stages = await openWithLayer(backend);
    const property = fc.asyncProperty(
      fc.array(fc.tuple(prompts, settings), { minLength: 1, maxLength: 3 }),
      fc.constantFrom(0, 0.2, 0.6, 1),
      fc.constantFrom("nothing", "token", "text"),
      fc.constantFrom("oracle", "mtp", "lookup"),
      fc.nat(2 ** 31),
      async (asked, wrong, ends, who, seed) => {
        const random = new Random(`${seed}`);
        const expected: Told[] = [];
        const requests: GenerationRequest[] = [];
        for (const [prompt, options] of asked) {
          const [whole] = (await run(stages, [open(stages, prompt, options)])) as [Told];
          const { tokenIds, text } = whole.result;
          const at = random.integer(tokenIds.length);
          const stopping = {
            ...options,
            ...(ends === "token" && { stopTokenIds: [tokenIds[at] as number] }),
            ...(ends === "text" && text.length > at && { stop: text.slice(at, at + 2) }),
          };
          expected.push(...(await run(stages, [open(stages, prompt, stopping)])));
          requests.push(
            who === "oracle"
              ? open(stages, prompt, stopping, oracle(tokenIds, wrong, random))
              : open(stages, prompt, { ...stopping, speculation: who as "mtp" | "lookup" }),
          );
        }
        const size = () => 1 + random.integer(12);
        const found = await run(stages, requests, size, () => random.uniform() < 0.05);
        for (const [index, { pieces, result }] of found.entries()) {
          assert.equal(
            { pieces, result },
            { pieces: expected[index]?.pieces, result: expected[index]?.result },
          );
        }
      },
    );
    await fc.assert(property, { numRuns });
    assert.is(stages.pool.numFreePages, stages.pool.numPages);
    stages.engine.dispose();
  });
}

test("right guesses save steps: nine tokens come of a step with eight of them", async () => {
  const stages = await openSeeded(createWasmBackend());
  const options = { maxTokens: 28, temperature: 1, seed: 5 };
  const [plain] = (await run(stages, [open(stages, [1, 2, 3], options)])) as [Told];
  assert.is(plain.steps, 28);
  const all: Drafter = {
    push: () => at++,
    drafts: (most) => plain.result.tokenIds.slice(at, at + most),
  };
  let at = 0;
  const [guessed] = (await run(stages, [open(stages, [1, 2, 3], options, all)])) as [Told];
  assert.equal(guessed.pieces, plain.pieces);
  assert.is(guessed.steps, 4);
  stages.engine.dispose();
});

test("a loop is read back many tokens a step, by what was said before", async () => {
  const stages = await openSeeded(createWasmBackend());
  const prompt = [5, 6, 7];
  const options = { maxTokens: 120, seed: 1 };
  const [plain] = (await run(stages, [open(stages, prompt, options)])) as [Told];
  const [looked] = (await run(stages, [open(stages, prompt, { ...options, speculation: "lookup" })])) as [
    Told,
  ];
  assert.equal([looked.pieces, looked.result], [plain.pieces, plain.result]);
  assert.ok(looked.steps < plain.steps / 2, `${looked.steps} steps`);
  stages.engine.dispose();
});

/** The most that chance makes of it but once in a thousand times: Wilson and Hilferty's approximation. */
function chiSquareBound(freedom: number): number {
  const ninth = 2 / (9 * freedom);
  return freedom * (1 - ninth + 3.09 * Math.sqrt(ninth)) ** 3;
}

test("sampled tokens behind guesses are distributed as the model says: chi-square over 8192 answers", async () => {
  const stages = await openSeeded(createWasmBackend());
  const prompt = [3, 1, 4, 1, 5];
  const temperature = 0.7;
  const { vocabSize } = ocrConfig.text;
  const ids = Array.from({ length: vocabSize }, (_, id) => id);
  /** Of the next token, behind each of these texts. */
  const distributions = async (texts: readonly (readonly number[])[]) => {
    const requests = texts.map((text) => open(stages, text, { maxTokens: 1 }));
    const results = await stages.decoder.forward(requests.map((request) => request.nextSlice(64)));
    for (const request of requests) request.release();
    return results.map((result) => {
      const [logits] = answerOf(result).logits as [Float32Array];
      const weights = Array.from(logits, (logit) => Math.exp((logit - Math.max(...logits)) / temperature));
      const sum = weights.reduce((total, weight) => total + weight, 0);
      return weights.map((weight) => weight / sum);
    });
  };
  const [firsts] = (await distributions([prompt])) as [number[]];
  const seconds = await distributions(ids.map((id) => [...prompt, id]));
  const expected = new Array<number>(vocabSize).fill(0);
  for (const first of ids) {
    const thirds = await distributions(ids.map((id) => [...prompt, first, id]));
    for (const second of ids) {
      const share = (firsts[first] as number) * (seconds[first]?.[second] as number);
      for (const third of ids) expected[third]! += share * (thirds[second]?.[third] as number);
    }
  }
  const counts = new Array<number>(vocabSize).fill(0);
  const answers = 8192;
  let accepted = 0;
  for (let batch = 0; batch < answers / 64; batch++) {
    const requests = Array.from({ length: 64 }, (_, index) => {
      const seed = 64 * batch + index;
      const random = new Random(`${seed}`);
      let first = -1;
      const drafter: Drafter = {
        push: (token) => {
          first = first < 0 ? token : first;
        },
        // One of the likeliest.
        drafts: (most) => {
          const likely = ids.toSorted(
            (a, b) => (seconds[first]?.[b] as number) - (seconds[first]?.[a] as number),
          );
          return [likely[random.integer(3)] as number].slice(0, most);
        },
      };
      return open(stages, prompt, { maxTokens: 3, temperature, seed }, drafter);
    });
    for (const { result, steps } of await run(stages, requests)) {
      counts[result.tokenIds[2] as number]!++;
      if (steps === 2) accepted++;
    }
  }
  assert.ok(accepted > answers / 10, `${accepted} of ${answers} guesses were right`);
  const common = ids.filter((id) => (expected[id] as number) * answers >= 5);
  const rest = (values: readonly number[]) =>
    ids.reduce((sum, id) => sum + (common.includes(id) ? 0 : (values[id] as number)), 0);
  const bins: [number, number][] = common.map((id) => [
    counts[id] as number,
    (expected[id] as number) * answers,
  ]);
  if (rest(expected) * answers >= 5) bins.push([rest(counts), rest(expected) * answers]);
  const chiSquare = bins.reduce((sum, [found, wanted]) => sum + (found - wanted) ** 2 / wanted, 0);
  assert.ok(bins.length > 10, `${bins.length} bins`);
  assert.ok(chiSquare < chiSquareBound(bins.length - 1), `chi-square ${chiSquare} of ${bins.length} bins`);
  stages.engine.dispose();
});

test.run();
