/** The pixels of several pictures as one array: a copy that is made for who reads it, and for nobody else. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Message, openCheckpoint, openFiles, openProcessor } from "../../src/index.ts";
import { decoderPrompt } from "../../src/prompt/prompt-inputs.ts";
import { goldenCases, goldenCheckpoints } from "../golden/load.ts";

const [name] = goldenCheckpoints();
const cases = goldenCases(name!);
const directory = cases[0]!.checkpointDir;
const processor = await openProcessor(directory, { media: "huggingface" });

async function processed(caseName: string) {
  const golden = cases.find((one) => one.name.endsWith(caseName))!;
  return processor.process(golden.messages as Message[], { templateVariables: golden.templateOptions });
}

test("they are the items' pixels one after another, the same array each time", async () => {
  for (const [caseName, field] of [
    ["two-images", "pixelValues"],
    ["two-videos", "pixelValuesVideos"],
  ] as const) {
    const inputs = await processed(caseName);
    const items = inputs.visionItems.map((item) => ("pixelValues" in item ? item.pixelValues : null)!);
    assert.is(items.length, 2);
    const all = inputs[field]!;
    assert.equal(all, Float32Array.from(items.flatMap((pixels) => [...pixels])));
    assert.is(inputs[field], all);
  }
});

test("one picture's are its item's, and without pictures there are none", async () => {
  const { pixelValues, pixelValuesVideos, visionItems } = await processed("one-image");
  assert.is(pixelValues, (visionItems[0] as { pixelValues: Float32Array }).pixelValues);
  assert.is(pixelValuesVideos, null);
});

test("copies of the inputs hold them", async () => {
  const inputs = await processed("two-images");
  assert.ok(Object.keys(inputs).includes("pixelValues"));
  assert.is({ ...inputs }.pixelValues, inputs.pixelValues);
  assert.equal(structuredClone(inputs).pixelValues, inputs.pixelValues);
});

test("generating does not read them", async () => {
  const inputs = await processed("two-images");
  const guarded = Object.defineProperties({} as typeof inputs, {
    ...Object.getOwnPropertyDescriptors(inputs),
    pixelValues: { enumerable: true, get: () => assert.unreachable("pixelValues was read") },
  });
  const { config } = await openCheckpoint(await openFiles(directory));
  assert.is(decoderPrompt(guarded, config).visionItems.length, 2);
});

test.run();
