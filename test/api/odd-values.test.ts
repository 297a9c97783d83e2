/** Whatever a caller gives, in any place, what comes out is a result or a GlimtError that names the place. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { LOAD_OPTION_NAMES } from "../../src/api/load-options.ts";
import { PROCESSOR_OPTION_NAMES } from "../../src/api/open-processor.ts";
import { OPEN_FILES_OPTION_NAMES } from "../../src/checkpoint/location.ts";
import {
  describeCheckpoint,
  GlimtError,
  imageSize,
  imageSizeWithMostFeatures,
  loadModel,
  type Message,
  mropePositions,
  numConnectorTokens,
  numEncoderTokens,
  openCheckpoint,
  openFiles,
  openProcessor,
  resizeBicubic,
  sampleVideoFrames,
  smartResize,
  videoSize,
} from "../../src/index.ts";
import { PROCESS_OPTION_NAMES } from "../../src/prompt/process-options.ts";
import { READ_VIDEO_OPTION_NAMES } from "../../src/prompt/video-choices.ts";
import { ENCODE_OPTION_NAMES } from "../../src/serving/encode-media.ts";
import { GENERATE_OPTION_NAMES } from "../../src/serving/generation-options.ts";

const MODEL = "test/golden/data/glm_ocr-tiny";

function detached<View>(make: (buffer: ArrayBuffer) => View): View {
  const buffer = new ArrayBuffer(16);
  const view = make(buffer);
  structuredClone(buffer, { transfer: [buffer] });
  return view;
}

function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

const throwing = () => {
  throw new Error("no value");
};
const cyclic: Record<string, unknown> = {};
cyclic.self = cyclic;
const cyclicList: unknown[] = [];
cyclicList.push(cyclicList);
let deep: unknown = 1;
for (let depth = 0; depth < 50_000; depth++) deep = [deep];

const ODD: Readonly<Record<string, unknown>> = {
  null: null,
  symbol: Symbol("odd"),
  function: () => 3,
  bigint: 10n ** 30n,
  NaN: Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  negative: -1,
  fraction: 0.5,
  text: "odd",
  empty: "",
  true: true,
  object: {},
  "object without a prototype": Object.create(null),
  list: [],
  "list of odd things": [Symbol("odd"), null, () => 1],
  "list with holes": new Array(3),
  "object that holds itself": cyclic,
  "list that holds itself": cyclicList,
  "deep list": deep,
  "object that throws": new Proxy(
    {},
    { get: throwing, has: throwing, ownKeys: throwing, getPrototypeOf: throwing },
  ),
  "list that throws": new Proxy([1], { get: throwing }),
  "revoked object": revoked({}),
  "revoked list": revoked([]),
  "object whose text throws": { toString: throwing, valueOf: throwing },
  "detached buffer": detached((buffer) => buffer),
  "view of a detached buffer": detached((buffer) => new Uint8Array(buffer)),
  "floats of a detached buffer": detached((buffer) => new Float32Array(buffer)),
  "typed list as a proxy": new Proxy(new Float32Array(4), {}),
  date: new Date(Number.NaN),
  map: new Map<unknown, unknown>([[Symbol("odd"), 1]]),
  weak: new WeakMap(),
};

type Call = (value: never) => unknown;

/** Settles; throws what is neither a result nor a GlimtError that has a message. */
async function settle(name: string, call: Call, value: unknown): Promise<string> {
  try {
    await call(value as never);
    return "";
  } catch (error) {
    if (!(error instanceof GlimtError)) {
      const where =
        error instanceof Error ? `${error.message} ${/\(.*src.*\)/.exec(error.stack ?? "")}` : typeof error;
      throw new Error(`${name}: ${where}`);
    }
    assert.ok(error.message.length < 2000, `${name}: a message of ${error.message.length} characters`);
    return error.message;
  }
}

async function tryAll(calls: Readonly<Record<string, Call>>, fields = true): Promise<void> {
  const wrong: string[] = [];
  for (const [call, run] of Object.entries(calls)) {
    for (const [odd, value] of Object.entries(ODD)) {
      if (!fields && odd === "text") continue;
      await settle(`${call} with ${odd}`, run, value).catch((error: Error) => wrong.push(error.message));
    }
  }
  assert.is(wrong.length, 0, `${wrong.length} wrong:\n${wrong.slice(0, 40).join("\n")}`);
}

