/** Pruned videos, against transformers given the rows that a direct computation keeps (test/golden/make_evs.py). */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type GlimtError,
  type LoadOptions,
  loadModel,
  type Message,
  type MessagePart,
  type Model,
  openProcessor,
  type VideoSource,
} from "../../src/index.ts";
import { goldenDataDir } from "../golden/load.ts";

interface PrunedCase {
  readonly checkpoint: string;
  readonly name: string;
  readonly messages: [{ role: "user"; content: MessagePart[] }];
  readonly videoPruning: number;
  /** Of the whole prompt. */
  readonly promptTokens: number;
  /** Of the rows that are left, as positionIds. */
  readonly inputIds: number[];
  readonly kept: string[];
  readonly topLogits: [token: number, logit: number][];
  readonly greedyIds: number[];
}

const cases: PrunedCase[] = JSON.parse(readFileSync(join(goldenDataDir, "evs.json"), "utf8"));
const checkpoints = [...new Set(cases.map(({ checkpoint }) => checkpoint))];
const media = { media: "huggingface" } as const;
const frames = { sampleFrames: false, repetitionPenalty: 1 } as const;
const LOGIT_TOLERANCE = 1e-3;

function partsOf({ messages }: PrunedCase): MessagePart[] {
  return messages[0].content.map((part) => {
    if (part.type === "image") return { ...part, image: join(goldenDataDir, part.image as string) };
    if (part.type === "video") return { ...part, video: join(goldenDataDir, part.video as string) };
    return part;
  });
}

/** The frames of a directory, said to be all that are wanted. */
function videoFrames(part: MessagePart): VideoSource[] {
  if (part.type !== "video") return [];
  const directory = part.video as string;
  const names = readdirSync(directory).filter((name) => name.endsWith(".png"));
  const metadata = JSON.parse(readFileSync(join(directory, "metadata.json"), "utf8"));
  return [
    {
      frames: names.sort().map((name) => join(directory, name)),
      metadata: { ...metadata, frames_indices: [...names.keys()] },
    },
  ];
}

const asked = (content: MessagePart[]): Message[] => [{ role: "user", content }];

async function withModel(
  checkpoint: string,
  options: LoadOptions,
  use: (model: Model) => Promise<void>,
): Promise<void> {
  const model = await loadModel(join(goldenDataDir, checkpoint), { ...media, ...options });
  await use(model);
  await model.dispose();
}

async function failure(action: () => Promise<unknown>): Promise<GlimtError> {
  try {
    await action();
  } catch (error) {
    return error as GlimtError;
  }
  throw new Error("nothing was thrown");
}

function checkLogits(
  found: readonly (readonly [number, number])[],
  expected: readonly (readonly [number, number])[],
  what: string,
): void {
  for (const [place, [token, logit]] of expected.entries()) {
    const [foundToken, foundLogit] = found[place] as readonly [number, number];
    assert.is(foundToken, token, `${what}: token ${place}`);
    assert.ok(Math.abs(foundLogit - logit) < LOGIT_TOLERANCE, `${what}: ${foundLogit}, expected ${logit}`);
  }
}

for (const checkpoint of checkpoints) {
  const own = cases.filter((golden) => golden.checkpoint === checkpoint);

  for (const [backend, goldens] of [
    ["reference", own.filter(({ name }) => name === "half")],
    ["wasm", own],
  ] as const) {
    test(`${checkpoint} on ${backend}: answered as by transformers, from pixels and from features`, async () => {
      for (const golden of goldens) {
        const { videoPruning, name } = golden;
        const maxTokens = golden.greedyIds.length;
        const parts = partsOf(golden);
        await withModel(checkpoint, { backend, videoPruning }, async (model) => {
          const fromPixels = await model.complete(asked(parts), { ...frames, maxTokens });
          const { tokenIds, usage } = fromPixels;
          checkLogits(fromPixels.topLogits, golden.topLogits, name);
          assert.equal(tokenIds, golden.greedyIds.slice(0, tokenIds.length), name);
          assert.ok(tokenIds.length === maxTokens || fromPixels.finishReason === "stop", name);
          assert.is(usage.promptTokens, golden.inputIds.length, name);

          // Features that a caller kept are pruned as well.
          const features = await model.encodeVideos(parts.flatMap(videoFrames));
          const embedded = parts.map(
            (part): MessagePart =>
              part.type === "video" ? { type: "video", video: features.shift()! } : part,
          );
          const fromFeatures = await model.complete(asked(embedded), { ...frames, maxTokens });
          assert.equal(fromFeatures.usage, usage, name);
          assert.equal(fromFeatures.tokenIds, tokenIds, name);
          checkLogits(fromFeatures.topLogits, fromPixels.topLogits, `${name}, features`);
        });
      }
    });
  }
}

