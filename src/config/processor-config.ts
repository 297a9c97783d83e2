/**
 * preprocessor_config.json, video_preprocessor_config.json and processor_config.json -> ProcessorConfig. Files are
 * preferred as transformers 5.x does: sections nested in processor_config.json first, then each one's own file, and
 * for videos at last the image processor's file.
 */
import { GlimtError } from "../errors.ts";
import { deepFreeze } from "./freeze.ts";
import { JsonSection } from "./json-section.ts";
import type {
  ImageProcessorConfig,
  ModelConfig,
  ProcessorConfig,
  ProcessorKind,
  VideoSamplingConfig,
} from "./types.ts";

const CLASS_NAME = /^(Glm4v|Glm46V)(?:Image|Video)?Processor(?:Fast|Pil)?$/;
const KINDS: Readonly<Record<string, ProcessorKind>> = { Glm4v: "glm4v", Glm46V: "glm46v" };
const CLASS_KEYS = ["processor_class", "image_processor_type", "video_processor_type"] as const;

/** PIL's and torchvision's number for bicubic. */
const BICUBIC = 3;

/** Each argument is a parsed file, or undefined where the checkpoint has none. Throws `CONFIG_INVALID`. */
export function parseProcessorConfig(
  preprocessorJson: unknown,
  videoPreprocessorJson?: unknown,
  processorJson?: unknown,
): ProcessorConfig {
  const file = (json: unknown, name: string) => (json === undefined ? null : JsonSection.root(json, name));
  const processor = file(processorJson, "processor_config.json");
  const imageFile = file(preprocessorJson, "preprocessor_config.json");
  const image = processor?.optionalSection("image_processor") ?? imageFile;
  const video =
    processor?.optionalSection("video_processor") ??
    file(videoPreprocessorJson, "video_preprocessor_config.json") ??
    imageFile ??
    image;
  if (!image || !video) {
    throw new GlimtError(
      "CONFIG_INVALID",
      "The checkpoint has no preprocessor_config.json and no image_processor in processor_config.json.",
    );
  }
  return deepFreeze({
    kind: processorKind([processor, image, video]),
    image: parseImageProcessor(image),
    video: parseImageProcessor(video),
    sampling: parseSampling(video),
  });
}

/** Throws `CONFIG_INVALID` when the pictures that the processor cuts are not those the vision tower reads. */
export function checkProcessorFitsModel(processor: ProcessorConfig, { vision }: ModelConfig): void {
  for (const [part, { patchSize, temporalPatchSize, mergeSize }] of [
    ["image", processor.image],
    ["video", processor.video],
  ] as const) {
    for (const [key, found, modelKey, expected] of [
      ["patch_size", patchSize, "patch_size", vision.patchSize],
      ["temporal_patch_size", temporalPatchSize, "temporal_patch_size", vision.temporalPatchSize],
      ["merge_size", mergeSize, "spatial_merge_size", vision.spatialMergeSize],
    ] as const) {
      if (found === expected) continue;
      throw new GlimtError(
        "CONFIG_INVALID",
        `The ${part} processor's ${key} is ${found}, but config.json's vision_config.${modelKey} is ${expected}.`,
      );
    }
  }
}

/** The class names decide, not model_type: GLM-4.6V-Flash is a glm4v model with Glm46V processors. */
function processorKind(sections: readonly (JsonSection | null)[]): ProcessorKind {
  const found = new Map<ProcessorKind, string>();
  for (const section of sections) {
    for (const key of CLASS_KEYS) {
      if (!section?.has(key)) continue;
      const name = section.string(key);
      const kind = KINDS[CLASS_NAME.exec(name)?.[1] ?? ""];
      if (!kind) throw section.invalid(key, "a Glm4v or Glm46V processor class");
      found.set(kind, name);
    }
  }
  const [kind, ...others] = found.keys();
  if (!kind || others.length > 0) {
    const names = [...found.values()].join(" and ");
    throw new GlimtError(
      "CONFIG_INVALID",
      kind
        ? `The processor files mix ${names}; they must name one generation, which decides how videos are sampled.`
        : "No processor file names its class (image_processor_type, e.g. Glm4vImageProcessor).",
    );
  }
  return kind;
}

/** `num_frames` is not read: these processors of transformers have the key and do not use it. */
function parseSampling(section: JsonSection): VideoSamplingConfig {
  return {
    sampleFrames: section.has("do_sample_frames") ? section.boolean("do_sample_frames") : null,
    fps: section.has("fps") ? section.positiveNumber("fps") : null,
    maxDuration: section.has("max_duration") ? section.positiveNumber("max_duration") : null,
  };
}

function parseImageProcessor(section: JsonSection): ImageProcessorConfig {
  // Steps that transformers can switch off; glimt always runs them, and absent means on.
  for (const step of ["do_resize", "do_rescale", "do_normalize", "do_convert_rgb"]) {
    if (section.has(step) && !section.boolean(step)) throw section.invalid(step, "true");
  }
  if (section.has("resample") && section.naturalNumber("resample") !== BICUBIC) {
    throw section.invalid("resample", `${BICUBIC} (bicubic)`);
  }
  const size = section.section("size");
  const minPixels = size.positiveInteger("shortest_edge");
  const maxPixels = size.positiveInteger("longest_edge");
  if (maxPixels < minPixels) throw size.invalid("longest_edge", `at least shortest_edge (${minPixels})`);
  const imageStd = section.numberTriple("image_std");
  if (imageStd.some((value) => value <= 0)) throw section.invalid("image_std", "positive numbers");
  return {
    patchSize: section.positiveInteger("patch_size"),
    temporalPatchSize: section.positiveInteger("temporal_patch_size"),
    mergeSize: section.positiveInteger("merge_size"),
    minPixels,
    maxPixels,
    imageMean: section.numberTriple("image_mean"),
    imageStd,
    // Published files leave it out; every image processor of transformers then scales bytes to 0..1.
    rescaleFactor: section.has("rescale_factor") ? section.positiveNumber("rescale_factor") : 1 / 255,
  };
}
