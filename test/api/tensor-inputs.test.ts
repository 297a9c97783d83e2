/** Prompts given as tensors: embeddings in place of pictures, a caller's own ids and pixels, embeddings in place of ids. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { StoredWeight } from "../../src/checkpoint/stored-weight.ts";
import {
  GlimtError,
  type GridThw,
  loadModel,
  type Message,
  type Model,
  openCheckpoint,
  openFiles,
  type PositionIds,
  type Prompt,
} from "../../src/index.ts";
import { widenRows } from "../../src/tensor/rows.ts";
import { storageBytes } from "../../src/tensor/storage.ts";
import { type GoldenCase, goldenCases, goldenCheckpoints } from "../golden/load.ts";

const reference = { media: "huggingface" } as const;
const LONGEST = 24;
const TABLE = "model.language_model.embed_tokens.weight";

function messagesOf({ messages }: GoldenCase): Message[] {
  return messages as Message[];
}

/** Every picture and video of a conversation replaced by its embeddings, which are made one at a time. */
async function withEmbeddings(model: Model, messages: readonly Message[]): Promise<Message[]> {
  const replaced = messages.map(async (message) => {
    if (!Array.isArray(message.content)) return message;
    const content = message.content.map(async (part) => {
      if (part.type === "image") return { type: "image", image: (await model.encodeImages([part.image]))[0] };
      if (part.type === "video") return { type: "video", video: (await model.encodeVideos([part.video]))[0] };
      return part;
    });
    return { ...message, content: await Promise.all(content) };
  });
  return (await Promise.all(replaced)) as Message[];
}

async function failure(action: () => Promise<unknown>): Promise<GlimtError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof GlimtError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

const asGrids = (grids: readonly (readonly number[])[]) => grids as readonly GridThw[];
const asPositions = (axes: readonly (readonly number[])[]) =>
  axes.map((axis) => Int32Array.from(axis)) as PositionIds;

for (const name of goldenCheckpoints()) {
  const cases = goldenCases(name);
  const directory = cases[0]!.checkpointDir;
  const options = { maxTokens: LONGEST, repetitionPenalty: 1 };

  test(`${name}: pictures given as their embeddings are answered as the pictures are`, async () => {
    const model = await loadModel(directory, reference);
    for (const golden of cases.filter(({ visionEmbeddings }) => visionEmbeddings)) {
      const messages = await withEmbeddings(model, messagesOf(golden));
      const inputs = await model.process(messages, { templateVariables: golden.templateOptions });
      assert.equal([inputs.pixelValues, inputs.pixelValuesVideos], [null, null]);
      assert.equal(inputs.inputIds, golden.inputIds, golden.name);
      assert.equal(inputs.imageGridThw, golden.imageGridThw, golden.name);
      assert.equal(inputs.videoGridThw, golden.videoGridThw, golden.name);
      assert.equal((await model.complete(inputs, options)).tokenIds, golden.tokenIds, golden.name);
    }
    await model.dispose();
  });

  test(`${name}: ids with pixels or embeddings of a caller's own are answered as messages are`, async () => {
    const model = await loadModel(directory, reference);
    for (const golden of cases) {
      const grids = {
        imageGridThw: asGrids(golden.imageGridThw),
        videoGridThw: asGrids(golden.videoGridThw),
      };
      const { inputIds, visionEmbeddings } = golden;
      const pixels: Prompt = {
        inputIds,
        ...grids,
        pixelValues: golden.pixelValues?.data,
        pixelValuesVideos: golden.pixelValuesVideos?.data,
      };
      assert.equal((await model.complete(pixels, options)).tokenIds, golden.tokenIds, golden.name);
      if (!visionEmbeddings) continue;
      const isVideo = golden.videoGridThw.length > 0;
      const embedded: Prompt = {
        inputIds,
        ...grids,
        [isVideo ? "videoEmbeddings" : "imageEmbeddings"]: visionEmbeddings.data,
        mmTokenTypeIds: golden.mmTokenTypeIds,
        positionIds: asPositions(golden.positionIds),
        ropeDelta: golden.ropeDelta,
      };
      const result = await model.complete(embedded, options);
      assert.equal(result.tokenIds, golden.tokenIds, golden.name);
      assert.is(result.usage.visionTokens, golden.mmTokenTypeIds.filter((type) => type > 0).length);
    }
    await model.dispose();
  });

  test(`${name}: a prompt of embeddings is answered as its tokens are, in chunks of any size`, async () => {
    for (const prefillChunk of [512, 7]) {
      const model = await loadModel(directory, { ...reference, prefillChunk });
      for (const golden of cases) {
        const prompt: Prompt = {
          promptEmbeddings: await embeddingsOf(golden),
          positionIds: asPositions(golden.positionIds),
        };
        const result = await model.complete(prompt, options);
        assert.equal(result.tokenIds, golden.tokenIds, golden.name);
        assert.equal([result.usage.promptTokens, result.usage.visionTokens], [golden.inputIds.length, 0]);
        if (golden.visionEmbeddings) continue;
        const withoutPositions = await model.complete({ promptEmbeddings: prompt.promptEmbeddings }, options);
        assert.equal(withoutPositions.tokenIds, golden.tokenIds, golden.name);
      }
      await model.dispose();
    }
  });
}

