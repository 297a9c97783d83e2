/** Numbers that are reckoned without running anything, held against what running shows. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { planCommand } from "../../src/cli/plan.ts";
import {
  type GenerateProgress,
  GlimtError,
  loadModel,
  type Message,
  numConnectorTokens,
  numEncoderTokens,
  openProcessor,
  type RawImage,
  type RequestSizes,
} from "../../src/index.ts";
import { imageSize } from "../../src/processor/sizes.ts";
import type { RankPlan } from "../../src/runtime/rank-plan.ts";
import { goldenCases, goldenCheckpoints } from "../golden/load.ts";

function picture(width: number, height: number): RawImage {
  return { data: new Uint8Array(width * height * 3), width, height };
}

/** The conversation that `sizes` describes, with black pictures. */
function conversation({ images = [], videos = [], text }: RequestSizes): Message[] {
  const content = [
    ...images.map(({ width, height }) => ({ type: "image", image: picture(width, height) })),
    ...videos.map(({ width, height, numFrames, fps, duration }) => {
      const frames = new Array<RawImage>(numFrames).fill(picture(width, height));
      return { type: "video", video: { frames, metadata: { fps, duration } } };
    }),
    ...(text === undefined ? [] : [{ type: "text", text }]),
  ];
  return [{ role: "user", content }] as Message[];
}

function directoryOf(checkpoint: string): string {
  return goldenCases(checkpoint)[0]!.checkpointDir;
}

async function failure(action: () => unknown): Promise<GlimtError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof GlimtError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

const REQUESTS: readonly RequestSizes[] = [
  { text: "Hello?" },
  { images: [{ width: 90, height: 50 }], text: "What is it?" },
  { images: [{ width: 1, height: 1 }] },
  {
    images: [
      { width: 300, height: 40 },
      { width: 64, height: 200 },
    ],
    text: "Which?",
  },
];
const VIDEO_REQUESTS: readonly RequestSizes[] = [
  { videos: [{ width: 60, height: 40, numFrames: 1 }] },
  { videos: [{ width: 60, height: 40, numFrames: 5 }], text: "And?" },
  { videos: [{ width: 60, height: 40, numFrames: 90, fps: 30 }] },
  { videos: [{ width: 60, height: 40, numFrames: 90, fps: 30, duration: 3 }] },
  {
    images: [{ width: 90, height: 50 }],
    videos: [
      { width: 60, height: 40, numFrames: 40, fps: 4 },
      { width: 40, height: 60, numFrames: 7, fps: 1.5 },
    ],
    text: "Compare.",
  },
];

