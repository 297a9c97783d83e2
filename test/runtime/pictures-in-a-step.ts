/** Sequences with pictures of their own in one step, held against each sequence in a step by itself. */
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { compareRuns } from "../../src/conformance/compare.ts";
import { answerOf, type SliceAnswer } from "../../src/runtime/decoder.ts";
import { openSeeded, picture, picturePrompt, prompt } from "./seeded-stages.ts";

/** Asserts that company changes no logit by more than `most` (0: no bit), and no token. */
export async function comparePicturesInAStep(backend: Backend, most: number): Promise<void> {
  const { engine, encoder, decoder, pool } = await openSeeded(backend);
  try {
    const first = await encoder.encode([picture([1, 4, 6], "a"), picture([1, 2, 4], "b")]);
    const second = await encoder.encode([picture([1, 4, 4], "c")]);
    const third = await encoder.encode([picture([1, 2, 2], "d")]);
    const slices = () => [
      picturePrompt(pool, [first]),
      prompt(pool, 3),
      picturePrompt(pool, [second]),
      // Rows of several ranges, in another order than they were encoded in.
      picturePrompt(pool, [third, first]),
      // As many tokens with another picture.
      picturePrompt(pool, [third, second, third]),
    ];
    const together = (await decoder.forward(slices())).map(answerOf);
    const alone: SliceAnswer[] = [];
    for (const slice of slices()) alone.push(answerOf((await decoder.forward([slice]))[0]));
    for (const [index, answer] of together.entries()) {
      const expected = alone[index] as SliceAnswer;
      const run = ({ logits }: SliceAnswer) => ({
        outputs: { logits: logits[0] as Float32Array },
        strayWrites: [],
      });
      const { failure } = compareRuns(run(expected), run(answer), most);
      assert.is(failure, undefined, `slice ${index}`);
      assert.equal(answer.tokens, expected.tokens, `slice ${index}`);
      for (const other of together.slice(0, index)) assert.not.equal(other.logits, answer.logits);
    }
  } finally {
    engine.dispose();
  }
}
