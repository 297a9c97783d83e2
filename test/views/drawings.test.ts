/** Drawings have what they are made of, text of strangers is text in them, and they say nothing that is no number. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { mropePositions } from "../../src/mrope/positions.ts";
import { layOutPrompt } from "../../src/prompt/layout.ts";
import { framesHtml, framesSvg } from "../../src/views/frames.ts";
import { clock, countOf, escaped, grouped, percent } from "../../src/views/markup.ts";
import { patchGridSvg } from "../../src/views/patch-grid.ts";
import { positionsSvg } from "../../src/views/positions.ts";

const count = (text: string, part: RegExp) => [...text.matchAll(part)].length;
/** For pages whose policy allows no styles but their own. */
const isPlain = (drawing: string) => {
  assert.not.match(drawing, /NaN|Infinity|undefined|null/);
  assert.not.match(drawing, /style=|<style|<script/);
};
const HOSTILE = `"><script>alert('x')</script>&`;

test("text is escaped for content and for attributes", () => {
  assert.is(escaped(HOSTILE), "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;");
});

test("figures are written the same everywhere", () => {
  assert.equal([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
  assert.equal([countOf(1, "token"), countOf(2048, "token")], ["1 token", "2,048 tokens"]);
  assert.equal([0.0034, 0.345, 12].map(percent), ["0.3 %", "35 %", "1200 %"]);
  assert.equal([0, 0.5, 3.333333, 59.99, 127.4].map(clock), ["0 s", "0.5 s", "3.33 s", "59.99 s", "2:07"]);
});

test("a grid has a line between cells, the picture and its size", () => {
  const svg = patchGridSvg({ width: 168, height: 84, gridThw: [1, 6, 12], mergeSize: 2, image: HOSTILE });
  isPlain(svg);
  assert.match(svg, /viewBox="0 0 168 84"/);
  assert.match(svg, /aria-label="168 x 84 pixels in 6 x 3 cells, 18 tokens"/);
  assert.match(
    svg,
    /class="glimt-grid-over" d="M28 0V84M56 0V84M84 0V84M112 0V84M140 0V84M0 28H168M0 56H168"/,
  );
  assert.ok(svg.includes(`<image href="${escaped(HOSTILE)}" width="168" height="84"/>`));
  assert.is(count(svg, /<rect/g), 0);
  assert.not.match(patchGridSvg({ width: 28, height: 28, gridThw: [1, 2, 2], mergeSize: 2 }), /<image|M\d/);
});

test("weights are seen through a veil, the stronger the better: a path for each step", () => {
  const weights = Float32Array.of(0, 0.5, 0.3, 0.001, 0, 0.3);
  const grid = { width: 84, height: 56, gridThw: [1, 4, 6] as const, mergeSize: 2, weights };
  const svg = patchGridSvg({ ...grid, image: "#picture" });
  isPlain(svg);
  assert.match(svg, /<use href="#picture"\/>/);
  assert.equal(
    [...svg.matchAll(/class="glimt-(veil|weight)" fill-opacity="([\d.]+)" d="([^"]+)"/g)].map((found) =>
      found.slice(1),
    ),
    [
      // Two rows: the first cell of one, two of the other.
      ["veil", "0.7", "M0 0h28v28h-28zM0 28h56v28h-56z"],
      ["veil", "0.28", "M56 0h28v28h-28zM56 28h28v28h-28z"],
      ["weight", "0.36", "M56 0h28v28h-28zM56 28h28v28h-28z"],
      ["weight", "0.6", "M28 0h28v28h-28z"],
    ],
  );
  assert.match(patchGridSvg(grid), /<rect class="glimt-blank" width="84" height="56"\/>/);
  const none = patchGridSvg({ width: 56, height: 28, gridThw: [1, 2, 4], mergeSize: 2, weights: [0, 0] });
  isPlain(none);
  assert.match(none, /fill-opacity="0.7" d="M0 0h56v28h-56z"/);
});

/** Text, a picture of 2 x 3 tokens, text, a video of two frames with text between. */
const TYPES = [0, 0, 1, 1, 1, 1, 1, 1, 0, 2, 2, 0, 2, 2, 0];
const grids = { imageGridThw: [[1, 4, 6]], videoGridThw: [[2, 2, 4]], spatialMergeSize: 2 } as const;
const layout = layOutPrompt(TYPES, TYPES, grids);

test("positions are curves of corners, media are named and marked", () => {
  const svg = positionsSvg(layout);
  isPlain(svg);
  // Marks of media: the picture's one span, the video's two.
  assert.is(count(svg, /<rect class="glimt-span"/g), 3);
  assert.match(svg, /<title>picture 1, 6 tokens<\/title><rect class="glimt-span" x="2" width="6"/);
  assert.match(svg, /<title>video 1, 4 tokens<\/title>/);
  assert.match(svg, /aria-label="Positions of 15 tokens, up to 11:/);
  // Each corner of an axis is where its position is: read back, they are the prompt's.
  const top = Number(/viewBox="0 0 15 ([\d.]+)"/.exec(svg)?.[1]);
  for (const [axis, name] of (["t", "h", "w"] as const).entries()) {
    const path = new RegExp(`class="glimt-axis glimt-axis-${name}" d="([^"]+)"`).exec(svg)?.[1] ?? "";
    const corners = [...path.matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);
    assert.ok(corners.length >= 4, name);
    for (const [x, y] of corners as [number, number][]) {
      const token = x - 0.5;
      assert.ok(TYPES[token] !== 0, `${name}: token ${token} is media`);
      assert.ok(
        Math.abs(top - y - layout.positionIds[axis as 0][token]!) < 0.02,
        `${name} of token ${token}`,
      );
    }
  }
  assert.match(svg, /glimt-axis-text" d="M0.5 [\d.]+L1.5 [\d.]+M8.5 [\d.]+h0M11.5/);
});

test("a long prompt has few corners, and prompts of nothing or one token are drawn", () => {
  const types = new Array<number>(20000).fill(0);
  const { positionIds } = mropePositions(types, { spatialMergeSize: 2 });
  const long = positionsSvg({ positionIds, media: [] });
  isPlain(long);
  assert.ok(long.length < 4000, `${long.length} characters`);
  assert.not.match(long, /t, time/);
  for (const tokens of [0, 1]) {
    const axis = new Int32Array(tokens);
    const svg = positionsSvg({ positionIds: [axis, axis, axis], media: [] });
    isPlain(svg);
    assert.match(svg, new RegExp(`Positions of ${tokens} token`));
  }
});

test("frames are marked where they lie, once each in the count, and shown with their times", () => {
  const frames = [
    { index: 0, seconds: 0, href: HOSTILE },
    { index: 12, seconds: 0.5 },
    { index: 24, seconds: 1, href: "data:image/png;base64,AA==" },
    { index: 24, seconds: 1 },
  ];
  const svg = framesSvg({ frames, numFrames: 48 });
  isPlain(svg);
  assert.match(svg, /viewBox="0 0 48 1".*d="M0.5 0V1M12.5 0V1M24.5 0V1M24.5 0V1"/);
  assert.match(svg, />3 frames of 48 taken<.*>last at 1 s</);
  const html = framesHtml({ frames, numFrames: 48 });
  isPlain(html);
  assert.is(count(html, /<img /g), 2);
  assert.ok(html.includes(`src="${escaped(HOSTILE)}" alt="frame 0"`));
  assert.match(html, /alt="frame 24">1 s, frame 24</);
  isPlain(framesHtml({ frames: [], numFrames: 0 }));
});

test.run();
