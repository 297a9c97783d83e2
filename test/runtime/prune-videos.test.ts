/** Which features of videos are kept, told on the device: the same as on the host, in pieces, beside images, to an abort. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Engine } from "../../src/backends/backend.ts";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import type { GlimtError } from "../../src/errors.ts";
import { differences, FIRST_FRAME, mostDifferent } from "../../src/processor/video-pruning.ts";
import { layOutPrompt } from "../../src/prompt/layout.ts";
import { FeatureSlab } from "../../src/runtime/feature-slab.ts";
import { pruneVideos } from "../../src/runtime/prune-videos.ts";

/** Wide, so that a frame of the larger video is several reads. */
const HIDDEN = 2 ** 16;
/** An image of 1 x 2 features, a video of 3 frames of 2 x 3, an image, a video of one frame. */
const types = [0, 1, 1, 0, ...new Array(18).fill(2), 0, 1, 0, 2, 2, 0];
const { media } = layOutPrompt([...types.keys()], types, {
  imageGridThw: [
    [1, 2, 4],
    [1, 2, 2],
  ],
  videoGridThw: [
    [3, 4, 6],
    [1, 2, 4],
  ],
  spatialMergeSize: 2,
  videoLayout: "block",
});
const ROWS = 2 + 18 + 1 + 2;
const values = Float32Array.from({ length: ROWS * HIDDEN }, (_, index) =>
  Math.sin(index * 78.233 + index ** 2),
);
const VIDEO = values.subarray(2 * HIDDEN, 20 * HIDDEN);

function expectedMask(count: number): number[] {
  const frame = 6 * HIDDEN;
  const found = differences(VIDEO.subarray(0, -frame), VIDEO.subarray(frame), HIDDEN);
  return [...mostDifferent(Float32Array.from([...new Array(6).fill(FIRST_FRAME), ...found]), count)];
}

/** Features behind rows of another request. */
async function encoded(engine: Engine) {
  const slab = new FeatureSlab(engine, "f32", HIDDEN);
  slab.take(5);
  const range = slab.take(ROWS);
  const { tensor, firstRow } = range.deviceRows();
  engine.write(tensor, firstRow, values);
  return { engine, slab, range };
}

for (const backend of [createReferenceBackend("f32"), wasmBackend]) {
  test(`${backend.name}: videos are pruned to their retained tokens, images and single frames are whole`, async () => {
    const engine = await backend.open();
    const features = await encoded(engine);
    for (const [rate, count] of [
      [0.5, 9],
      [0.3, 12],
      [0.9, 6],
    ] as const) {
      const kept = await pruneVideos(features, { media, rate });
      assert.equal(
        kept.map((mask) => mask && Array.from(mask)),
        [null, expectedMask(count), null, null],
      );
    }
    assert.equal(await pruneVideos(features, { media, rate: 0 }), [null, null, null, null]);
    engine.dispose();
  });
}

test("the host holds a piece at a time, and others have their turns", async () => {
  const engine = await createReferenceBackend("f32").open();
  const features = await encoded(engine);
  const reads: number[] = [];
  const watched: Engine = Object.assign(Object.create(engine), {
    read: (...[tensor, first, rows]: Parameters<Engine["read"]>) => {
      reads.push(rows as number);
      return engine.read(tensor, first, rows);
    },
  });
  await pruneVideos({ ...features, engine: watched }, { media, rate: 0.5 });
  // 4 rows, then 2, of each of three frames: each feature once.
  assert.equal(reads, [4, 4, 4, 2, 2, 2]);
  engine.dispose();
});

test("an abort ends it between pieces", async () => {
  const engine = await createReferenceBackend("f32").open();
  const controller = new AbortController();
  const features = await encoded(engine);
  let reads = 0;
  const watched: Engine = Object.assign(Object.create(engine), {
    read: (...given: Parameters<Engine["read"]>) => {
      if (++reads === 2) controller.abort();
      return engine.read(...given);
    },
  });
  try {
    await pruneVideos({ ...features, engine: watched }, { media, rate: 0.5 }, controller.signal);
    assert.unreachable();
  } catch (error) {
    assert.is((error as GlimtError).code, "ABORTED");
  }
  assert.is(reads, 2);
  engine.dispose();
});

test.run();
