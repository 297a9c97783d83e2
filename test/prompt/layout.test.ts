/** Where media stand in a prompt, and what is left of it when some of their rows are. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../src/errors.ts";
import { textPositions } from "../../src/mrope/positions.ts";
import { keepMediaRows } from "../../src/prompt/keep-media-rows.ts";
import { layOutPrompt, numMediaRows, type PromptLayout, type PromptRows } from "../../src/prompt/layout.ts";
import { type RandomPrompt, randomPrompt } from "../mrope/random-prompt.ts";
import { fc } from "../property.ts";

/** The index of each row is its id, so that ids say which rows are left. */
function layOut({ mmTokenTypeIds, ...options }: RandomPrompt): PromptLayout {
  return layOutPrompt([...mmTokenTypeIds.keys()], mmTokenTypeIds, options);
}

/** A mask for each item that keeps about a share of its features. */
function masks({ media }: PromptLayout, seed: number, share: number): Uint8Array[] {
  let state = seed >>> 0;
  const draw = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return media.map(({ numFeatures }) =>
    Uint8Array.from({ length: numFeatures }, () => (draw() < share ? 1 : 0)),
  );
}

const plain = ({ inputIds, positionIds, ropeDelta, features }: PromptRows) => ({
  inputIds: [...inputIds],
  positionIds: positionIds.map((axis) => [...axis]),
  ropeDelta,
  features: [...features],
});

/** One token after another, the way the documentation says it. */
function literally(
  { mmTokenTypeIds, imageGridThw, videoGridThw, spatialMergeSize: merge }: RandomPrompt,
  keeps: (feature: number) => boolean,
) {
  const pictures = {
    1: imageGridThw.values(),
    2: videoGridThw.flatMap(([t, h, w]) => new Array(t).fill([1, h, w])).values(),
  };
  const found = {
    inputIds: [] as number[],
    positionIds: [[], [], []] as number[][],
    features: [] as number[],
  };
  const push = (id: number, feature: number, positions: readonly number[]) => {
    found.inputIds.push(id);
    found.features.push(feature);
    for (const [axis, position] of positions.entries()) found.positionIds[axis]?.push(position);
  };
  let position = 0;
  let feature = 0;
  for (let row = 0; row < mmTokenTypeIds.length; ) {
    const type = mmTokenTypeIds[row] as 0 | 1 | 2;
    if (type === 0) {
      push(row++, -1, [position, position, position]);
      position++;
      continue;
    }
    const [, h, w] = pictures[type].next().value as number[];
    const [height, width] = [(h as number) / merge, (w as number) / merge];
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        if (keeps(feature)) push(row, feature, [position, position + y, position + x]);
        feature++;
        row++;
      }
    }
    // The full extent, whatever was kept.
    position += Math.max(height, width);
  }
  return { ...found, ropeDelta: position - found.inputIds.length };
}

const cases = fc.tuple(fc.nat(1_000_000), fc.nat(1_000_000), fc.double({ min: 0, max: 1, noNaN: true }));

test("keeping all is the identity", () => {
  fc.assert(
    fc.property(fc.nat(1_000_000), (seed) => {
      const layout = layOut(randomPrompt(seed));
      const all = layout.media.map(({ numFeatures }) => new Uint8Array(numFeatures).fill(1));
      for (const kept of [[], layout.media.map(() => null), all]) {
        assert.equal(plain(keepMediaRows(layout, kept)), plain(layout));
      }
    }),
  );
});

test("ids, features and positions of what is kept are those of a literal reading", () => {
  fc.assert(
    fc.property(cases, ([seed, maskSeed, share]) => {
      const prompt = randomPrompt(seed);
      const layout = layOut(prompt);
      const kept = masks(layout, maskSeed, share);
      const flat = kept.flatMap((mask) => [...mask]);
      assert.equal(
        plain(keepMediaRows(layout, kept)),
        literally(prompt, (feature) => flat[feature] === 1),
      );
    }),
  );
});

