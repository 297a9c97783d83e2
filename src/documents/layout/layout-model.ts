/** PP-DocLayoutV3 in an ONNX runtime: a page in, its regions in the order of reading out. */

import { GlimtError, throwIfAborted } from "../../errors.ts";
import type { RgbImage } from "../../media/rgb-image.ts";
import { watch } from "../../workers/watch.ts";
import { type Region, regionsOf } from "./boxes.ts";
import type { OnnxRuntime, OnnxSession, OnnxTensor } from "./onnx-runtime.ts";
import { boxesOf } from "./outputs.ts";
import { resizedPlanes } from "./resize-cubic.ts";

/** A model that finds the regions of pages. */
export interface LayoutModel {
  /** @throws INPUT_INVALID, TIMED_OUT, ABORTED */
  regions(page: RgbImage, signal: AbortSignal | undefined): Promise<Region[]>;
  /** Frees it. */
  dispose(): Promise<void>;
}

export interface LayoutModelOptions {
  /** Boxes that the model is less sure of are left out. */
  readonly threshold: number;
  /** Milliseconds for a page. */
  readonly timeout: number;
}

const SIDE = 800;
/** Inputs by their names in the known exports. */
const PICTURE = ["image", "pixel_values", "images", "x", "input"];
const SCALE = "scale_factor";
const SIZE = "im_shape";

/** @throws INPUT_INVALID for what is no such model */
export async function openLayoutModel(
  bytes: Uint8Array,
  runtime: OnnxRuntime,
  options: LayoutModelOptions,
): Promise<LayoutModel> {
  const session = await runtime.InferenceSession.create(bytes).catch((cause: Error) => {
    throw new GlimtError("INPUT_INVALID", `The layout model can not be loaded: ${cause.message}.`, { cause });
  });
  const picture = session.inputNames.find((name) => PICTURE.includes(name));
  const stranger = session.inputNames.find((name) => ![picture, SCALE, SIZE].includes(name));
  if (picture === undefined || stranger !== undefined) {
    await session.release();
    throw new GlimtError(
      "INPUT_INVALID",
      `The layout model reads ${session.inputNames.join(", ")}; expected ${PICTURE.slice(0, 2).join(" or ")}, and beside it at most ${SIZE} and ${SCALE}, as PP-DocLayoutV3 does.`,
    );
  }
  const tensor = (data: Float32Array, dims: readonly number[]) => new runtime.Tensor("float32", data, dims);
  // One page after the other: a run has all cores.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(task: () => Promise<T>): Promise<T> => {
    const run = last.then(task);
    last = run.catch(() => undefined);
    return run;
  };
  return {
    regions: ({ data, width, height }, signal) =>
      inTurn(async () => {
        const pixels = await resizedPlanes(data, width, height, SIDE, signal);
        const feeds: Record<string, OnnxTensor> = { [picture]: tensor(pixels, [1, 3, SIDE, SIDE]) };
        const scales = [SIDE / height, SIDE / width];
        if (session.inputNames.includes(SCALE)) feeds[SCALE] = tensor(Float32Array.from(scales), [1, 2]);
        if (session.inputNames.includes(SIZE)) feeds[SIZE] = tensor(Float32Array.of(SIDE, SIDE), [1, 2]);
        const outputs = await runWithin(session, feeds, options.timeout, signal);
        // With its scale the model answers in pixels of the page.
        const isScaled = session.inputNames.includes(SCALE);
        const back = isScaled ? ([1, 1] as const) : ([width / SIDE, height / SIDE] as const);
        return regionsOf(boxesOf(outputs, { width, height }, back), { width, height }, options.threshold);
      }),
    dispose: () => inTurn(() => session.release()),
  };
}

/** What is late is left behind: a runtime can not be stopped. */
async function runWithin(
  session: OnnxSession,
  feeds: Readonly<Record<string, OnnxTensor>>,
  timeout: number,
  signal: AbortSignal | undefined,
) {
  throwIfAborted(signal);
  const late = (milliseconds: number) =>
    new GlimtError(
      "TIMED_OUT",
      `The layout model took more than ${milliseconds} ms for a page; raise the option layout.timeout.`,
    );
  let stop = () => {};
  const end = new Promise<never>((_, reject) => {
    stop = watch(signal, timeout, late, reject);
  });
  try {
    return await Promise.race([
      session.run(feeds).catch((cause: Error) => {
        throw new GlimtError("INPUT_INVALID", `The layout model failed: ${cause.message}.`, { cause });
      }),
      end,
    ]);
  } finally {
    stop();
  }
}