const processor = await openProcessor(MODEL);
const model = await loadModel(MODEL, { backend: "reference", limits: { images: 4, videos: 4 } });
const question: Message[] = [{ role: "user", content: "Hi" }];
const one = { maxTokens: 1 };
const asking = (content: unknown) => [{ role: "user", content: [content] }] as Message[];
const picture = { data: new Uint8Array(3 * 28 * 28), width: 28, height: 28 };

const optionsOf = (names: readonly string[], call: (options: never) => unknown): Record<string, Call> =>
  Object.fromEntries([
    ["options", call],
    ...names.map((name) => [name, (value: never) => call({ [name]: value } as never)]),
  ]);

test("loading: the location and every option", async () => {
  const open = async (location: never, options?: never) => (await loadModel(location, options)).dispose();
  await tryAll({
    location: (value) => open(value),
    "openProcessor's location": (value) => openProcessor(value),
  });
  await tryAll({ files: (value) => openFiles(value), checkpoint: (value) => openCheckpoint(value) });
  await tryAll({ options: (options) => open(MODEL as never, options) });
  // Hundreds of models: threads of their own would take most of the time.
  const { options: _, ...options } = optionsOf(LOAD_OPTION_NAMES, (option: object) =>
    open(MODEL as never, { threads: 1, ...option } as never),
  );
  await tryAll(options);
  await tryAll(optionsOf(PROCESSOR_OPTION_NAMES, (options) => openProcessor(MODEL, options)));
  await tryAll(optionsOf(OPEN_FILES_OPTION_NAMES, (options) => openFiles(MODEL, options)));
  const files = await openFiles(MODEL);
  await tryAll(optionsOf(["signal"], (options) => openCheckpoint(files, options)));
  await tryAll({ describe: (value) => describeCheckpoint(value) });
});

test("messages: each place of them", async () => {
  const process = (messages: unknown) => processor.process(messages as Message[]);
  const call = (fields: object) => ({ function: { name: "f", arguments: {} }, ...fields });
  await tryAll({
    messages: (value) => process(value),
    "a message": (value) => process([value]),
    role: (value) => process([{ role: value, content: "Hi" }]),
    content: (value) => process([{ role: "user", content: value }]),
    "a tool's content": (value) => process([{ role: "tool", content: value }]),
    "a tool's part": (value) => process([{ role: "tool", content: [value] }]),
    "a tool's output": (value) => process([{ role: "tool", content: { output: value } }]),
    "a part": (value) => process(asking(value)),
    type: (value) => process(asking({ type: value, text: "Hi" })),
    text: (value) => process(asking({ type: "text", text: value })),
    reasoning: (value) => process([{ role: "assistant", content: "Hi", reasoning_content: value }]),
    name: (value) => process([{ role: "user", content: "Hi", name: value }]),
    calls: (value) => process([{ role: "assistant", tool_calls: value }]),
    "a call": (value) => process([{ role: "assistant", tool_calls: [value] }]),
    function: (value) => process([{ role: "assistant", tool_calls: [call({ function: value })] }]),
    arguments: (value) =>
      process([{ role: "assistant", tool_calls: [call({ function: { name: "f", arguments: value } })] }]),
  });
});