test("order is kept, text always stays, and the continuation stands where it did", () => {
  fc.assert(
    fc.property(cases, ([seed, maskSeed, share]) => {
      const { mmTokenTypeIds, ...rest } = randomPrompt(seed);
      const layout = layOut({ mmTokenTypeIds, ...rest });
      const kept = masks(layout, maskSeed, share);
      const { inputIds, ropeDelta, features } = keepMediaRows(layout, kept);
      assert.ok(inputIds.every((id, index) => index === 0 || id > (inputIds[index - 1] as number)));
      const text = mmTokenTypeIds.flatMap((type, row) => (type === 0 ? [row] : []));
      assert.equal(
        inputIds.filter((id) => mmTokenTypeIds[id] === 0),
        text,
      );
      assert.is(
        features.filter((feature) => feature >= 0).length,
        kept.flatMap((mask) => [...mask].filter((flag) => flag === 1)).length,
      );
      assert.equal(
        textPositions(inputIds.length, 1, ropeDelta),
        textPositions(layout.inputIds.length, 1, layout.ropeDelta),
      );
    }),
  );
});

test("a video's frames are spans of their own, between their timestamps", () => {
  // text, a video of two frames of 1 x 2 with a timestamp behind each, an image of 1 x 2
  const types = [0, 2, 2, 0, 2, 2, 0, 1, 1];
  const layout = layOutPrompt([...types.keys()], types, {
    imageGridThw: [[1, 2, 4]],
    videoGridThw: [[2, 2, 4]],
    spatialMergeSize: 2,
  });
  assert.equal(layout.media, [
    {
      type: "video",
      gridThw: [2, 2, 4],
      spans: [
        { start: 1, length: 2 },
        { start: 4, length: 2 },
      ],
      firstFeature: 0,
      numFeatures: 4,
    },
    { type: "image", gridThw: [1, 2, 4], spans: [{ start: 7, length: 2 }], firstFeature: 4, numFeatures: 2 },
  ]);
  assert.is(numMediaRows(layout), 6);

  // The first frame whole, of the second nothing: its timestamp stays, and the image where it was.
  const { inputIds, positionIds, features } = keepMediaRows(layout, [[1, 1, 0, 0], null]);
  assert.equal(inputIds, [0, 1, 2, 3, 6, 7, 8]);
  assert.equal([...features], [-1, 0, 1, -1, -1, 4, 5]);
  assert.equal([...positionIds[2]], [0, 1, 2, 3, 6, 7, 8]);
  assert.equal([...positionIds[1]], [0, 1, 1, 3, 6, 7, 7]);
});

test("a block of frames is one span, and keeps its time axis when frames of it go", () => {
  const types = [0, 2, 2, 2, 0];
  const layout = layOutPrompt([5, 6, 7, 8, 9], types, {
    videoGridThw: [[3, 2, 2]],
    spatialMergeSize: 2,
    videoLayout: "block",
  });
  assert.equal(layout.media[0]?.spans, [{ start: 1, length: 3 }]);
  const { inputIds, positionIds } = keepMediaRows(layout, [[1, 0, 1]]);
  assert.equal(inputIds, [5, 6, 8, 9]);
  assert.equal([...positionIds[0]], [0, 1, 3, 4]);
});

test("masks that do not fit the media are an error that names them", () => {
  const layout = layOutPrompt([1, 1], [1, 1], { imageGridThw: [[1, 2, 4]], spatialMergeSize: 2 });
  const refused = (kept: Parameters<typeof keepMediaRows>[1], message: RegExp) =>
    assert.throws(
      () => keepMediaRows(layout, kept),
      (error: GlimtError) => error.code === "INPUT_INVALID" && message.test(error.message),
    );
  refused([[1]], /mask of image 0 has 1 entries, expected 2/);
  refused([null, null], /2 masks .* 1 images and videos/);
});

test.run();
