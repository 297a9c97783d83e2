import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../src/errors.ts";
import { expandPlaceholders, mmTokenTypeIds } from "../../src/processor/placeholders.ts";
import { framesAt } from "../../src/processor/sampling.ts";
import { golden } from "./golden.ts";

golden.placeholders.forEach(({ kind, prompt, imageGridThw, videos, expanded }, i) => {
  test(`expanded prompt ${i} equals transformers' (${kind})`, () => {
    const described = videos.map(({ indices, fps, gridThw }) => ({
      gridThw,
      labels: framesAt(kind, indices, fps ?? undefined).labels,
    }));
    assert.is(expandPlaceholders(prompt, { imageGridThw, videos: described, mergeSize: 2 }), expanded);
  });
});

test("token types equal transformers'", () => {
  const tokens = { image: 5, videoStart: 8, videoEnd: 9 };
  for (const [ids, types] of golden.token_types)
    assert.equal([...mmTokenTypeIds(ids, tokens)], types, ids.join(" "));
});

test("markers and pictures that differ in number are an error with both numbers", () => {
  const cases: [string, Parameters<typeof expandPlaceholders>[1], RegExp][] = [
    ["<|image|><|image|>", { imageGridThw: [[1, 2, 2]], mergeSize: 2 }, /2 image markers .* 1 images/],
    ["text", { imageGridThw: [[1, 2, 2]], mergeSize: 2 }, /0 image markers .* 1 images/],
    ["<|video|>", { mergeSize: 2 }, /1 video markers .* 0 videos/],
  ];
  for (const [text, options, message] of cases) {
    assert.throws(
      () => expandPlaceholders(text, options),
      (error: GlimtError) => error.code === "INPUT_INVALID" && message.test(error.message),
    );
  }
});

test.run();
