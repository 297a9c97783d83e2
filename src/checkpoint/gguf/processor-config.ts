/** What processor_config.json would say of a GGUF model: from its keys, and where they are silent as the family published. */
import type { GgufVision } from "./vision-config.ts";

/** Of all released models: areas over the frames of a patch. */
const PUBLISHED = {
  image: { shortest_edge: 12544, longest_edge: 9_633_792 },
  video: { shortest_edge: 12544, longest_edge: 47_040_000 },
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
} as const;

/** The file's numbers; the published ones where those are the same in float32, and where it has none. */
function unrounded(values: readonly number[] | undefined, published: readonly number[]): readonly number[] {
  const isSame = values?.every((value, axis) => value === Math.fround(published[axis] as number));
  return values && !isSame ? values : published;
}

export interface GgufProcessor {
  readonly json: object;
  /** What was not in the file, in sentences. */
  readonly notes: readonly string[];
}

/**
 * @param vision of the tower; null without one: nothing is then resized, and there is nothing to tell
 * @param names what the file calls the model: the processors of GLM-4.6V and GLM-OCR sample videos otherwise than those
 * of the models before them
 */
export function ggufProcessor(
  vision: GgufVision | null,
  sizes: { readonly patchSize: number; readonly temporalPatchSize: number; readonly mergeSize: number },
  isOcr: boolean,
  names: readonly string[],
): GgufProcessor {
  const isLater = isOcr || names.some((name) => /4[.-]?6v/i.test(name));
  const kind = isLater ? "Glm46V" : "Glm4v";
  const frames = sizes.temporalPatchSize;
  const { minPixels, maxPixels, imageMean, imageStd } = vision ?? {};
  const part = (limits: { readonly shortest_edge: number; readonly longest_edge: number }) => ({
    size: limits,
    do_rescale: true,
    patch_size: sizes.patchSize,
    temporal_patch_size: frames,
    merge_size: sizes.mergeSize,
    image_mean: unrounded(imageMean, PUBLISHED.mean),
    image_std: unrounded(imageStd, PUBLISHED.std),
  });
  const image = {
    shortest_edge: minPixels === undefined ? PUBLISHED.image.shortest_edge : minPixels * frames,
    longest_edge: maxPixels === undefined ? PUBLISHED.image.longest_edge : maxPixels * frames,
  };
  const isSilent = minPixels === undefined || maxPixels === undefined;
  const notes = [
    ...(isSilent
      ? [
          `The file has no limits of pixels: pictures are resized as GLM publishes, to at most ${image.longest_edge / frames}.`,
        ]
      : []),
    `The file does not say how videos are sampled: as ${isLater ? "GLM-4.6V and GLM-OCR" : "GLM-4.1V and GLM-4.5V"} do, by the model's name.`,
  ];
  return {
    json: {
      processor_class: `${kind}Processor`,
      image_processor: { ...part(image), image_processor_type: `${kind}ImageProcessor` },
      video_processor: { ...part(PUBLISHED.video), video_processor_type: `${kind}VideoProcessor` },
    },
    notes: vision ? notes : [],
  };
}
