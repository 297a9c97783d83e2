/** Tensor checks: which field, which dimension, what was expected and what was found. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError } from "../../src/errors.ts";
import { checkTensors, type TensorSchema } from "../../src/tensor/schema.ts";

const SCHEMA: TensorSchema = {
  ids: { shape: "s", values: "integer", min: 0, max: 9 },
  positions: { shape: "3 s", values: "integer", min: 0 },
  grids: { shape: "n 3", values: "integer", min: 1 },
  pixels: { shape: "np cpp", values: "float" },
};
const KNOWN = { cpp: { size: 12, from: "the checkpoint" } };
const NP = { ...KNOWN, np: { size: 4, from: "grids" } };

test("fields that fit pass, absent ones are not looked at, and letters are reported", () => {
  const inputs = {
    ids: [1, 2],
    positions: [Int32Array.of(0, 1), Int32Array.of(0, 1), Int32Array.of(0, 1)],
    grids: [[1, 2, 2]],
    pixels: new Float32Array(48),
    other: "anything",
  };
  const sizes = checkTensors(SCHEMA, inputs, NP);
  assert.equal(sizes.s, { size: 2, from: "ids" });
  assert.equal(sizes.n, { size: 1, from: "grids" });
  assert.equal(checkTensors(SCHEMA, { pixels: new Float32Array(36) }, KNOWN).np, { size: 3, from: "pixels" });
  assert.equal(checkTensors(SCHEMA, { ids: null }), {});
  assert.equal(checkTensors(SCHEMA, { grids: [] }).n, { size: 0, from: "grids" });
});

const WRONG: [inputs: Record<string, unknown>, known: typeof KNOWN, message: string][] = [
  [{ ids: [1, 10] }, KNOWN, "ids[1] is 10, expected a whole number of 0..9."],
  [{ ids: [1, 0.5] }, KNOWN, "ids[1] is 0.5, expected a whole number of 0..9."],
  [{ ids: "12" }, KNOWN, "ids (s): expected a list, found string."],
  [
    { ids: [1, 2], positions: [[0], [0], [0]] },
    KNOWN,
    "positions (3, s): entry [0] has 1, expected 2 (s from ids).",
  ],
  [{ positions: [[0], [0]] }, KNOWN, "positions (3, s): it has 2 entries, expected 3."],
  [
    { positions: [[0], [0], [0, 1]] },
    KNOWN,
    "positions (3, s): entry [2] has 2, expected 1 (s from positions).",
  ],
  [{ grids: [[1, 2]] }, KNOWN, "grids (n, 3): entry [0] has 2, expected 3."],
  [{ grids: [1, 2, 2] }, KNOWN, "grids (n, 3): entry 0 is number, expected a list."],
  [{ grids: [[1, 0, 2]] }, KNOWN, "grids[0][1] is 0, expected a whole number from 1."],
  [{ pixels: [0, 1] }, KNOWN, "pixels (np, cpp): expected a Float32Array, found a list of 2."],
  [
    { pixels: new Float64Array(12) },
    KNOWN,
    "pixels (np, cpp): expected a Float32Array, found Float64Array of 12.",
  ],
  [
    { pixels: new Float32Array(13) },
    KNOWN,
    "pixels (np, cpp): 13 values are no whole number of rows of 12 (cpp from the checkpoint).",
  ],
  [
    { pixels: new Float32Array(36) },
    NP,
    "pixels (np, cpp): expected 4 x 12 (np from grids, cpp from the checkpoint), found 36 values: np = 3 or cpp = 9.",
  ],
  [
    { pixels: new Float32Array(52) },
    NP,
    "pixels (np, cpp): expected 4 x 12 (np from grids, cpp from the checkpoint), found 52 values: cpp = 13.",
  ],
  [
    { pixels: new Float32Array(7) },
    NP,
    "pixels (np, cpp): expected 4 x 12 (np from grids, cpp from the checkpoint), found 7 values.",
  ],
];

for (const [inputs, known, message] of WRONG) {
  test(message, () => {
    try {
      checkTensors(SCHEMA, inputs, known);
    } catch (error) {
      assert.instance(error, GlimtError);
      assert.is((error as GlimtError).code, "INPUT_INVALID");
      assert.is((error as GlimtError).message, message);
      return;
    }
    assert.unreachable("nothing was thrown");
  });
}

test.run();