test("pictures and videos: each place of them", async () => {
  const process = (part: unknown) => processor.process(asking(part));
  const grid = [1, 2, 2];
  const features = new Float32Array(model.config.text.hiddenSize);
  const pictures: Record<string, Call> = {
    image: (image) => process({ type: "image", image }),
    url: (url) => process({ type: "image", url }),
    image_url: (image_url) => process({ type: "image_url", image_url }),
    "image_url.url": (url) => process({ type: "image_url", image_url: { url } }),
    base64: (base64) => process({ type: "image", base64 }),
    data: (data) => process({ type: "image", image: { ...picture, data } }),
    width: (width) => process({ type: "image", image: { ...picture, width } }),
    height: (height) => process({ type: "image", image: { ...picture, height } }),
    channels: (channels) => process({ type: "image", image: { ...picture, channels } }),
    embeddings: (embeddings) => process({ type: "image", image: { embeddings, gridThw: grid } }),
    gridThw: (gridThw) => process({ type: "image", image: { embeddings: features, gridThw } }),
    "readImage's source": (source) => processor.readImage(source),
    "readImage's options": (options) => processor.readImage(picture, options),
    "encodeImages's list": (images) => model.encodeImages(images),
    "encodeImages's image": (image) => model.encodeImages([image]),
  };
  await tryAll(pictures);
  const videos: Record<string, Call> = {
    video: (video) => process({ type: "video", video }),
    video_url: (video_url) => process({ type: "video_url", video_url }),
    frames: (frames) => process({ type: "video", video: { frames } }),
    "a frame": (frame) => process({ type: "video", video: { frames: [frame] } }),
    "frames' metadata": (metadata) => process({ type: "video", video: { frames: [picture], metadata } }),
    metadata: (metadata) => process({ type: "video", video: { frames: [picture] }, metadata }),
    "metadata.fps": (fps) => process({ type: "video", video: { frames: [picture] }, metadata: { fps } }),
    "metadata.framesIndices": (framesIndices) =>
      process({ type: "video", video: { frames: [picture] }, metadata: { framesIndices } }),
    fps: (fps) => process({ type: "video", video: { frames: [picture] }, fps }),
    maxFrames: (maxFrames) => process({ type: "video", video: { frames: [picture] }, maxFrames }),
    sampleFrames: (sampleFrames) => process({ type: "video", video: { frames: [picture] }, sampleFrames }),
    labels: (labels) => process({ type: "video", video: { embeddings: features, gridThw: grid, labels } }),
    "readVideo's source": (source) => processor.readVideo(source),
    "encodeVideos's list": (list) => model.encodeVideos(list),
    "encodeVideos's video": (video) => model.encodeVideos([video]),
  };
  await tryAll(videos);
  await tryAll(
    optionsOf(READ_VIDEO_OPTION_NAMES, (options) => processor.readVideo({ frames: [picture] }, options)),
  );
});

test("generating: the prompt and every option", async () => {
  const complete = (prompt: unknown, options: object = {}) =>
    model.complete(prompt as Message[], { ...one, ...options });
  const inputs = await model.process(asking({ type: "image", image: picture }));
  const given = { ...inputs, pixelValues: inputs.pixelValues };
  const fields = ["inputIds", "mmTokenTypeIds", "positionIds", "ropeDelta", "imageGridThw", "videoGridThw"];
  const media = ["pixelValues", "pixelValuesVideos", "imageEmbeddings", "videoEmbeddings", "visionItems"];
  const { visionItems: _, ...plain } = given;
  await tryAll({ prompt: (value) => complete(value) });
  await tryAll(
    Object.fromEntries(
      [...fields, ...media].flatMap((name) => [
        [`${name} with items`, (value: never) => complete({ ...given, [name]: value })],
        [name, (value: never) => complete({ ...plain, [name]: value })],
        [`${name}[0]`, (value: never) => complete({ ...plain, [name]: [value] })],
      ]),
    ),
  );
  await tryAll({
    "visionItems[0]": (value) => complete({ ...given, visionItems: [value] }),
    "visionItems[0].pixelValues": (pixelValues) =>
      complete({ ...given, visionItems: [{ pixelValues, gridThw: inputs.imageGridThw[0] }] }),
    "visionItems[0].gridThw": (gridThw) =>
      complete({ ...given, visionItems: [{ pixelValues: inputs.pixelValues, gridThw }] }),
    promptEmbeddings: (promptEmbeddings) => complete({ promptEmbeddings }),
    "embeddings' positions": (positionIds) =>
      complete({ promptEmbeddings: new Float32Array(model.config.text.hiddenSize), positionIds }),
  });
  // Without a limit the answer is long: see below.
  const names = [...GENERATE_OPTION_NAMES, ...PROCESS_OPTION_NAMES].filter((name) => name !== "maxTokens");
  const { options: _options, ...calls } = optionsOf(names, (options) =>
    model.complete(question, { ...one, ...(options as object) }),
  );
  await tryAll(calls);
  await tryAll({
    maxTokens: (maxTokens) => model.generate(question, { maxTokens }).next(),
    "generate's options": (options) => model.generate(question, options).next(),
    "an adapter": (value) => complete(question, { adapters: [value] }),
    "an adapter's scale": (scale) => complete(question, { adapters: [{ name: "a", scale }] }),
    "a stop string": (value) => complete(question, { stop: [value] }),
    "a tool": (value) => complete(question, { tools: [value] }),
    "a variable": (value) => complete(question, { templateVariables: { x: value } }),
  });
  await tryAll(optionsOf(ENCODE_OPTION_NAMES, (options) => model.encodeImages([picture], options)));
});

