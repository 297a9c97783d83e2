/** Pictures and frames as a report shows them: what the model sees, as data: addresses, within a size. */
import { formatBytes } from "../../compiler/print.ts";
import type { ImageProcessorConfig, ProcessorConfig } from "../../config/types.ts";
import type { MediaFacts, ProcessedInputs, VisionItem } from "../../index.ts";
import { encodePng } from "../../media/encode-png.ts";
import type { RgbImage } from "../../media/rgb-image.ts";
import { numPatches } from "../../processor/grid.ts";
import { patchLength } from "../../processor/image.ts";
import { type RgbaImage, unpatchify } from "../../processor/unpatchify.ts";
import { countOf, grouped } from "../../views/markup.ts";
import type { ShownMedia } from "../../views/request.ts";

/** Of all pictures together; a PNG of a photo takes about two bytes a pixel, and a third more as text. */
const MOST_PICTURE_PIXELS = 2_000_000;
/** Sides of frames: they are looked at side by side. */
const FRAME_SIDE = 208;
const MOST_FRAMES = 96;

export interface ShownPictures {
  readonly media: readonly ShownMedia[];
  /** What is shown otherwise than the model sees it, in sentences. */
  readonly notes: readonly string[];
}

export async function shownMedia(
  { media, visionItems }: Pick<ProcessedInputs, "media" | "visionItems">,
  config: Pick<ProcessorConfig, "image" | "video">,
): Promise<ShownPictures> {
  const images = media.filter(({ type }) => type === "image");
  const pixels = images.reduce((sum, item) => sum + pixelsOf(item, config.image), 0);
  const shrink = Math.max(1, Math.ceil(Math.sqrt(pixels / MOST_PICTURE_PIXELS)));
  const frames = media.reduce((sum, { source }) => sum + (source?.frames?.indices.length ?? 0), 0);
  const everyFrame = Math.max(1, Math.ceil(frames / MOST_FRAMES));
  const shown: ShownMedia[] = [];
  for (const [index, item] of media.entries()) {
    const values = pixelValuesOf(visionItems[index] as VisionItem);
    if (!values) shown.push(item);
    else if (item.type === "image") {
      const picture = await unpatchify(values, item.gridThw, config.image);
      shown.push({ ...item, href: await dataAddress(shrunk(picture, shrink)) });
    } else {
      shown.push({ ...item, frameHrefs: await frameAddresses(item, values, config.video, everyFrame) });
    }
  }
  const smaller =
    shrink > 1
      ? [
          `Pictures are shown at 1 / ${shrink} of their sides, so that this page stays small; the model sees them whole.`,
        ]
      : [];
  const fewer =
    everyFrame > 1
      ? [
          `Of ${grouped(frames)} frames of videos one in ${everyFrame} is shown; the model sees all that were taken.`,
        ]
      : [];
  return { media: shown, notes: [...smaller, ...fewer, ...sizeNote(shown)] };
}

function sizeNote(shown: readonly ShownMedia[]): string[] {
  const addresses = shown.flatMap(({ href, frameHrefs = [] }) =>
    [href, ...frameHrefs].filter((address) => address !== undefined),
  );
  if (addresses.length === 0) return [];
  const bytes = addresses.reduce((sum, { length }) => sum + length, 0);
  return [`This page holds ${countOf(addresses.length, "picture")} in ${formatBytes(bytes)}.`];
}

function pixelValuesOf(item: VisionItem): Float32Array | undefined {
  return "pixelValues" in item ? item.pixelValues : undefined;
}

function pixelsOf({ gridThw: [, h, w] }: MediaFacts, { patchSize }: ImageProcessorConfig): number {
  return h * w * patchSize ** 2;
}

async function frameAddresses(
  { gridThw, source }: MediaFacts,
  values: Float32Array,
  config: ImageProcessorConfig,
  everyFrame: number,
): Promise<(string | undefined)[]> {
  const [, h, w] = gridThw;
  const factor = Math.max(1, Math.ceil((Math.max(h, w) * config.patchSize) / FRAME_SIDE));
  const step = numPatches([1, h, w]) * patchLength(config);
  const addresses: (string | undefined)[] = [];
  for (const at of source?.frames?.indices.keys() ?? []) {
    if (at % everyFrame !== 0) {
      addresses.push(undefined);
      continue;
    }
    const temporal = Math.floor(at / config.temporalPatchSize);
    const patches = values.subarray(temporal * step, (temporal + 1) * step);
    const frame = await unpatchify(patches, [1, h, w], config, { frame: at % config.temporalPatchSize });
    addresses.push(await dataAddress(shrunk(frame, factor)));
  }
  return addresses;
}

async function dataAddress(picture: RgbImage): Promise<string> {
  return `data:image/png;base64,${Buffer.from(await encodePng(picture)).toString("base64")}`;
}

/** Without alpha, each pixel the mean of a square of `factor` a side; squares at the right and below may be cut. */
export function shrunk({ data, width, height }: RgbaImage, factor: number): RgbImage {
  const [outWidth, outHeight] = [Math.ceil(width / factor), Math.ceil(height / factor)];
  const out = new Uint8Array(outWidth * outHeight * 3);
  for (let row = 0, to = 0; row < outHeight; row++) {
    const bottom = Math.min(height, (row + 1) * factor);
    for (let column = 0; column < outWidth; column++) {
      const right = Math.min(width, (column + 1) * factor);
      const area = (bottom - row * factor) * (right - column * factor);
      for (let channel = 0; channel < 3; channel++, to++) {
        let sum = 0;
        for (let y = row * factor; y < bottom; y++) {
          for (let x = column * factor; x < right; x++) sum += data[(y * width + x) * 4 + channel] as number;
        }
        out[to] = Math.round(sum / area);
      }
    }
  }
  return { data: out, width: outWidth, height: outHeight };
}