for (const name of goldenCheckpoints()) {
  test(`${name}: grids and tokens are those that processing gives`, async () => {
    const processor = await openProcessor(directoryOf(name));
    // GLM-OCR's template knows no videos.
    for (const sizes of name.startsWith("glm_ocr") ? REQUESTS : [...REQUESTS, ...VIDEO_REQUESTS]) {
      const counts = processor.sizes.count(sizes);
      const inputs = await processor.process(conversation(sizes));
      const what = JSON.stringify(sizes);
      assert.equal(
        counts.images.map(({ gridThw }) => gridThw),
        inputs.imageGridThw,
        what,
      );
      assert.equal(
        counts.videos.map(({ gridThw }) => gridThw),
        inputs.videoGridThw,
        what,
      );
      assert.is(counts.promptTokens, inputs.inputIds.length, what);
      const visionTokens = inputs.mmTokenTypeIds.filter((type) => type !== 0).length;
      assert.is(counts.visionTokens, visionTokens, what);
      const patches = inputs.imageGridThw
        .concat(inputs.videoGridThw)
        .reduce((sum, [t, h, w]) => sum + t * h * w, 0);
      assert.is(counts.encoderTokens, patches, what);
      assert.is(numConnectorTokens(patches, 2), visionTokens);
      assert.is(numEncoderTokens(visionTokens, 2), patches);
      const dummy = processor.sizes.dummyInputs(sizes);
      assert.equal(dummy.inputIds, inputs.inputIds, what);
      assert.is(dummy.pixelValues?.length, inputs.pixelValues?.length ?? 0, what);
      assert.is(dummy.pixelValuesVideos?.length, inputs.pixelValuesVideos?.length ?? 0, what);
      assert.is(processor.sizes.count({ ...sizes, textTokens: 7 }).promptTokens, counts.promptTokens + 7);
    }
  });

  for (const budgets of [[], [64, 512]]) {
    const padding = budgets.length > 0 ? `, padded to ${budgets.join(" or ")} tokens` : "";
    test(`${name}: planned memory is what running takes${padding}`, async () => {
      const model = await loadModel(directoryOf(name), {
        backend: "reference",
        encoderTokenBudgets: budgets,
        // What is kept for later requests is no part of this one.
        encoderCacheBytes: 0,
      });
      const sizes = { images: [{ width: 170, height: 110 }], text: "What is it?", maxTokens: 20 };
      const plan = await model.plan(sizes);
      const weights = model.liveBytes;
      assert.is(plan.weightBytes, weights);
      assert.ok(plan.fitsContext);

      const most: Record<GenerateProgress["stage"], number> = { media: 0, vision: 0, prefill: 0 };
      const pieces = model.generate(conversation(sizes), {
        maxTokens: sizes.maxTokens,
        repetitionPenalty: 1,
        onProgress: ({ stage }) => {
          most[stage] = Math.max(most[stage], model.liveBytes - weights);
        },
      });
      await pieces.next();
      const { vision, kvCache, decoder } = plan;
      const kept = vision.paddedFeatureBytes;
      assert.is(kept > 0, budgets.length > 0);
      const promptPages = kvCache.promptPages * kvCache.bytesPerPage;
      // What the prompt needs is taken before pictures are encoded.
      const prompt = promptPages + decoder.logitBytes;
      assert.is(most.vision, kept + vision.activationBytes + vision.featureBytes + prompt, "vision");
      assert.is(most.prefill, kept + vision.featureBytes + prompt + decoder.activationBytes, "prefill");
      assert.is(model.liveBytes - weights, kept + vision.featureBytes + prompt, "between steps");
      assert.ok(plan.peakBytes >= Math.max(most.vision, most.prefill));
      await pieces.return(undefined as never);
      await model.dispose();
    });
  }
}

test("the planned peak is what the default backend holds, but for rounding and a kernel's own scratch", async () => {
  const model = await loadModel(directoryOf("glm4v-tiny"), { backend: "wasm" });
  const sizes = { images: Array.from({ length: 40 }, () => ({ width: 170, height: 110 })), maxTokens: 4 };
  const { peakBytes } = await model.plan(sizes);
  const weights = model.liveBytes;
  await model.complete(conversation(sizes), { maxTokens: sizes.maxTokens, repetitionPenalty: 1 });
  const held = model.liveBytes - weights;
  assert.ok(held <= peakBytes + (3 << 20), `${held} bytes are held, ${peakBytes} were planned`);
  assert.ok(peakBytes <= held + (3 << 20), `${peakBytes} bytes were planned, ${held} are held`);
  await model.dispose();
});

test("the number of pages follows the prompt and the new tokens, within the context", async () => {
  const model = await loadModel(directoryOf("glm4v-tiny"), { backend: "reference", prefillChunk: 10 });
  const text = "a ";
  for (const maxTokens of [1, 2, 40, 1e6]) {
    const { kvCache, promptTokens, contextTokens, decoder } = await model.plan({
      text,
      textTokens: 50,
      maxTokens,
    });
    const held = Math.min(promptTokens + maxTokens, contextTokens) - 1;
    assert.is(kvCache.pages, Math.ceil(held / kvCache.pageSize));
    assert.is(kvCache.promptPages, Math.ceil(promptTokens / kvCache.pageSize));
    assert.is(decoder.prefillRuns, Math.ceil(promptTokens / 10));
  }
  assert.not((await model.plan({ text, textTokens: 1e6 })).fitsContext);
  await model.dispose();
});

