/** What tokens of an answer attend to, against transformers (test/golden/make_attention.py), and against itself in company. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  attentionOverMedia,
  type GenerateOptions,
  GlimtError,
  type LoadOptions,
  loadModel,
  type Message,
  type Model,
  type ProcessOptions,
} from "../../src/index.ts";
import { goldenCase, goldenDataDir } from "../golden/load.ts";

interface Recorded {
  readonly checkpoint: string;
  readonly case: string;
  /** Float32, little-endian, base64: of each token, over the keys that its row sees. */
  readonly weights: readonly string[];
}

const recorded: Recorded[] = JSON.parse(readFileSync(join(goldenDataDir, "attention.json"), "utf8"));
/** Of float32 weights, the largest of which are some tenths. */
const TOLERANCE = 1e-5;

const DEMO = "examples/demo/checkpoint";
const picture = (name: string) => ({ type: "image", image: `examples/demo/pictures/${name}.png` }) as const;
const read = (...names: string[]): Message[] => [
  { role: "user", content: [...names.map(picture), { type: "text", text: "Text Recognition:" }] },
];

async function withModel<T>(
  location: string,
  options: LoadOptions,
  use: (model: Model) => Promise<T>,
): Promise<T> {
  const model = await loadModel(location, { media: "huggingface", attention: true, ...options });
  try {
    return await use(model);
  } finally {
    await model.dispose();
  }
}

/** Of each token of each answer. */
async function attended(
  model: Model,
  messages: readonly Message[],
  options: GenerateOptions & ProcessOptions,
): Promise<Float32Array[][]> {
  const choices: Float32Array[][] = [];
  for await (const event of model.generate(messages, { attention: true, ...options })) {
    choices[event.choice] ??= [];
    (choices[event.choice] as Float32Array[])[event.index] = event.attention as Float32Array;
  }
  return choices;
}

function unpack(text: string): Float32Array {
  return new Float32Array(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer);
}

function sum(values: Float32Array): number {
  return values.reduce((total, value) => total + value, 0);
}

async function refusal(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
  } catch (error) {
    if (error instanceof GlimtError) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error("nothing was thrown");
}

for (const backend of ["reference", "wasm"] as const) {
  for (const checkpoint of [...new Set(recorded.map((entry) => entry.checkpoint))]) {
    test(`${checkpoint} on ${backend}: the last layer's weights are those of transformers`, () =>
      withModel(join(goldenDataDir, checkpoint), { backend }, async (model) => {
        for (const { case: name, weights } of recorded.filter((entry) => entry.checkpoint === checkpoint)) {
          const { messages, inputIds } = goldenCase(checkpoint, name);
          const [found = []] = await attended(model, messages as Message[], {
            maxTokens: weights.length,
            repetitionPenalty: 1,
          });
          assert.is(found.length, weights.length, name);
          for (const [index, expected] of weights.map(unpack).entries()) {
            const own = found[index] as Float32Array;
            assert.is(own.length, inputIds.length + index);
            const furthest = Math.max(...own.map((weight, key) => Math.abs(weight - (expected[key] ?? 2))));
            assert.ok(furthest < TOLERANCE, `${name}, token ${index}: ${furthest}`);
            assert.ok(Math.abs(sum(own) - 1) < TOLERANCE, `${name}, token ${index}: ${sum(own)}`);
          }
        }
      }));
  }
}

test("weights are laid over each image and video, in the order of the prompt", () =>
  withModel(join(goldenDataDir, "glm46v-flash-tiny"), {}, async (model) => {
    for (const name of ["two-images", "two-videos"]) {
      const { messages } = goldenCase("glm46v-flash-tiny", name);
      const inputs = await model.process(messages as Message[]);
      const types = inputs.mmTokenTypeIds;
      const [[weights] = []] = await attended(model, messages as Message[], { maxTokens: 1 });
      const media = attentionOverMedia(inputs, weights as Float32Array);
      const grids = name === "two-images" ? inputs.imageGridThw : inputs.videoGridThw;
      assert.equal(
        media.map(({ type, grid }) => ({ type, grid })),
        grids.map(([t, h, w]) => ({ type: name.slice(4, -1), grid: [t, h / 2, w / 2] })),
      );
      assert.equal(
        media.flatMap((item) => [...item.weights]),
        [...(weights as Float32Array)].filter((_, row) => (types[row] ?? 0) > 0),
      );
      const less = (weights as Float32Array).subarray(0, types.length - 1);
      assert.throws(() => attentionOverMedia(inputs, less), /of another prompt/);
    }
  }));

test("a prompt of text alone has no media", () => {
  assert.equal(attentionOverMedia({ inputIds: [1, 2], media: [] }, Float32Array.of(0.5, 0.5)), []);
});