/** Rows of the embedding table, and recorded features where pictures stand. */
async function embeddingsOf(golden: GoldenCase): Promise<Float32Array> {
  const checkpoint = await openCheckpoint(await openFiles(golden.checkpointDir));
  const { vocabSize, hiddenSize } = checkpoint.config.text;
  const { format, readRows } = checkpoint.tensors.get(TABLE) as StoredWeight;
  const stored = new Uint8Array(storageBytes(format, vocabSize, hiddenSize));
  await readRows(0, vocabSize, stored);
  const values = widenRows(format, stored);
  const rows = new Float32Array(golden.inputIds.length * hiddenSize);
  let feature = 0;
  golden.inputIds.forEach((id, token) => {
    const isFeature = golden.mmTokenTypeIds[token] !== 0;
    const source = isFeature ? golden.visionEmbeddings!.data : values;
    const from = isFeature ? feature++ : id;
    rows.set(source.subarray(from * hiddenSize, (from + 1) * hiddenSize), token * hiddenSize);
  });
  return rows;
}

test("embeddings of a batch are split by item; answers from them are the same in every bit", async () => {
  const golden = goldenCases("glm4v-tiny").find(({ imageGridThw }) => imageGridThw.length === 2)!;
  const model = await loadModel(golden.checkpointDir, {
    ...reference,
    backend: "reference",
    encoderCacheBytes: 0,
  });
  const images = golden.messages.flatMap(({ content }) =>
    typeof content === "string" ? [] : content.flatMap((part) => (part.type === "image" ? [part.image] : [])),
  );
  const live = model.liveBytes;
  const items = await model.encodeImages(images);
  assert.is(model.liveBytes, live, "features were left on the device");
  assert.equal(
    items.map(({ gridThw }) => gridThw),
    golden.imageGridThw,
  );
  const all = items.flatMap(({ embeddings }) => [...embeddings]);
  assert.is(all.length, golden.visionEmbeddings!.data.length);
  all.forEach((value, index) => {
    assert.ok(Math.abs(value - golden.visionEmbeddings!.data[index]!) < 1e-3);
  });
  const question = (first: unknown, second: unknown) =>
    [
      {
        role: "user",
        content: [
          { type: "image", image: first },
          { type: "image", image: second },
          { type: "text", text: "Which?" },
        ],
      },
    ] as Message[];
  const answer = async (messages: Message[]) => (await model.complete(messages, { maxTokens: 4 })).topLogits;
  const expected = await answer(question(images[0], images[1]));
  assert.equal(await answer(question(items[0], items[1])), expected);
  assert.equal(await answer(question(images[0], items[1])), expected, "pixels, then embeddings");
  assert.equal(await answer(question(items[0], images[1])), expected, "embeddings, then pixels");
  assert.equal(await model.encodeImages([]), []);
  assert.is(
    (await failure(() => model.encodeImages(images, { signal: AbortSignal.abort() }))).code,
    "ABORTED",
  );
  await model.dispose();
  assert.is((await failure(() => model.encodeImages(images))).code, "DISPOSED");
});

