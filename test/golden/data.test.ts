/** The committed golden cases hold together: shapes agree with each other and margins are wide enough to compare greedy tokens. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { goldenCases, goldenCheckpoints } from "./load.ts";

test("every checkpoint has text, one image, two images and a chat", () => {
  for (const checkpoint of goldenCheckpoints()) {
    const names = goldenCases(checkpoint).map((golden) => golden.case);
    for (const wanted of ["text", "one-image", "two-images", "chat"]) {
      assert.ok(names.includes(wanted), `${checkpoint} lacks ${wanted}`);
    }
  }
});

for (const golden of goldenCases()) {
  test(`${golden.name} is consistent`, () => {
    const length = golden.inputIds.length;
    assert.is(golden.mmTokenTypeIds.length, length);
    assert.equal(
      golden.positionIds.map((axis) => axis.length),
      [length, length, length],
    );
    const patches = (grids: readonly (readonly number[])[]) =>
      grids.reduce((sum, [t, h, w]) => sum + t! * h! * w!, 0);
    assert.is(golden.pixelValues?.shape[0] ?? 0, patches(golden.imageGridThw));
    assert.is(golden.pixelValuesVideos?.shape[0] ?? 0, patches(golden.videoGridThw));
    const merged = golden.mmTokenTypeIds.filter((type) => type !== 0).length;
    assert.is(golden.visionEmbeddings?.shape[0] ?? 0, merged);
    assert.is(golden.videoFrameIndices.length, golden.videoGridThw.length);
    assert.is(golden.greedyIds.length, 24);
    assert.equal(golden.tokenIds, golden.greedyIds.slice(0, golden.tokenIds.length));
    assert.ok(Math.min(...golden.greedyMargins) >= 0.05);
    const logits = golden.lastLogits.data;
    assert.is(logits.indexOf(Math.max(...logits)), golden.greedyIds[0]);
  });
}

test("a missing case says how to remake it", () => {
  assert.throws(() => goldenCases("no-such-checkpoint"), /make\.py/);
});

test.run();
