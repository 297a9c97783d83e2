/** Property tests see the same cases in every run. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fc, SEED } from "./property.ts";

test("cases come from the seed", () => {
  assert.is(fc.readConfigureGlobal()?.seed, SEED);
  const numbers = () => fc.sample(fc.integer(), 20);
  assert.equal(numbers(), numbers());
});

test.run();