const image = goldenCases("glm4v-tiny").find(({ imageGridThw }) => imageGridThw.length === 1)!;
const video = goldenCases("glm4v-tiny").find(({ videoGridThw }) => videoGridThw.length === 1)!;
const imageGrid = image.imageGridThw[0] as GridThw;
const [, h, w] = imageGrid;
const tokens = (h * w) / 4;
const patches = h * w;
const HIDDEN = 64;
const PATCH = 3 * 2 * 14 * 14;
const own = {
  inputIds: image.inputIds,
  imageGridThw: asGrids(image.imageGridThw),
  pixelValues: image.pixelValues!.data,
};
const turned = ([t, h, w]: readonly number[] = []) => [t, w, h];
const imagePart = (embeddings: unknown): Prompt =>
  [{ role: "user", content: [{ type: "image", image: embeddings }] }] as Message[];
const videoPart = (embeddings: unknown): Prompt =>
  [{ role: "user", content: [{ type: "video", video: embeddings }] }] as Message[];
const float = (rows: number, columns: number) => new Float32Array(rows * columns);

const WRONG: [what: string, prompt: Prompt | Record<string, unknown>, message: RegExp][] = [
  [
    "embeddings of another width",
    imagePart({ embeddings: float(tokens, HIDDEN + 1), gridThw: imageGrid }),
    new RegExp(
      `image\\.embeddings \\(f, h\\): expected ${tokens} x 64 \\(f from image\\.gridThw, h from the model's hidden size\\), found .* values: h = 65\\.$`,
    ),
  ],
  [
    "embeddings for another grid",
    imagePart({ embeddings: float(tokens - 1, HIDDEN), gridThw: imageGrid }),
    new RegExp(`image\\.embeddings \\(f, h\\): expected ${tokens} x 64 .*: f = ${tokens - 1}\\.$`),
  ],
  [
    "embeddings without a grid",
    imagePart({ embeddings: float(1, HIDDEN) }),
    /image\.gridThw \(3\): expected a list/,
  ],
  [
    "an image of two frames",
    imagePart({ embeddings: float(2, HIDDEN), gridThw: [2, 2, 2] }),
    /image\.gridThw is 2 x 2 x 2: an image has one frame/,
  ],
  [
    "a grid that does not part into merge blocks",
    imagePart({ embeddings: float(1, HIDDEN), gridThw: [1, 3, 2] }),
    /image\.gridThw: h is 3, expected a multiple of the merge size 2/,
  ],
  [
    "embeddings that are no Float32Array",
    imagePart({ embeddings: [1, 2], gridThw: [1, 2, 2] }),
    /image\.embeddings \(f, h\): expected a Float32Array, found a list of 2/,
  ],
  [
    "a video without labels",
    videoPart({ embeddings: float(2, HIDDEN), gridThw: [2, 2, 2] }),
    /video\.labels \(t\) must be a list/,
  ],
  [
    "a video with too few labels",
    videoPart({ embeddings: float(2, HIDDEN), gridThw: [2, 2, 2], labels: ["0"] }),
    /video\.labels \(t\): t is 1, expected 2 \(t from video\.gridThw\)/,
  ],
  [
    "a token past the vocabulary",
    { inputIds: [1, 9999] },
    /^inputIds\[1\] is 9999, expected a whole number of 0\.\.383/,
  ],
  ["no tokens at all", { inputIds: [] }, /prompt is empty/],
  [
    "types for another prompt",
    { ...own, mmTokenTypeIds: [0, 1] },
    /^mmTokenTypeIds \(s\): s is 2, expected \d+ \(s from inputIds\)/,
  ],
  [
    "positions for another prompt",
    { ...own, positionIds: [[0], [0], [0]] },
    /^positionIds \(3, s\): entry \[0\] has 1, expected \d+ \(s from inputIds\)/,
  ],
  [
    "a grid of two numbers",
    { ...own, imageGridThw: [[6, 10]] },
    /^imageGridThw \(ni, 3\): entry \[0\] has 2, expected 3/,
  ],
  ["a grid of odd sides", { ...own, imageGridThw: [[1, 5, 10]] }, /^imageGridThw\[0\]: h is 5/],
  ["a grid for other tokens", { ...own, imageGridThw: [[1, 2, 2]] }, /image/],
  ["no grid for the tokens", { inputIds: image.inputIds }, /starts a further image, but there are only 0/],
  [
    "pixels of another grid",
    { ...own, pixelValues: float(patches - 1, PATCH) },
    new RegExp(
      `^pixelValues \\(np, cpp\\): expected ${patches} x ${PATCH} \\(np from imageGridThw, cpp from the model's patches\\), found .*: np = ${patches - 1}`,
    ),
  ],
  [
    "video pixels of another patch size",
    {
      inputIds: video.inputIds,
      videoGridThw: asGrids(video.videoGridThw),
      pixelValuesVideos: float(48, 3 * 2 * 13 * 13),
    },
    /^pixelValuesVideos \(np, ctpp\): expected 48 x 1176 .*ctpp = 1014/,
  ],
  [
    "grids without pixels",
    { inputIds: image.inputIds, imageGridThw: own.imageGridThw },
    /^imageGridThw has 1 grids, but there are neither pixelValues nor imageEmbeddings/,
  ],
  [
    "pixels and embeddings",
    { ...own, imageEmbeddings: float(tokens, HIDDEN) },
    /^pixelValues and imageEmbeddings exclude each other/,
  ],
  ["items that are too few", { ...own, visionItems: [] }, /^visionItems has 0 items, expected 1/],
  [
    "an item of another grid",
    { ...own, visionItems: [{ embeddings: float(2, HIDDEN) }] },
    new RegExp(`^visionItems\\[0\\]\\.embeddings \\(f, h\\): expected ${tokens} x 64 .*f = 2`),
  ],
  ["no ids", { inputIds: undefined }, /^inputIds is missing/],
  ["items that are no list", { ...own, visionItems: "two" }, /^visionItems must be a list/],
  ["a shift that is no number", { ...own, ropeDelta: "1" }, /^ropeDelta is "1", expected a whole number/],
  [
    "a shift of embeddings that is none",
    { promptEmbeddings: float(3, HIDDEN), ropeDelta: Number.NaN },
    /^ropeDelta is NaN, expected a whole number/,
  ],
  [
    "an image whose embeddings are missing",
    imagePart({ embeddings: undefined, gridThw: [1, 2, 2] }),
    /image\.embeddings is missing/,
  ],
  [
    "an item that lies otherwise than its tokens",
    { ...own, visionItems: [{ pixelValues: own.pixelValues, gridThw: turned(own.imageGridThw[0]) }] },
    /^visionItems\[0\]\.gridThw is \d+ x \d+ x \d+, expected \d+ x \d+ x \d+, the grid of its tokens/,
  ],
  [
    "an item without a grid",
    { ...own, visionItems: [{ pixelValues: own.pixelValues }] },
    /^visionItems\[0\]\.gridThw is undefined, expected /,
  ],
  [
    "an item of nothing",
    { ...own, visionItems: [null] },
    /^visionItems\[0\] is null, expected an object with pixelValues or embeddings/,
  ],
  [
    "an item without values",
    { ...own, visionItems: [{ embeddings: undefined }] },
    /^visionItems\[0\]\.embeddings is missing/,
  ],
  [
    "prompt embeddings of another width",
    { promptEmbeddings: float(3, HIDDEN - 1) },
    /^promptEmbeddings \(s, h\): 189 values are no whole number of rows of 64 \(h from the model's hidden size\)/,
  ],
  [
    "prompt embeddings with positions of another length",
    { promptEmbeddings: float(3, HIDDEN), positionIds: [[0], [0], [0]] },
    /^positionIds \(3, s\): entry \[0\] has 1, expected 3 \(s from promptEmbeddings\)/,
  ],
  ["prompt embeddings of nothing", { promptEmbeddings: float(0, 0) }, /prompt is empty/],
];

test("tensors that do not fit are refused by field and dimension", async () => {
  const model = await loadModel(image.checkpointDir, reference);
  for (const [what, prompt, message] of WRONG) {
    const error = await failure(() => model.complete(prompt as Prompt, { maxTokens: 1 }));
    assert.is(error.code, "INPUT_INVALID", what);
    assert.match(error.message, message, `${what}: ${error.message}`);
  }
  await model.complete(own, { maxTokens: 1 });
  await model.dispose();
});

test.run();
