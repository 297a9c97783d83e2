import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../src/errors.ts";
import { textRotaryTable, visionRotaryTable } from "../../src/mrope/rotary.ts";
import { positionTableCoords, visionCuSeqlens, visionMaxSeqlen } from "../../src/mrope/vision-metadata.ts";
import { float32, golden } from "./golden.ts";

/** One unit in the last place below 1: torch's vectorised cosine and sine are rounded that closely. */
const ULP = 2 ** -23;

function assertClose(found: Float32Array, expected: Float32Array, name: string): void {
  assert.is(found.length, expected.length, `${name}: length`);
  found.forEach((value, i) => {
    const difference = Math.abs(value - (expected[i] as number));
    assert.ok(difference <= ULP, `${name}[${i}] is ${value}, expected ${expected[i]}`);
  });
}

for (const { theta, rotaryDim, mropeSection, positions, cos, sin } of golden.textRotary) {
  test(`text table equals torch's: theta ${theta}, sections ${mropeSection}`, () => {
    const [t, h, w] = positions.map((axis) => Int32Array.from(axis)) as [Int32Array, Int32Array, Int32Array];
    const table = textRotaryTable([t, h, w], { theta, rotaryDim, mropeSection, pairs: "interleaved" });
    assertClose(table.cos, float32(cos), "cos");
    assertClose(table.sin, float32(sin), "sin");
  });
}

test("sections that do not fill the rotary dimension are an error", () => {
  const axis = Int32Array.of(0);
  const rope = { theta: 1e4, rotaryDim: 64, mropeSection: [8, 12, 8], pairs: "half" } as const;
  assert.throws(
    () => textRotaryTable([axis, axis, axis], rope),
    (error: GlimtError) => error.code === "CONFIG_INVALID" && /8, 12, 8/.test(error.message),
  );
});

for (const { grids, headDim, theta, spatialMergeSize, side, cuSeqlens, ...expected } of golden.vision) {
  const name = `grids ${grids.map((grid) => grid.join("x")).join(" ")}, merge ${spatialMergeSize}`;

  test(`vision table equals torch's: ${name}`, () => {
    const table = visionRotaryTable(grids, { spatialMergeSize, headDim, theta });
    assertClose(table.cos, float32(expected.cos), "cos");
    assertClose(table.sin, float32(expected.sin), "sin");
  });

  test(`position-table coordinates equal torch's bit for bit: ${name}`, () => {
    assert.equal(positionTableCoords(grids, side, spatialMergeSize), float32(expected.coords));
  });

  test(`one attention sequence a frame: ${name}`, () => {
    assert.equal([...visionCuSeqlens(grids)], cuSeqlens);
    const lengths = cuSeqlens.slice(1).map((end, i) => end - (cuSeqlens[i] as number));
    assert.is(visionMaxSeqlen(grids), Math.max(...lengths));
  });
}

test("an empty batch has no sequences", () => {
  assert.equal([...visionCuSeqlens([])], [0]);
  assert.is(visionMaxSeqlen([]), 0);
  assert.is(visionRotaryTable([], { spatialMergeSize: 2, headDim: 64, theta: 1e4 }).cos.length, 0);
});

test.run();