test("automatic budgets double up to the largest image; impossible ones are refused by name", async () => {
  const directory = directoryOf("glm4v-tiny");
  const model = await loadModel(directory, { encoderTokenBudgets: "auto" });
  const patchesOf = async (width: number, height: number) =>
    (await model.plan({ images: [{ width, height }] })).vision.patches;
  const largest = (await openProcessor(directory)).sizes.imageSizeWithMostFeatures();
  // This checkpoint's largest image is below the smallest budget of larger models.
  assert.is(await patchesOf(30, 30), 4 * largest.numTokens);
  assert.ok(
    (await patchesOf(2000, 2000)) >=
      (await model.plan({ images: [{ width: 2000, height: 2000 }] })).encoderTokens,
  );
  await model.dispose();
  for (const [budgets, message] of [
    [[64, 0], /^encoderTokenBudgets\[1\] is 0/],
    ["all", /^encoderTokenBudgets is "all", expected a list or "auto"/],
  ] as const) {
    const error = await failure(() => loadModel(directory, { encoderTokenBudgets: budgets as never }));
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, message);
  }
});

test("no image has more tokens than the largest one, which resizing leaves as it is", async () => {
  for (const maxImagePixels of [undefined, 50_000]) {
    const processor = await openProcessor(directoryOf("glm4v-tiny"), { maxImagePixels });
    const { image } = processor.checkpoint.processor;
    const largest = processor.sizes.imageSizeWithMostFeatures();
    const config = {
      ...image,
      maxPixels: Math.min(
        image.maxPixels,
        (maxImagePixels ?? Number.POSITIVE_INFINITY) * image.temporalPatchSize,
      ),
    };
    assert.equal(imageSize(largest.resizedWidth, largest.resizedHeight, config), largest);
    let most = 0;
    for (let width = 1; width < 1500; width += 13) {
      for (let height = 1; height < 1500; height += 17) {
        if (Math.max(width, height) / Math.min(width, height) > 150) continue;
        const { gridThw, numTokens } = imageSize(width, height, config);
        // A strip held at one block's width may pass the area limit.
        if (Math.min(gridThw[1], gridThw[2]) > config.mergeSize) most = Math.max(most, numTokens);
      }
    }
    assert.ok(largest.numTokens >= most, `${largest.numTokens} < ${most}`);
    assert.ok(processor.sizes.imageSizeWithMostFeatures(20).numTokens <= 20);
  }
});

test("the most frames for a context fit it, and more do not", async () => {
  for (const name of ["glm4v-tiny", "glm46v-flash-tiny"]) {
    const processor = await openProcessor(directoryOf(name));
    const size = { width: 60, height: 40 };
    const promptOf = (numFrames: number) =>
      processor.sizes.count({ videos: [{ ...size, numFrames, fps: 2, sampleFrames: false }] }).promptTokens;
    for (const promptTokens of [60, 150, 400]) {
      const frames = processor.sizes.mostVideoFrames(size, { promptTokens });
      assert.ok(frames > 0 && promptOf(frames) <= promptTokens, `${name}: ${frames} frames`);
      assert.ok(promptOf(frames + 2) > promptTokens, `${name}: ${frames + 2} frames`);
    }
    assert.is(processor.sizes.mostVideoFrames(size, { promptTokens: 5 }), 0);
    for (const wrong of [{ fps: -3 }, { fps: 0 }, { promptTokens: Number.NaN }, { promptTokens: -1 }]) {
      assert.throws(
        () => processor.sizes.mostVideoFrames(size, wrong),
        (error: GlimtError) =>
          error.code === "OPTION_INVALID" && error.message.startsWith(`${Object.keys(wrong)[0]} is`),
      );
    }
    assert.ok([600, 640].includes(processor.sizes.mostVideoFrames(size, { promptTokens: 1e6 })));
  }
});

