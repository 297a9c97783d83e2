/** Images and videos in one prompt, against transformers put together from its parts (test/golden/make_mixed.py). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type ImageSource,
  loadModel,
  type Message,
  type MessagePart,
  openProcessor,
  type VideoSource,
} from "../../src/index.ts";
import { goldenDataDir } from "../golden/load.ts";
import { assertSameTokens } from "../golden/same-tokens.ts";

interface MixedCase {
  readonly checkpoint: string;
  readonly name: string;
  readonly messages: [{ role: "user"; content: MessagePart[] }];
  readonly promptText: string;
  readonly inputIds: number[];
  readonly mmTokenTypeIds: number[];
  readonly imageGridThw: number[][];
  readonly videoGridThw: number[][];
  readonly positionIds: number[][];
  readonly ropeDelta: number;
  readonly topLogits: [token: number, logit: number][];
  readonly greedyIds: number[];
}

const cases: MixedCase[] = JSON.parse(readFileSync(join(goldenDataDir, "mixed.json"), "utf8"));
const checkpoints = [...new Set(cases.map(({ checkpoint }) => checkpoint))];
const media = { media: "huggingface" } as const;
const LOGIT_TOLERANCE = 1e-3;

function partsOf({ messages }: MixedCase): MessagePart[] {
  return messages[0].content.map((part) => {
    if (part.type === "image") return { ...part, image: join(goldenDataDir, part.image as string) };
    if (part.type === "video") return { ...part, video: join(goldenDataDir, part.video as string) };
    return part;
  });
}

const asked = (content: MessagePart[]): Message[] => [{ role: "user", content }];

for (const checkpoint of checkpoints) {
  const own = cases.filter((golden) => golden.checkpoint === checkpoint);
  const directory = join(goldenDataDir, checkpoint);

  test(`${checkpoint}: prompt, grids, types and positions of mixes`, async () => {
    const processor = await openProcessor(directory, media);
    for (const golden of own) {
      const inputs = await processor.process(asked(partsOf(golden)));
      assertSameTokens(inputs, golden);
    }
  });

  for (const backend of ["reference", "wasm"] as const) {
    test(`${checkpoint} on ${backend}: mixes are answered as by transformers, from pixels and from features`, async () => {
      const model = await loadModel(directory, { ...media, backend });
      for (const golden of own) {
        const maxTokens = golden.greedyIds.length;
        const parts = partsOf(golden);
        const fromPixels = await model.complete(asked(parts), { maxTokens, repetitionPenalty: 1 });
        const { tokenIds } = fromPixels;
        assert.equal(tokenIds, golden.greedyIds.slice(0, tokenIds.length), golden.name);
        assert.ok(tokenIds.length === maxTokens || fromPixels.finishReason === "stop", golden.name);
        checkLogits(fromPixels.topLogits, golden.topLogits, golden.name);

        // Each picture and video encoded by itself, in a batch of its own kind.
        const images = await model.encodeImages(
          parts.flatMap((part) => (part.type === "image" ? [part.image as ImageSource] : [])),
        );
        const videos = await model.encodeVideos(
          parts.flatMap((part) => (part.type === "video" ? [part.video as VideoSource] : [])),
        );
        const embedded = parts.map((part): MessagePart => {
          if (part.type === "image") return { type: "image", image: images.shift()! };
          if (part.type === "video") return { type: "video", video: videos.shift()! };
          return part;
        });
        const fromFeatures = await model.complete(asked(embedded), { maxTokens, repetitionPenalty: 1 });
        assert.equal(fromFeatures.tokenIds, tokenIds, golden.name);
        checkLogits(fromFeatures.topLogits, fromPixels.topLogits, `${golden.name}, features`);
      }
      await model.dispose();
    });
  }
}

test("each video of a mix has its own metadata and choices", async () => {
  const processor = await openProcessor(join(goldenDataDir, "glm4v-tiny"), media);
  const frame = { data: new Uint8Array(56 * 56 * 3), width: 56, height: 56 };
  const frames = new Array(12).fill(frame);
  const slow: MessagePart = { type: "video", video: { frames, metadata: { fps: 2 } } };
  const fast: MessagePart = { type: "video", video: { frames }, metadata: { fps: 12 } };
  const few: MessagePart = { type: "video", video: { frames, metadata: { fps: 2 } }, maxFrames: 4 };
  const all: MessagePart = { type: "video", video: { frames } };
  const { videoGridThw } = await processor.process(asked([slow, fast, few, all]));
  assert.equal(
    videoGridThw.map(([t]) => t),
    [6, 2, 2, 6],
  );
});

test("videoLayout block makes a video one t x h x w block without timestamps", async () => {
  const processor = await openProcessor(join(goldenDataDir, "glm4v-tiny"), media);
  const video = join(goldenDataDir, "videos/walk");
  const content: MessagePart[] = [
    { type: "text", text: "Look: " },
    { type: "video", video },
    { type: "text", text: "What?" },
  ];
  const inputs = await processor.process(asked(content), { videoLayout: "block" });
  const [[t, h, w]] = inputs.videoGridThw as [[number, number, number]];
  const tokens = (t * h * w) / 4;
  const start = inputs.mmTokenTypeIds.indexOf(2);
  assert.equal(inputs.mmTokenTypeIds.slice(start, start + tokens), new Array(tokens).fill(2));
  assert.is(inputs.mmTokenTypeIds.lastIndexOf(2), start + tokens - 1);
  const [time, height, width] = inputs.positionIds;
  const block = { time: [] as number[], height: [] as number[], width: [] as number[] };
  for (let i = 0; i < t; i++) {
    for (let row = 0; row < h / 2; row++) {
      for (let column = 0; column < w / 2; column++) {
        block.time.push(start + i);
        block.height.push(start + row);
        block.width.push(start + column);
      }
    }
  }
  assert.equal([...time.slice(start, start + tokens)], block.time);
  assert.equal([...height.slice(start, start + tokens)], block.height);
  assert.equal([...width.slice(start, start + tokens)], block.width);
  assert.is(time[start + tokens], start + Math.max(t, h / 2, w / 2));
  const perFrame = await processor.process(asked(content));
  assert.ok(perFrame.inputIds.length > inputs.inputIds.length, "timestamps and markers are left out");
});

test("a block is answered on every backend alike", async () => {
  const content: MessagePart[] = [{ type: "video", video: join(goldenDataDir, "videos/odd") }];
  const answers = [];
  for (const backend of ["reference", "wasm"] as const) {
    const model = await loadModel(join(goldenDataDir, "glm4v-tiny"), { ...media, backend });
    answers.push((await model.complete(asked(content), { maxTokens: 8, videoLayout: "block" })).tokenIds);
    await model.dispose();
  }
  assert.equal(answers[0], answers[1]);
});

test("progress counts pictures and frames; a signal stops between them", async () => {
  const processor = await openProcessor(join(goldenDataDir, "glm4v-tiny"), media);
  const content = partsOf(cases[1]!);
  const shares: number[] = [];
  await processor.process(asked(content), { onProgress: ({ share }) => shares.push(share) });
  assert.is(shares.at(-1), 1);
  assert.equal(
    shares,
    [...shares].sort((a, b) => a - b),
  );
  assert.ok(shares.length > content.filter(({ type }) => type !== "text").length, "frames count too");
  const controller = new AbortController();
  const options = { signal: controller.signal, onProgress: () => controller.abort() };
  const error = await processor.process(asked(content), options).catch((error) => error);
  assert.is(error.code, "ABORTED");
});

function checkLogits(
  found: readonly (readonly [number, number])[],
  expected: readonly (readonly [number, number])[],
  name: string,
) {
  const byToken = new Map(found);
  for (const [token, logit] of expected) {
    const own = byToken.get(token);
    if (own === undefined) continue;
    assert.ok(Math.abs(own - logit) < LOGIT_TOLERANCE, `${name}: token ${token}: ${own}, not ${logit}`);
  }
  assert.is(found[0]?.[0], expected[0]?.[0], name);
}

test.run();
