/** What `process` says of each picture and video beside its pixels. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Message, openProcessor } from "../../src/index.ts";
import { decoderPrompt } from "../../src/prompt/prompt-inputs.ts";

const processor = await openProcessor("test/golden/data/glm4v-tiny");
const picture = (width: number, height: number) => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height * 3 }, (_, index) => (index * 7919) % 251),
});
const asking = (...content: object[]) => [{ role: "user", content }] as Message[];

test("sizes, tokens and places of pictures and videos, in prompt order", async () => {
  const frames = Array.from({ length: 5 }, () => picture(120, 90));
  const inputs = await processor.process(
    asking(
      { type: "image", image: picture(301, 97) },
      {
        type: "video",
        video: { frames, metadata: { fps: 10, totalNumFrames: 50, framesIndices: [0, 9, 20, 30, 49] } },
      },
      { type: "image", image: picture(112, 112) },
      { type: "text", text: "What?" },
    ),
  );
  const { media, mmTokenTypeIds, imageGridThw, videoGridThw } = inputs;
  assert.equal(
    media.map(({ type }) => type),
    ["image", "video", "image"],
  );
  const [first, video, last] = media as [(typeof media)[0], (typeof media)[0], (typeof media)[0]];
  assert.equal([first.gridThw, last.gridThw], imageGridThw);
  assert.equal([video.gridThw], videoGridThw);
  const { patchSize } = processor.checkpoint.processor.image;
  for (const { gridThw, numTokens, spans, source, type } of media) {
    const [t, h, w] = gridThw;
    assert.is(source?.resizedWidth, w * patchSize);
    assert.is(source?.resizedHeight, h * patchSize);
    assert.is(numTokens, (t * h * w) / 4);
    const rows = spans.flatMap(({ start, length }) => Array.from({ length }, (_, at) => start + at));
    assert.is(rows.length, numTokens);
    assert.ok(rows.every((row) => mmTokenTypeIds[row] === (type === "image" ? 1 : 2)));
  }
  assert.equal([first.source?.width, first.source?.height], [301, 97]);
  assert.is(first.source?.frames, undefined);
  assert.equal([video.source?.width, video.source?.height], [120, 90]);
  assert.equal(video.source?.frames, {
    numFrames: 50,
    indices: [0, 9, 20, 30, 49],
    timestamps: [0, 0.9, 2, 3, 4.9],
  });
  assert.is(video.spans.length, 3);
  assert.is(video.labels.length, 3);
  assert.equal(last.labels, []);
  // What was processed is a prompt as it is.
  assert.is(decoderPrompt(inputs, processor.checkpoint.config).visionItems.length, 3);
});

test("features that are given have no source; text alone has no media", async () => {
  const { text, vision } = processor.checkpoint.config;
  const image = { embeddings: new Float32Array(4 * text.hiddenSize), gridThw: [1, 4, 4] };
  assert.is(vision.spatialMergeSize, 2);
  const { media } = await processor.process(asking({ type: "image", image }));
  assert.is(media.length, 1);
  assert.is(media[0]?.source, null);
  assert.is(media[0]?.numTokens, 4);
  assert.equal((await processor.process(asking({ type: "text", text: "Hi" }))).media, []);
});

test.run();