test("a video of years is counted at once where its frames are sampled, and refused where all would be used", async () => {
  for (const name of ["glm4v-tiny", "glm46v-flash-tiny"]) {
    const processor = await openProcessor(directoryOf(name));
    const size = { width: 60, height: 40, numFrames: 5_000_000_000 };
    const start = performance.now();
    const { videos } = processor.sizes.count({ videos: [{ ...size, fps: 30 }] });
    assert.ok([600, 640].includes(videos[0]!.numSampledFrames));
    for (const numFrames of [2 ** 21 + 1, 99_999_999, size.numFrames]) {
      for (const more of [{}, { maxFrames: 4 }, { fps: 30, sampleFrames: false }]) {
        const error = await failure(() =>
          processor.sizes.count({ videos: [{ ...size, numFrames, ...more }] }),
        );
        assert.is(error.code, "VIDEO_INVALID");
        assert.match(error.message, new RegExp(`^numFrames is ${numFrames}, .* 2097152 is\\. Give its rate`));
      }
    }
    assert.ok(performance.now() - start < 5000, "it looks at each frame");
  }
});

test("limits on images and videos are held, and named when they are passed", async () => {
  const processor = await openProcessor(directoryOf("glm4v-tiny"), { limits: { images: 1, videos: 0 } });
  const image = { width: 30, height: 30 };
  const one = { images: [image] };
  await processor.process(conversation(one));
  processor.sizes.count(one);
  const two = { images: [image, image] };
  const video = { videos: [{ ...image, numFrames: 2 }] };
  for (const [sizes, message] of [
    [two, /^The prompt has 2 images, but limits\.images is 1/],
    [video, /^The prompt has 1 video, but limits\.videos is 0/],
  ] as const) {
    for (const call of [() => processor.process(conversation(sizes)), () => processor.sizes.count(sizes)]) {
      const error = await failure(call);
      assert.is(error.code, "INPUT_INVALID");
      assert.match(error.message, message);
    }
  }
  const wrong = [{ images: -1 }, { images: 1.5 }, { pictures: 1 }];
  for (const limits of wrong) {
    const error = await failure(() => openProcessor(directoryOf("glm4v-tiny"), { limits: limits as never }));
    assert.is(error.code, "OPTION_INVALID");
  }
  const model = await loadModel(directoryOf("glm4v-tiny"), { limits: { images: 1 } });
  assert.is((await failure(() => model.complete(conversation(two)))).code, "INPUT_INVALID");
  await model.dispose();
});

test("warming up runs the largest request that was planned, and gives its memory back", async () => {
  // What is kept for later requests would be counted too.
  const options = { maxImagePixels: 20_000, prefixCache: false, encoderCacheBytes: 0 };
  const model = await loadModel(directoryOf("glm4v-tiny"), options);
  const sizes: RequestSizes = {
    images: [{ width: 60, height: 40 }],
    videos: [{ width: 60, height: 40, numFrames: 4 }],
    textTokens: 30,
  };
  const both = async () => {
    await model.warmUp(sizes);
    await model.warmUp();
    return model.liveBytes;
  };
  assert.is(await both(), await both());
  await model.dispose();
});

test("glimt plan prints the plan", async () => {
  const directory = directoryOf("glm4v-tiny");
  const printed: string[] = [];
  const { log } = console;
  console.log = (line: string) => printed.push(line);
  try {
    const flags = ["--image", "170x220", "--video", "64x36:12s@30", "--video", "60x40:5f", "--text", "9"];
    const args = [directory, ...flags, "--max-tokens", "50", "--backend", "reference"];
    await planCommand().parseAsync([...args, "--json"], { from: "user" });
    await planCommand().parseAsync(args, { from: "user" });
  } finally {
    console.log = log;
  }
  const plan = JSON.parse(printed[0]!);
  const model = await loadModel(directory, { backend: "reference" });
  const expected = await model.plan({
    images: [{ width: 170, height: 220 }],
    videos: [
      { width: 64, height: 36, numFrames: 360, fps: 30, duration: 12 },
      { width: 60, height: 40, numFrames: 5 },
    ],
    textTokens: 9,
    maxTokens: 50,
  });
  await model.dispose();
  const { backend, largestImage, mostFrames, ...numbers } = plan;
  assert.equal(numbers, JSON.parse(JSON.stringify(expected)));
  assert.is(backend, "reference");
  assert.ok(largestImage.numTokens > 0);
  assert.is(mostFrames.length, 2);
  const text = printed.slice(1).join("\n");
  for (const part of [
    "170 x 220",
    "360 frames",
    `${expected.promptTokens} tokens`,
    `${expected.kvCache.pages} pages`,
  ]) {
    assert.ok(text.includes(part), `${part} in ${text}`);
  }
});