test("adapters, plans and warm-up", async () => {
  const lora = "test/golden/data/lora/glm_ocr-tiny/language";
  await tryAll({
    "loadAdapter's source": (value) => model.loadAdapter(value),
    "an adapter's name": (name) => model.loadAdapter({ name, location: "./no/such" }),
    "an adapter's location": (location) => model.loadAdapter({ name: "a", location }),
    "an adapter's scale": (scale) => model.loadAdapter({ name: "a", location: "./no/such", scale }),
    "loadAdapter's options": (options) => model.loadAdapter({ name: "a", location: "./no/such" }, options),
    "loadAdapter's signal": (signal) => model.loadAdapter({ name: "a", location: "./no/such" }, { signal }),
    unloadAdapter: (name) => model.unloadAdapter(name),
    plan: (sizes) => model.plan(sizes),
    "plan's images": (images) => model.plan({ images }),
    "plan's image": (image) => model.plan({ images: [image] }),
    "plan's width": (width) => model.plan({ images: [{ width, height: 28 }] }),
    "plan's videos": (videos) => model.plan({ videos }),
    "plan's video": (video) => model.plan({ videos: [video] }),
    "plan's frames": (numFrames) => model.plan({ videos: [{ numFrames, width: 28, height: 28 }] }),
    "plan's rate": (fps) => model.plan({ videos: [{ numFrames: 4, width: 28, height: 28, fps }] }),
    "plan's text": (text) => model.plan({ text }),
    "plan's tokens": (textTokens) => model.plan({ textTokens }),
    "plan's answer": (maxTokens) => model.plan({ maxTokens }),
    "most features": (mostTokens) => processor.sizes.imageSizeWithMostFeatures(mostTokens),
    "most frames": (size) => processor.sizes.mostVideoFrames(size),
    "most frames' options": (options) => processor.sizes.mostVideoFrames({ width: 28, height: 28 }, options),
  });
  assert.ok(lora);
  const warm = (value: unknown) => model.warmUp(value as never);
  for (const odd of ["symbol", "list", "function", "object that throws", "revoked object"]) {
    assert.is.not(await settle(`warmUp with ${odd}`, warm, ODD[odd]), "");
  }
});

test("functions of the processor", async () => {
  const sizes = {
    numFrames: 2,
    height: 56,
    width: 56,
    temporalFactor: 2,
    factor: 28,
    minPixels: 1,
    maxPixels: 1e6,
  };
  const config = processor.checkpoint.processor.image;
  const rgb = new Uint8Array(3 * 4);
  await tryAll({
    "mropePositions' types": (types) => mropePositions(types, { spatialMergeSize: 2 }),
    "mropePositions' options": (options) => mropePositions([0], options),
    "mropePositions' grids": (imageGridThw) => mropePositions([0, 1], { imageGridThw, spatialMergeSize: 2 }),
    "mropePositions' grid": (grid) => mropePositions([0, 1], { imageGridThw: [grid], spatialMergeSize: 2 }),
    "mropePositions' side": (side) =>
      mropePositions([0, 2], { videoGridThw: [[side, side, 2]], spatialMergeSize: 2 }),
    "mropePositions' merge size": (spatialMergeSize) => mropePositions([0], { spatialMergeSize }),
    "mropePositions' layout": (videoLayout) => mropePositions([0], { spatialMergeSize: 2, videoLayout }),
    "resizeBicubic's pixels": (pixels) => resizeBicubic(pixels, 2, 2, 4, 4),
    "resizeBicubic's width": (width) => resizeBicubic(rgb, width, 2, 4, 4),
    "resizeBicubic's options": (options) => resizeBicubic(rgb, 2, 2, 4, 4, options),
    "resizeBicubic's rounding": (rounding) => resizeBicubic(rgb, 2, 2, 4, 4, { rounding }),
    "smartResize's options": (options) => smartResize(options),
    ...Object.fromEntries(
      Object.keys(sizes).map((name) => [
        `smartResize's ${name}`,
        (value: never) => smartResize({ ...sizes, [name]: value }),
      ]),
    ),
    "imageSize's width": (width) => imageSize(width, 28, config),
    "imageSize's config": (value) => imageSize(28, 28, value),
    "videoSize's frames": (frames) => videoSize(frames, 28, 28, config),
    "videoSize's config": (value) => videoSize(2, 28, 28, value),
    "most features": (value) => imageSizeWithMostFeatures(value, 16),
    "most tokens": (value) => imageSizeWithMostFeatures(config, value),
    "encoder tokens": (value) => numEncoderTokens(value, value),
    "connector tokens": (value) => numConnectorTokens(value, value),
    "sampling's kind": (kind) => sampleVideoFrames(kind, { totalNumFrames: 9, fps: 3 }),
    "sampling's timing": (timing) => sampleVideoFrames("glm4v", timing),
    "sampling's frames": (totalNumFrames) => sampleVideoFrames("glm4v", { totalNumFrames, fps: 3 }),
    "sampling's rate": (fps) => sampleVideoFrames("glm4v", { totalNumFrames: 9, fps }),
    "sampling's duration": (duration) => sampleVideoFrames("glm4v", { totalNumFrames: 9, fps: 3, duration }),
    "sampling's fps": (fps) => sampleVideoFrames("glm4v", { totalNumFrames: 9, fps: 3 }, fps),
    "sampling's options": (options) => sampleVideoFrames("glm4v", { totalNumFrames: 9, fps: 3 }, 2, options),
    "the tokenizer's text": (text) => processor.tokenizer.encode(text),
    "the tokenizer's ids": (ids) => processor.tokenizer.decode(ids),
    "the tokenizer's options": (options) => processor.tokenizer.decode([1], options),
  });
});

