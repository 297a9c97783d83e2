/** Features of all golden pictures of a checkpoint on a backend: one at a time, in one batch, padded to budgets. */
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import type { GridThw } from "../../src/processor/grid.ts";
import { type EncoderItem, selectEncoderItems } from "../../src/prompt/vision-items.ts";
import { encoderBudget } from "../../src/runtime/encoder-batch.ts";
import { goldenCases } from "../golden/load.ts";
import { openCheckpointStages } from "../models/checkpoint-stages.ts";

/** Asserts that batching and padding change no feature by more than `most`. */
export async function comparePadded(backend: Backend, name: string, most: number): Promise<void> {
  const cases = goldenCases(name);
  const checkpoint = await openCheckpoint(await openDirectory(cases[0]?.checkpointDir as string));
  const items = cases.flatMap(({ imageGridThw, videoGridThw, pixelValues, pixelValuesVideos }) => [
    ...itemsOf(imageGridThw, pixelValues?.data),
    ...itemsOf(videoGridThw, pixelValuesVideos?.data),
  ]);
  const alone = await encode(backend, checkpoint, items, [], false);
  const { outHiddenSize } = checkpoint.config.vision;
  const total = alone.length / outHiddenSize;
  for (const tokens of [[], [total + 3], [17, 40]]) {
    const together = await encode(backend, checkpoint, items, tokens, true);
    assert.is(together.length, alone.length);
    const difference = alone.reduce(
      (max, value, index) => Math.max(max, Math.abs(value - (together[index] as number))),
      0,
    );
    assert.ok(difference <= most, `budgets of ${tokens.join(", ")} tokens: differs by ${difference}`);
  }
}

function itemsOf(
  grids: readonly (readonly number[])[],
  pixelValues: Float32Array | undefined,
): EncoderItem[] {
  if (!pixelValues) return [];
  return selectEncoderItems({ pixelValues, gridThw: grids as readonly GridThw[] }, [...grids.keys()]);
}

async function encode(
  backend: Backend,
  checkpoint: Checkpoint,
  items: readonly EncoderItem[],
  budgetTokens: readonly number[],
  inOneBatch: boolean,
): Promise<number[]> {
  const { config } = checkpoint;
  const { engine, encoder } = await openCheckpointStages(backend, checkpoint, {
    // As many frames as tokens: a small video has few tokens a frame.
    encoderBudgets: budgetTokens.map((tokens) => ({
      ...encoderBudget(tokens, config.vision.spatialMergeSize),
      frames: tokens,
    })),
  });
  const parts: number[] = [];
  for (const batch of inOneBatch ? [items] : items.map((item) => [item])) {
    const features = await encoder.encode(batch);
    const { tensor, firstRow, rows } = features.deviceRows();
    parts.push(...((await engine.read(tensor, firstRow, rows)) as Float32Array));
    features.release();
  }
  engine.dispose();
  return parts;
}
