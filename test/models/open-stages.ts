/** The programs of a golden checkpoint on a backend, without tokenizer and processor: stages to test one by one. */

import type { WeightStorage } from "../../src/api/weight-dtype.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import type { CompileOptions } from "../../src/compiler/compile.ts";
import { type PositionIds, textPositions } from "../../src/mrope/positions.ts";
import type { GridThw } from "../../src/processor/grid.ts";
import { answerOf, type SequenceSlice } from "../../src/runtime/decoder.ts";
import type { FeatureRange } from "../../src/runtime/feature-slab.ts";
import { Sequence } from "../../src/runtime/kv-pool.ts";
import { toFloat32 } from "../../src/tensor/elements.ts";
import type { GoldenCase } from "../golden/load.ts";
import { openCheckpointStages } from "./checkpoint-stages.ts";

export interface Stages {
  /** Features of all pictures: [tokens that stand for them, hidden]. */
  encode(golden: GoldenCase): Promise<Float32Array | null>;
  /** Logits after the prompt, read in chunks of `chunk` tokens, then after each of the golden tokens but the last. */
  decode(golden: GoldenCase, chunk?: number): Promise<Float32Array[]>;
  dispose(): void;
}

export async function openStages(
  backend: Backend,
  source: string | Checkpoint,
  compile: CompileOptions = {},
  storage: WeightStorage = {},
): Promise<Stages> {
  const checkpoint = typeof source === "string" ? await openCheckpoint(await openDirectory(source)) : source;
  const { engine, encoder, decoder, pool, slab } = await openCheckpointStages(backend, checkpoint, {
    compile,
    storage,
  });

  const encode = async (golden: GoldenCase): Promise<FeatureRange | null> => {
    const items = visionItems(golden);
    return items.length === 0 ? null : encoder.encode(items);
  };
  const step = async (slice: SequenceSlice) => answerOf((await decoder.forward([slice]))[0]).logits[0];
  return {
    async encode(golden) {
      const features = await encode(golden);
      if (!features) return null;
      const { tensor, firstRow, rows } = features.deviceRows();
      const values = toFloat32(slab.dtype, await engine.read(tensor, firstRow, rows));
      features.release();
      return values;
    },
    async decode(golden, chunk = golden.inputIds.length) {
      const features = await encode(golden);
      const sequence = new Sequence(pool);
      const logits: Float32Array[] = [];
      let firstRow = 0;
      for (let start = 0; start < golden.inputIds.length; start += chunk) {
        const end = Math.min(start + chunk, golden.inputIds.length);
        const types = golden.mmTokenTypeIds.slice(start, end);
        const rows = Int32Array.from([...types.keys()].filter((row) => types[row] !== 0));
        const inputIds = golden.inputIds.slice(start, end);
        const axis = (index: 0 | 1 | 2) =>
          Int32Array.from(golden.positionIds[index]?.slice(start, end) ?? []);
        const positionIds: PositionIds = [axis(0), axis(1), axis(2)];
        const slice = { sequence, inputIds, positionIds, wantsLogits: end === golden.inputIds.length };
        const first = firstRow;
        const sources = rows.map((_, index) => (features?.firstRow ?? 0) + first + index);
        const after = await step(rows.length > 0 ? { ...slice, features: { sources, rows } } : slice);
        if (after) logits.push(after);
        firstRow += rows.length;
      }
      for (const tokenId of golden.greedyIds.slice(0, -1)) {
        const positionIds = textPositions(sequence.length, 1, golden.ropeDelta);
        const slice = { sequence, inputIds: [tokenId], positionIds, wantsLogits: true };
        logits.push((await step(slice)) as Float32Array);
      }
      sequence.release();
      features?.release();
      return logits;
    },
    dispose: () => engine.dispose(),
  };
}

/** The case's pictures and videos in the order of its features: pictures first. */
function visionItems({ imageGridThw, videoGridThw, pixelValues, pixelValuesVideos }: GoldenCase) {
  return [[imageGridThw, pixelValues] as const, [videoGridThw, pixelValuesVideos] as const].flatMap(
    ([grids, pixels]) => {
      if (!pixels) return [];
      const width = pixels.shape[1] as number;
      let start = 0;
      return grids.map((grid) => {
        const [t, h, w] = grid as GridThw;
        const end = start + t * h * w * width;
        const item = { gridThw: grid as GridThw, pixelValues: pixels.data.slice(start, end) };
        start = end;
        return item;
      });
    },
  );
}