test("glimt plan says what each device of a group holds and says, and how long that takes", async () => {
  const printed: string[] = [];
  const { log } = console;
  console.log = (line: string) => printed.push(line);
  const directory = directoryOf("glm4v-tiny");
  const args = [directory, "--image", "170x220", "--backend", "reference", "--max-tokens", "50"];
  const group = ["--tensor-parallel", "2", "--pipeline-parallel", "2", "--encoder-parallel", "data"];
  const times = ["--hardware", "bench/parallel/h100-nvlink.json"];
  try {
    const plan = (...flags: string[]) =>
      planCommand().parseAsync([...args, ...group, ...flags], { from: "user" });
    await plan("--json");
    await plan(...times, "--json");
    await plan(...times, "--link-speed", "1", "--json");
    await plan(...times, "--link-speed", "1");
  } finally {
    console.log = log;
  }
  const model = await loadModel(directory, {
    backend: "reference",
    parallel: { tensor: 2, pipeline: 2, encoder: "data" },
  });
  const expected = await model.plan({ images: [{ width: 170, height: 220 }], textTokens: 0, maxTokens: 50 });
  await model.dispose();
  const [plain, fast, slow] = printed.slice(0, 3).map((line) => JSON.parse(line));
  const { backend, largestImage, mostFrames, ...numbers } = plain;
  assert.equal(numbers, JSON.parse(JSON.stringify(expected)));
  assert.is(numbers.ranks.length, 4);
  assert.ok(fast.times.step.communicatingShare > 0);
  assert.ok(slow.times.step.latency > fast.times.step.latency);
  const text = printed.slice(3).join("\n");
  for (const part of [
    "ranks 0-1",
    "ranks 2-3",
    "all_reduce",
    "1 all_gather",
    "waiting for other ranks",
    "H100",
    "1 GB/s",
  ]) {
    assert.ok(text.includes(part), `${part} in ${text}`);
  }
  printed.length = 0;
  console.log = (line: string) => printed.push(line);
  const apart = ["--devices", "0,1,2", "--tensor-parallel", "2", "--encoder-parallel", "stage", ...times];
  try {
    await planCommand().parseAsync([...args, ...apart], { from: "user" });
  } finally {
    console.log = log;
  }
  const told = printed.join("\n");
  for (const part of [
    /ranks 0-1 .* of weights/,
    /rank 2 .* of weights/,
    /1 spread of .* \(rank 2\)/,
    /tower run .* ms/,
  ]) {
    assert.match(told, part);
  }
  printed.length = 0;
  console.log = (line: string) => printed.push(line);
  const given = ["--pipeline-parallel", "2", "--pipeline-cuts"];
  try {
    for (const cut of ["1", "2"]) {
      await planCommand().parseAsync([...args, ...given, cut, "--json"], { from: "user" });
    }
  } finally {
    console.log = log;
  }
  const caches = printed.map((line) => JSON.parse(line).ranks.map((rank: RankPlan) => rank.kvCacheBytes));
  const layer = caches[0][0];
  assert.equal(caches, [
    [layer, 2 * layer],
    [2 * layer, layer],
  ]);
  const beyond = await failure(() => planCommand().parseAsync([...args, ...given, "3"], { from: "user" }));
  assert.match(beyond.message, /3 decoder layers can not be cut before layers 3/);
  const impossible = [
    directory,
    "--tensor-parallel",
    "4",
    "--encoder-parallel",
    "tensor",
    "--backend",
    "reference",
  ];
  const refusal = await failure(() => planCommand().parseAsync(impossible, { from: "user" }));
  assert.is(refusal.code, "OPTION_INVALID");
  assert.match(refusal.message, /numHeads 2 \(attention_varlen\) is not a multiple of 4/);
  const speed = await failure(() =>
    planCommand().parseAsync([...args, "--link-speed", "1"], { from: "user" }),
  );
  assert.match(speed.message, /--hardware/);
});

test.run();