test("on WebAssembly the bits are the same however a prompt is cut, found, guessed behind and read beside others", async () => {
  const options = { maxTokens: 24, seed: 3 } as const;
  const alone = await withModel(DEMO, { backend: "wasm", threads: 1, mtp: false }, (model) =>
    attended(model, read("receipt"), options),
  );
  await withModel(DEMO, { backend: "wasm", threads: 2, prefillChunk: 7 }, async (model) => {
    assert.equal(await attended(model, read("receipt"), options), alone, "in pieces, on two threads");
    assert.equal(await attended(model, read("receipt"), options), alone, "found");
    for (const speculation of ["mtp", "lookup"] as const) {
      assert.equal(await attended(model, read("receipt"), { ...options, speculation }), alone, speculation);
    }
    const { accepted } = model.stats().drafts;
    assert.ok(accepted > 0, "no guess was right");
    const [first, ...others] = await Promise.all([
      attended(model, read("receipt"), { ...options, cacheSalt: "other" }),
      attended(model, read("hello", "lines"), { maxTokens: 20, n: 2, temperature: 1, seed: 1 }),
      model.complete(read("numbers"), { maxTokens: 30 }),
    ]);
    assert.equal(first, alone, "beside others");
    assert.is((others[0] as Float32Array[][]).length, 2);
  });
});

test("whether weights are told changes no answer, and costs nothing where nobody asks", async () => {
  const options = { maxTokens: 24, seed: 1 } as const;
  const answer = async (model: Model) => {
    const { text, tokenIds, topLogits } = await model.complete(read("lines"), options);
    return { text, tokenIds, topLogits };
  };
  const plain = await withModel(DEMO, { backend: "wasm", attention: false }, answer);
  await withModel(DEMO, { backend: "wasm" }, async (model) => {
    assert.equal(await answer(model), plain);
    for await (const event of model.generate(read("lines"), options)) assert.not("attention" in event);
    const run = model.generate(read("lines"), { ...options, attention: true });
    assert.equal((await run.result).tokenIds, plain.tokenIds);
  });
});

test("a cache in bf16 or q8 gives nearly the same", async () => {
  const first = async (options: LoadOptions) => {
    const [[weights] = []] = await withModel(DEMO, { backend: "wasm", ...options }, (model) =>
      attended(model, read("receipt"), { maxTokens: 1 }),
    );
    return weights as Float32Array;
  };
  const exact = await first({});
  for (const kvCacheDtype of ["bf16", "q8"] as const) {
    const near = await first({ kvCacheDtype });
    const furthest = Math.max(...near.map((weight, key) => Math.abs(weight - (exact[key] as number))));
    assert.ok(furthest > 0 && furthest < 0.02, `${kvCacheDtype}: ${furthest}`);
    assert.ok(Math.abs(sum(near) - 1) < TOLERANCE);
  }
});

test("rows of a video that are left out have the weight 0 in their places", async () => {
  const cases: {
    checkpoint: string;
    name: string;
    messages: Message[];
    videoPruning: number;
    kept: string[];
  }[] = JSON.parse(readFileSync(join(goldenDataDir, "evs.json"), "utf8"));
  const pruned = cases.find(({ name }) => name === "half") as (typeof cases)[number];
  const messages = pruned.messages.map((message) => ({
    ...message,
    content: (message.content as { type: string; video?: string }[]).map((part) =>
      part.type === "video" ? { ...part, video: join(goldenDataDir, part.video as string) } : part,
    ),
  })) as Message[];
  const { checkpoint, videoPruning, kept } = pruned;
  await withModel(join(goldenDataDir, checkpoint), { videoPruning }, async (model) => {
    const processing = { sampleFrames: false } as const;
    const inputs = await model.process(messages, processing);
    const [weights = []] = await attended(model, messages, { ...processing, maxTokens: 3 });
    for (const [index, row] of weights.entries()) {
      assert.is(row.length, inputs.inputIds.length + index);
      assert.ok(Math.abs(sum(row) - 1) < TOLERANCE);
      const media = attentionOverMedia(inputs, row);
      const seen = media.map((item) => [...item.weights].map((weight) => (weight > 0 ? "1" : "0")).join(""));
      assert.equal(seen, kept);
    }
  });
});

test("what can not tell says so", async () => {
  await withModel(DEMO, { attention: false }, async (model) => {
    const asked = () => model.generate(read("hello"), { attention: true }).next();
    assert.match(await refusal(asked), /^OPTION_INVALID: .*load the model with attention: true/);
  });
  await withModel(DEMO, {}, async (model) => {
    assert.match(
      await refusal(() => model.complete(read("hello"), { attention: true })),
      /^OPTION_INVALID: .*use generate/,
    );
    const wrong = { attention: "yes" as never };
    assert.match(
      await refusal(() => model.generate(read("hello"), wrong).next()),
      /^OPTION_INVALID: attention/,
    );
  });
  const group = { attention: true, parallel: { tensor: 2 } };
  assert.match(await refusal(() => loadModel(DEMO, group)), /^OPTION_INVALID: .*on one device/);
});

test.run();