test("several requests at once, read in small pieces, and again from the cache, are answered as each alone", async () => {
  const checkpoint = "glm_ocr-tiny";
  const own = cases.filter((golden) => golden.checkpoint === checkpoint);
  const pruned = { backend: "wasm", videoPruning: 0.6 } as const;
  const answer = async (model: Model, golden: PrunedCase) => {
    const { tokenIds, topLogits, usage } = await model.complete(asked(partsOf(golden)), {
      ...frames,
      maxTokens: 12,
    });
    const { cachedTokens, ...read } = usage;
    return { cachedTokens, answer: { tokenIds, topLogits, read } };
  };
  const together = async (model: Model) => {
    const found = await Promise.all(own.map((golden) => answer(model, golden)));
    return found.map((each) => each.answer);
  };
  const expected: unknown[] = [];
  await withModel(checkpoint, { ...pruned, prefixCache: false }, async (model) => {
    for (const golden of own) expected.push((await answer(model, golden)).answer);
    assert.equal(await together(model), expected);
  });
  // Room for all of them: what one takes is not taken from what is kept of another.
  const roomy = { kvCache: { bytes: 4 * 2 ** 20 } };
  await withModel(checkpoint, { ...pruned, ...roomy, prefillChunk: 7 }, async (model) => {
    assert.equal(await together(model), expected);
    for (const [index, golden] of own.entries()) {
      const again = await answer(model, golden);
      assert.equal(again.answer, expected[index]);
      assert.ok(again.cachedTokens > 0);
    }
  });
});

test("what is read is said before: by the plan, by process, and by the usage behind", async () => {
  const picture = { data: new Uint8Array(60 * 40 * 3).fill(9), width: 60, height: 40 };
  const content: MessagePart[] = [
    { type: "image", image: picture },
    { type: "video", video: { frames: new Array(9).fill(picture), metadata: { fps: 4 } } },
    { type: "video", video: { frames: [picture] } },
    { type: "text", text: "Why?" },
  ];
  const size = { width: 60, height: 40 };
  const sizes = {
    images: [size],
    videos: [
      { ...size, numFrames: 9, fps: 4 },
      { ...size, numFrames: 1 },
    ],
    text: "Why?",
  };
  for (const checkpoint of checkpoints) {
    for (const videoPruning of [0, 0.3, 0.75]) {
      await withModel(checkpoint, { backend: "reference", videoPruning }, async (model) => {
        const counts = await model.plan(sizes);
        const inputs = await model.process(asked(content));
        const { usage } = await model.complete(asked(content), { maxTokens: 1 });
        const { promptTokens, visionTokens } = counts;
        assert.equal(usage, { ...usage, promptTokens, visionTokens });
        assert.is(inputs.promptTokens, promptTokens);
        const pruned = counts.visionFeatures - visionTokens;
        assert.is(inputs.inputIds.length - promptTokens, pruned);
        assert.is(pruned === 0, videoPruning === 0 || counts.videos[0]?.gridThw[0] === 1);
        assert.is((await model.complete(inputs, { maxTokens: 1 })).usage.promptTokens, promptTokens);
        await model.warmUp(sizes);
      });
    }
  }
});

test("a prompt that pruning makes fit the context is answered", async () => {
  const checkpoint = "glm_ocr-tiny";
  const processor = await openProcessor(join(goldenDataDir, checkpoint));
  const { tokens, text } = processor.checkpoint.config;
  const frame = [tokens.imageStart, ...new Array<number>(100).fill(tokens.image), tokens.imageEnd];
  const inputIds = [tokens.videoStart, ...new Array(41).fill(frame).flat(), tokens.videoEnd, 5];
  assert.ok(inputIds.length > text.maxPositionEmbeddings);
  const videoEmbeddings = new Float32Array(41 * 100 * text.hiddenSize).map((_, at) => Math.sin(at));
  const prompt = { inputIds, videoEmbeddings, videoGridThw: [[41, 20, 20] as const] };
  await withModel(checkpoint, { backend: "wasm" }, async (model) => {
    const error = await failure(() => model.complete(prompt, { maxTokens: 4 }));
    assert.is(error.code, "CONTEXT_OVERFLOW");
    assert.match(error.message, /has 4185 tokens .* 4100 of them .* or raise videoPruning/);
  });
  await withModel(checkpoint, { backend: "wasm", videoPruning: 0.9 }, async (model) => {
    const { usage } = await model.complete(prompt, { maxTokens: 1 });
    assert.equal([usage.promptTokens, usage.visionTokens], [inputIds.length - 4100 + 409, 409]);
  });
  const size = { width: 90, height: 90 };
  const pruned = await openProcessor(join(goldenDataDir, checkpoint), { videoPruning: 0.9 });
  assert.ok(pruned.sizes.mostVideoFrames(size) >= processor.sizes.mostVideoFrames(size));
});

test("a rate that is none is refused by name", async () => {
  for (const videoPruning of [1, -0.1, Number.NaN, "0.5"]) {
    const error = await failure(() =>
      loadModel(join(goldenDataDir, "glm_ocr-tiny"), { videoPruning } as unknown as LoadOptions),
    );
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, /^videoPruning is .*, expected the share of a video's tokens to leave out/);
  }
});

test.run();
