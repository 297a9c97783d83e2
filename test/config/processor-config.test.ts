import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseGenerationConfig } from "../../src/config/generation-config.ts";
import { parseModelConfig } from "../../src/config/model-config.ts";
import { checkProcessorFitsModel, parseProcessorConfig } from "../../src/config/processor-config.ts";
import { GlimtError } from "../../src/errors.ts";
import { glm4v, glm4vPreprocessor, glm46vPreprocessor, withValue } from "./released.ts";

const video = {
  ...withValue(glm4vPreprocessor, "image_processor_type", undefined),
  video_processor_type: "Glm4vVideoProcessor",
  size: { shortest_edge: 12544, longest_edge: 47040000 },
};

function failure(run: () => unknown): GlimtError {
  try {
    run();
  } catch (error) {
    if (error instanceof GlimtError) return error;
    throw error;
  }
  throw new Error("The config was accepted.");
}

test("each file gives its own budget; absent rescale_factor is 1/255", () => {
  const config = parseProcessorConfig(glm4vPreprocessor, video);
  assert.is(config.kind, "glm4v");
  assert.is(config.image.maxPixels, 9633792);
  assert.is(config.video.maxPixels, 47040000);
  assert.is(config.image.minPixels, 12544);
  assert.is(config.image.rescaleFactor, 1 / 255);
  assert.equal(config.image.imageStd, [0.26862954, 0.26130258, 0.27577711]);
});

test("without a video file the image processor's values serve videos", () => {
  const config = parseProcessorConfig(glm46vPreprocessor);
  assert.is(config.kind, "glm46v");
  assert.equal(config.video, config.image);
});

test("sections nested in processor_config.json come first", () => {
  const nested = {
    processor_class: "Glm4vProcessor",
    image_processor: {
      ...glm4vPreprocessor,
      image_processor_type: "Glm4vImageProcessorPil",
      size: { shortest_edge: 784, longest_edge: 1568 },
    },
    video_processor: video,
  };
  const config = parseProcessorConfig(glm4vPreprocessor, undefined, nested);
  assert.is(config.image.maxPixels, 1568);
  assert.is(config.video.maxPixels, 47040000);
  assert.is(parseProcessorConfig(undefined, undefined, nested).image.minPixels, 784);
  const flat = parseProcessorConfig(glm4vPreprocessor, video, { processor_class: "Glm4vProcessor" });
  assert.is(flat.image.maxPixels, 9633792);
});

for (const name of ["Glm4vImageProcessor", "Glm4vImageProcessorFast", "Glm4vImageProcessorPil"]) {
  test(`${name} is the 4.1V processor`, () => {
    assert.is(parseProcessorConfig({ ...glm4vPreprocessor, image_processor_type: name }).kind, "glm4v");
  });
}

for (const [path, value, expected] of [
  ["size", undefined, "size: expected an object, found nothing"],
  ["size.longest_edge", undefined, "size.longest_edge: expected a positive integer, found nothing"],
  ["size.longest_edge", 100, "at least shortest_edge"],
  ["patch_size", undefined, "patch_size"],
  ["merge_size", 0, "merge_size"],
  ["image_mean", [0.5, 0.5], "three numbers"],
  ["image_std", [0.2, 0, 0.2], "positive numbers"],
  ["do_resize", false, "do_resize: expected true"],
  ["resample", 2, "bicubic"],
  ["image_processor_type", "Qwen2VLImageProcessor", "Glm4v or Glm46V"],
  ["processor_class", "Glm46VProcessor", "mix Glm46VProcessor and Glm4vImageProcessor"],
] as const) {
  test(`preprocessor ${path} = ${JSON.stringify(value)} is refused`, () => {
    const error = failure(() => parseProcessorConfig(withValue(glm4vPreprocessor, path, value)));
    assert.is(error.code, "CONFIG_INVALID");
    assert.ok(error.message.includes(expected), error.message);
  });
}

test("no processor file, or none that names a class, is refused", () => {
  assert.match(failure(() => parseProcessorConfig(undefined)).message, "preprocessor_config.json");
  const anonymous = withValue(
    withValue(glm4vPreprocessor, "processor_class", undefined),
    "image_processor_type",
    undefined,
  );
  assert.match(failure(() => parseProcessorConfig(anonymous)).message, "image_processor_type");
});

test("a processor that cuts other patches than the tower reads is refused", () => {
  const model = parseModelConfig(glm4v);
  checkProcessorFitsModel(parseProcessorConfig(glm4vPreprocessor), model);
  const other = parseProcessorConfig({ ...glm4vPreprocessor, patch_size: 16 });
  const error = failure(() => checkProcessorFitsModel(other, model));
  assert.is(error.code, "CONFIG_INVALID");
  assert.match(error.message, "patch_size is 16");
});

test("generation: ids from its own file, else from config.json; absent keys are null", () => {
  const full = parseGenerationConfig(
    { eos_token_id: [1, 2, 2], pad_token_id: 1, do_sample: true, temperature: 0.8, top_k: 2, top_p: 0.6 },
    glm4v,
  );
  assert.equal(full, {
    eosTokenIds: [1, 2],
    padTokenId: 1,
    doSample: true,
    temperature: 0.8,
    topP: 0.6,
    topK: 2,
    repetitionPenalty: null,
  });
  const none = parseGenerationConfig(undefined, glm4v);
  assert.equal(none.eosTokenIds, [151329, 151336, 151338, 151348]);
  assert.is(none.padTokenId, 151329);
  assert.is(none.doSample, false);
  assert.is(none.temperature, null);
  assert.equal(parseGenerationConfig({ eos_token_id: 7 }, glm4v).eosTokenIds, [7]);
  const flat = parseGenerationConfig(undefined, { eos_token_id: 5 });
  assert.equal(flat.eosTokenIds, [5]);
  for (const nobodys of [-1, 2 ** 60, "none", [1]]) {
    assert.is(parseGenerationConfig({ pad_token_id: nobodys, eos_token_id: [] }, glm4v).padTokenId, null);
  }
  assert.equal(parseGenerationConfig({ eos_token_id: [] }, glm4v).eosTokenIds, []);
  assert.equal(parseGenerationConfig({ eos_token_id: [-1, 7] }, glm4v).eosTokenIds, [7]);
  assert.is(failure(() => parseGenerationConfig({ eos_token_id: "x" }, glm4v)).code, "CONFIG_INVALID");
  assert.is(parseGenerationConfig({ top_k: -1 }, glm4v).topK, 0);
  assert.is(failure(() => parseGenerationConfig({ top_k: -2 }, glm4v)).code, "CONFIG_INVALID");
  assert.is(failure(() => parseGenerationConfig({ temperature: -1 }, glm4v)).code, "CONFIG_INVALID");
});

test.run();
