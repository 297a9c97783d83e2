/** Frames to rows of pixelValues: resized, normalised, cut into patches, in the merge-block order of the checkpoints. */

import type { ImageProcessorConfig } from "../config/types.ts";
import { turnWhenDue } from "../event-loop.ts";
import { normaliseTable } from "./normalise.ts";
import { PixelArena } from "./pixels-module.ts";
import type { Rounding } from "./resample-weights.ts";
import { FrameResizer, type FrameSize } from "./resize.ts";

const CHANNELS = 3;

/**
 * Makes patches of a picture's or a video's frames, all in one arena, which is freed with this object. Bands of merge x
 * patch rows are normalised and cut one after the other, so that a picture passes through a strip of memory.
 */
export class Patchifier {
  readonly #arena = new PixelArena();
  readonly #resizer: FrameResizer;
  readonly #to: FrameSize;
  readonly #config: ImageProcessorConfig;
  readonly #table: number;
  readonly #bandRows: number;
  /** Patches of one band, floats. */
  readonly #patches: number;
  readonly #patchFloats: number;
  /** Resized frames of a video's temporal patch; of a picture, a band of its only frame. Allocated when needed. */
  #pixels: number | undefined;

  /** @param to sides are multiples of patch x merge. */
  constructor(from: FrameSize, to: FrameSize, config: ImageProcessorConfig, rounding: Rounding) {
    const { patchSize, mergeSize, temporalPatchSize } = config;
    this.#to = to;
    this.#config = config;
    this.#resizer = new FrameResizer(this.#arena, from, to, rounding);
    this.#table = this.#arena.place(normaliseTable(config, rounding));
    this.#bandRows = patchSize * mergeSize;
    this.#patchFloats = this.#bandRows * to.width * CHANNELS * temporalPatchSize;
    this.#patches = this.#arena.allocate(this.#patchFloats * Float32Array.BYTES_PER_ELEMENT);
  }

  /**
   * The patches of a picture: it stands for all frames of its temporal patch.
   *
   * @param frame u8 [height, width, 3].
   * @param out f32 [height/patch * width/patch, 3 * temporalPatchSize * patch * patch] of the size resized to, each row
   * [channel, frame, y, x]. Huge pictures take a while: turns of the event loop are taken. @throws ABORTED
   */
  async writePicture(
    frame: Uint8Array | Uint8ClampedArray,
    out: Float32Array,
    signal?: AbortSignal,
  ): Promise<void> {
    this.#pixels ??= this.#arena.allocate(this.#bandRows * this.#rowBytes);
    this.#resizer.begin(frame);
    for (let band = 0; band < this.#numBands; band++) {
      await turnWhenDue(signal);
      this.#resizer.nextRows(this.#bandRows, this.#pixels);
      this.#writeBand(band, this.#pixels, 0, out);
    }
  }

  /**
   * Resizes a frame, with turns, and keeps it as number `index` of the temporal patch that `writeFrames` writes. Add them
   * in order, one after the other. @throws ABORTED
   */
  async addFrame(index: number, frame: Uint8Array | Uint8ClampedArray, signal?: AbortSignal): Promise<void> {
    const { temporalPatchSize } = this.#config;
    this.#pixels ??= this.#arena.allocate(temporalPatchSize * this.#frameBytes);
    this.#resizer.begin(frame);
    let address = this.#pixels + index * this.#frameBytes;
    for (let band = 0; band < this.#numBands; band++, address += this.#bandRows * this.#rowBytes) {
      await turnWhenDue(signal);
      this.#resizer.nextRows(this.#bandRows, address);
    }
  }

  /** The patches of the frames that were added, as `writePicture` writes a picture's. */
  writeFrames(out: Float32Array): void {
    const frames = this.#pixels as number;
    for (let band = 0; band < this.#numBands; band++) {
      this.#writeBand(band, frames + band * this.#bandRows * this.#rowBytes, this.#frameBytes, out);
    }
  }

  #writeBand(band: number, pixels: number, frameStride: number, out: Float32Array): void {
    const { patchSize, mergeSize, temporalPatchSize } = this.#config;
    const { width } = this.#to;
    this.#arena.kernels.patchifyBand(
      ...([
        pixels,
        frameStride,
        temporalPatchSize,
        width,
        patchSize,
        mergeSize,
        this.#table,
        this.#patches,
      ] as const),
    );
    out.set(this.#arena.floats(this.#patches, this.#patchFloats), band * this.#patchFloats);
  }

  get #numBands(): number {
    return this.#to.height / this.#bandRows;
  }

  get #rowBytes(): number {
    return this.#to.width * CHANNELS;
  }

  get #frameBytes(): number {
    return this.#to.height * this.#rowBytes;
  }
}