/** An object whose fields are what they were the first time they were read, and something else ever after. */
function fickle<T extends object>(fields: T): T {
  const read = new Set<PropertyKey>();
  return new Proxy(fields, {
    get(target, key) {
      if (typeof key === "string" && key !== "length" && read.has(key)) return Symbol("changed");
      read.add(key);
      return Reflect.get(target, key);
    },
  });
}

test("what was checked is what is used: nothing is read twice", async () => {
  const inputs = await model.process(asking({ type: "image", image: picture }));
  const expected = await model.complete(inputs, one);
  const { visionItems: _, ...plain } = { ...inputs, pixelValues: inputs.pixelValues };
  const grid = inputs.imageGridThw[0] as [number, number, number];
  const item = { pixelValues: inputs.pixelValues as Float32Array, gridThw: fickle([...grid]) as typeof grid };
  for (const prompt of [
    fickle({ ...plain }),
    fickle({
      ...plain,
      inputIds: fickle([...inputs.inputIds]),
      imageGridThw: [fickle([...grid]) as typeof grid],
    }),
    { ...inputs, visionItems: [fickle(item)] },
    fickle([fickle({ role: "user", content: fickle([fickle({ type: "image", image: fickle(picture) })]) })]),
  ]) {
    const options = fickle({ ...one, stop: fickle(["never"]), stopTokenIds: fickle([3]) });
    const { tokenIds } = await model.complete(prompt as Message[], options);
    assert.equal(tokenIds, expected.tokenIds);
  }
  const [features] = await model.encodeImages([picture]);
  const image = fickle({ ...features!, gridThw: fickle([...features!.gridThw]) as typeof grid });
  const { tokenIds } = await model.complete(asking({ type: "image", image }), one);
  assert.equal(tokenIds, expected.tokenIds);
});

test("an onProgress that throws stops the work with its error, and nothing stays taken", async () => {
  const mine = new Error("enough");
  const onProgress = () => {
    throw mine;
  };
  const caught = async (work: () => Promise<unknown>) => {
    try {
      await work();
    } catch (error) {
      return error;
    }
    return null;
  };
  const asks = asking({ type: "image", image: picture });
  await model.complete(asks, one);
  const live = model.liveBytes;
  assert.is(await caught(() => loadModel(MODEL, { backend: "wasm", onProgress })), mine);
  assert.is(await caught(() => model.process(asks, { onProgress })), mine);
  assert.is(await caught(() => model.complete(asks, { onProgress })), mine);
  const inputs = await model.process(asks);
  assert.is(await caught(() => model.complete(inputs, { onProgress })), mine);
  assert.is(await caught(() => model.complete(question, { onProgress })), mine);
  // One whose features are not kept.
  const other = { ...picture, data: picture.data.map((value) => 255 - value) };
  assert.is(await caught(() => model.encodeImages([other], { onProgress })), mine);
  assert.is(model.liveBytes, live);
  assert.is((await model.complete(asks, one)).tokenIds.length, 1);
});

