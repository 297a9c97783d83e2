import { test } from "uvu";
import * as assert from "uvu/assert";
import { frameRate } from "../../src/media/frame-rate.ts";

/** Start of each of `count` frames at `rate`, as a clock of `resolution` ticks a second has it. */
function clocked(rate: number, count: number, resolution: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.round((i / rate) * resolution) / resolution);
}

const NTSC = 30000 / 1001;
const FILM = 24000 / 1001;
const table: [
  name: string,
  rate: number,
  count: number,
  resolution: number,
  nominal: boolean,
  expected: number,
][] = [
  ["milliseconds hide a whole rate", 12, 36, 1000, false, 12],
  ["so do they 30", 30, 3000, 1000, false, 30],
  ["a long file tells 29.97 from 30", NTSC, 3000, 1000, false, NTSC],
  ["in a short one only the nominal length does", FILM, 20, 1000, true, FILM],
  ["which may be a whole rate's", 24, 20, 1000, true, 24],
  ["an exact clock needs no help", NTSC, 5, 30000, false, NTSC],
  ["other rates stay", 12.5, 400, 90000, false, 12.5],
];
for (const [name, rate, count, resolution, nominal, expected] of table) {
  test(`${name}: ${expected}`, () => {
    const exact = 1 / rate;
    const lastDuration = nominal ? exact : Math.round(exact * resolution) / resolution;
    const found = frameRate({ seconds: clocked(rate, count, resolution), lastDuration, resolution });
    assert.ok(Math.abs(found - expected) < 1e-9, String(found));
  });
}

test("frames of different lengths have their average", () => {
  assert.is(frameRate({ seconds: [0, 0.25, 2], lastDuration: 2, resolution: 1000 }), 0.75);
  assert.is(frameRate({ seconds: [5], lastDuration: 0.5, resolution: 1000 }), 2);
});

test.run();
