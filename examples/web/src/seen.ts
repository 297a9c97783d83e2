/** One picture or video as the model is given it: its frames as pixels, its grid of tokens. */
import { type GridThw, type MediaFacts, type Model, type ProcessedInputs, unpatchify } from "glimt";
import type { PatchGrid } from "../../../src/views/patch-grid.ts";

export interface Seen {
  readonly facts: MediaFacts;
  readonly patchSize: number;
  /** A frame's grid, to be drawn. */
  readonly patches: PatchGrid;
  /** Tokens: frames that are told apart, rows, columns. */
  readonly grid: GridThw;
  /** Frames that share one token in time. */
  readonly framesATime: number;
  /** Draws a frame of those that were taken, as large as the model has it, in turns. @throws ABORTED */
  draw(canvas: HTMLCanvasElement, frame: number, signal: AbortSignal): Promise<void>;
}

/** What was processed of the question's picture or video; null where there is none. */
export function seenIn(inputs: ProcessedInputs, { processorConfig }: Model): Seen | null {
  const facts = inputs.media[0];
  const item = inputs.visionItems[0];
  if (!facts || !item || !("pixelValues" in item)) return null;
  const { pixelValues } = item;
  const config = facts.type === "image" ? processorConfig.image : processorConfig.video;
  const { patchSize, mergeSize, temporalPatchSize } = config;
  const [t, h, w] = facts.gridThw;
  return {
    facts,
    patchSize,
    patches: { width: w * patchSize, height: h * patchSize, gridThw: facts.gridThw, mergeSize },
    grid: [t, h / mergeSize, w / mergeSize],
    framesATime: facts.type === "image" ? 1 : temporalPatchSize,
    async draw(canvas, frame, signal) {
      const { data, width, height } = await unpatchify(pixelValues, facts.gridThw, config, { frame, signal });
      canvas.width = width;
      canvas.height = height;
      canvas.getContext("2d")?.putImageData(new ImageData(data, width, height), 0, 0);
    },
  };
}