test("options of the answer are checked before pictures are read", async () => {
  const missing = asking({ type: "image", image: "no-such-file.png" });
  for (const options of [{ maxTokens: -1 }, { temperature: -1 }, { stop: "" }, { stopTokenIds: [-1] }]) {
    const message = await settle("options", () => model.complete(missing, options), null);
    assert.match(message, new RegExp(`^${Object.keys(options)[0]} `));
  }
});

test("tensors whose buffer was given away are refused as such", async () => {
  const floats = detached((buffer) => new Float32Array(buffer));
  for (const prompt of [
    { promptEmbeddings: floats },
    { inputIds: [1], pixelValues: floats, imageGridThw: [[1, 2, 2]] },
    asking({ type: "image", image: { embeddings: floats, gridThw: [1, 2, 2] } }),
  ]) {
    const message = await settle("detached", () => model.complete(prompt as never), null);
    assert.match(message, /given away|tokens for 0 image grids/);
  }
  const ids = detached((buffer) => new Int32Array(buffer));
  assert.match(await settle("detached", () => model.complete({ inputIds: ids } as never), null), /inputIds/);
});

test("misspelt fields of a prompt and of sizes are refused by name", async () => {
  const { inputIds } = await model.process(question);
  assert.match(
    await settle("prompt", () => model.complete({ inputIds, pixelvalues: null } as never), null),
    /pixelvalues/,
  );
  assert.match(
    await settle("plan", () => model.plan({ image: [] } as never), null),
    /sizes has no option "image"/,
  );
  const misspelt = { max_tokens: 1 } as never;
  const complaint = await settle("complete", () => model.complete(question, misspelt), null);
  assert.match(complaint, /^complete has no option "max_tokens" \(maxTokens is meant\?\); it has /);
  assert.match(complaint, /^((?!signal).)*maxTokens((?!signal).)*signal((?!signal).)*$/);
  assert.match(
    await settle("generate", () => model.generate(question, misspelt).next(), null),
    /^generate has no option "max_tokens"/,
  );
  assert.match(await settle("encode", () => model.encodeImages([], misspelt), null), /^encodeImages has no/);
  assert.match(
    await settle("plan", () => model.plan({ images: [{ width: 1, hight: 1 } as never] }), null),
    /hight/,
  );
});

test("what would have no effect is refused: Maps as objects, fields beside frames, options of messages for tensors", async () => {
  const map = new Map([["maxTokens", 1]]) as never;
  const video = (fields: object, beside: object = {}) =>
    processor.process(asking({ type: "video", video: { frames: [picture], ...fields }, ...beside }));
  const inputs = await model.process(question);
  const embedded = { promptEmbeddings: new Float32Array(model.config.text.hiddenSize) };
  const cases: readonly (readonly [RegExp, () => unknown])[] = [
    [/^complete: expected an object, found a Map/, () => model.complete(question, map)],
    [/^templateVariables is a Map/, () => model.process(question, { templateVariables: map })],
    [/metadata must be an object/, () => video({}, { metadata: map })],
    [/metadata has no field "frameRate"; it has fps/, () => video({}, { metadata: { frameRate: 3 } })],
    [/has no field "fps"; it has frames and metadata/, () => video({ fps: 3 })],
    [
      /^messages\[0\]\.content\[0\]\.image_url\.size: .*url, detail/,
      () => processor.process(asking({ type: "image_url", image_url: { url: picture, size: 3 } })),
    ],
    [/^tools has no effect/, () => model.complete(inputs, { ...one, tools: [{}] })],
    [/^videoLayout has no effect/, () => model.complete(inputs, { ...one, videoLayout: "block" })],
    [/inputIds beside them/, () => model.complete({ ...embedded, inputIds: [1] } as never, one)],
    [/imageGridThw beside/, () => model.complete({ ...embedded, imageGridThw: [[1, 2, 2]] } as never, one)],
  ];
  for (const [expected, run] of cases) assert.match(await settle(String(expected), run, null), expected);
  const known = { width: 28, height: 28, video_backend: "pyav", total_num_frames: 1, fps: 2 };
  assert.is(await settle("known metadata", () => video({ metadata: known }), null), "");
  const detail = { url: picture, detail: "low" } as const;
  assert.is(
    await settle("detail", () => processor.process(asking({ type: "image_url", image_url: detail })), null),
    "",
  );
});

test.run();
