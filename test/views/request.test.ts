/** The page of one request: its figures, and that nothing in it is markup but its own. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { layOutPrompt } from "../../src/prompt/layout.ts";
import { factsHtml, htmlPage, tableHtml } from "../../src/views/page.ts";
import { type PromptToken, promptHtml, tokensHtml } from "../../src/views/prompt.ts";
import { type RequestView, requestHtml } from "../../src/views/request.ts";

const count = (text: string, part: RegExp) => [...text.matchAll(part)].length;
const bytes = (text: string) => new TextEncoder().encode(text);
const HOSTILE = `"><script>alert('x')</script>&`;
const ESCAPED = "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;";

const text = (id: number, content: string | Uint8Array): PromptToken => ({
  id,
  bytes: typeof content === "string" ? bytes(content) : content,
  isSpecial: false,
  isMedia: false,
});
const special = (id: number, name: string): PromptToken => ({
  id,
  bytes: bytes(name),
  isSpecial: true,
  isMedia: false,
});
const media = (count: number): PromptToken[] =>
  Array.from({ length: count }, () => ({
    id: 9,
    bytes: bytes("<|image|>"),
    isSpecial: true,
    isMedia: true,
  }));
/** The bytes of "é" are two tokens. */
const [first, second] = [bytes("é").subarray(0, 1), bytes("é").subarray(1)];
const TOKENS = [
  special(1, "<|user|>"),
  special(2, "<|begin_of_image|>"),
  ...media(6),
  special(3, "<|end_of_image|>"),
  text(10, " caf"),
  text(11, first),
  text(12, second),
  text(13, `\n${HOSTILE}`),
  special(4, "<|assistant|>"),
];

test("a prompt is its text: runs of media folded, control tokens marked, characters of several tokens whole", () => {
  const html = promptHtml(TOKENS);
  assert.is(
    html.replace(/<span class="glimt-(special|folded)">(.*?)<\/span>/g, "[$2]"),
    '<pre class="glimt-prompt" tabindex="0">[&lt;|user|&gt;][&lt;|begin_of_image|&gt;][&lt;|image|&gt; × 6]' +
      `[&lt;|end_of_image|&gt;]<bdi> café\n${ESCAPED}</bdi>[&lt;|assistant|&gt;]</pre>`,
  );
  assert.is(count(html, /glimt-folded/g), 1);
});

test("tokens have their ids, whitespace that is seen, and the bytes of what is no character", () => {
  const html = tokensHtml(TOKENS);
  assert.is(count(html, /<li/g), TOKENS.length - 5);
  assert.match(html, /<li><span>·caf<\/span><small>10<\/small>/);
  assert.match(html, /<li><span>c3<\/span><small>11<\/small><\/li><li><span>a9<\/span><small>12<\/small>/);
  assert.ok(html.includes(`<span>⏎${ESCAPED}</span><small>13</small>`));
  assert.match(html, /<li class="glimt-folded"><span>&lt;\|image\|&gt; × 6<\/span><small>9</);
  const many = tokensHtml(Array.from({ length: 5000 }, (_, id) => text(id, "a")));
  assert.is(count(many, /<li/g), 4001);
  assert.match(many, /and 1,000 more<\/li><\/ol>$/);
});

/** A picture of 2 x 3 tokens; a video of two temporal patches of 1 x 2 with text behind each. */
const TYPES = [0, 0, 1, 1, 1, 1, 1, 1, 0, 2, 2, 0, 2, 2, 0];
const layout = layOutPrompt(TYPES, TYPES, {
  imageGridThw: [[1, 4, 6]],
  videoGridThw: [[2, 2, 4]],
  spatialMergeSize: 2,
});
const [image, video] = layout.media as [(typeof layout.media)[0], (typeof layout.media)[0]];
const VIEW: RequestView = {
  model: HOSTILE,
  architecture: HOSTILE,
  tokens: TOKENS,
  promptTokens: 13,
  contextTokens: 4096,
  positionIds: layout.positionIds,
  ropeDelta: layout.ropeDelta,
  media: [
    {
      ...image,
      numTokens: 6,
      labels: [],
      source: { width: 100, height: 50, resizedWidth: 84, resizedHeight: 56 },
      href: HOSTILE,
    },
    {
      ...video,
      numTokens: 4,
      labels: [HOSTILE, "1"],
      source: {
        width: 56,
        height: 28,
        resizedWidth: 56,
        resizedHeight: 28,
        frames: { numFrames: 30, indices: [0, 10, 20, 20], timestamps: [0, 1, 2, 2] },
      },
      frameHrefs: ["data:image/png;base64,AA==", undefined, HOSTILE],
    },
  ],
  mergeSize: 2,
  patchSize: 14,
  memory: [["Weights", HOSTILE]],
  notes: [HOSTILE],
};

test("the page says sizes, grids, tokens, places and frames", () => {
  const page = requestHtml(VIEW);
  for (const words of [
    "14 tokens, 10 of them for pictures and videos",
    "13 tokens: pruning leaves 1 of the videos&#39; out",
    "4,096 tokens, room for 4,083 more",
    "100 x 50 pixels",
    "to 84 x 56, 94 % of the pixels, 25 % narrower in shape",
    "6 x 4 of 14 pixels, 24",
    "2 x 2 patches to a token, 3 x 2",
    "6 (3 to 8 of the prompt)",
    "not: it is read as it is",
    "2 times 4 x 2 of 14 pixels, 16",
    "2 x 2 patches to a token, 2 times 2 x 1",
    "4 (10 to 14 of the prompt)",
    "3 of 30 taken",
    "3 frames of 30 taken",
    ">0 s, frame 0<",
    ">2 s, frame 20<",
  ]) {
    assert.ok(page.includes(words), words);
  }
  assert.is(count(page, /<img /g), 2);
  assert.not.match(page, /NaN|Infinity|undefined/);
});

test("the page stands alone, runs nothing, and what strangers wrote is text in it", () => {
  const page = requestHtml(VIEW);
  assert.match(page, /^<!doctype html>\n<html lang="en">/);
  assert.match(page, /<meta name="viewport"/);
  assert.match(page, /prefers-color-scheme: dark/);
  assert.not.match(page, /<script|<link|@import|url\(|\son\w+=/);
  assert.not.match(page.replace(/xmlns="[^"]*"/g, ""), /https?:/);
  assert.ok(page.split(ESCAPED).length > 7);
});

test("a prompt that does not fit says so; features and text alone are said too", () => {
  const full = requestHtml({ ...VIEW, contextTokens: 10 });
  assert.match(full, /<dd class="failed">10 tokens: the prompt does not fit, 4 too many</);
  const features = requestHtml({ ...VIEW, media: [{ ...image, numTokens: 6, labels: [], source: null }] });
  assert.match(features, /as features: there are no pixels of it/);
  const alone = requestHtml({ ...VIEW, media: [], memory: [], notes: [] });
  assert.not.match(alone, /<h2>(Pictures|Videos|Memory)|In a picture/);
});

test("an answer's tokens stand over what they look at most", () => {
  const token = (content: string, picture: number[], clip: number[]) => ({
    bytes: bytes(content),
    media: [
      { type: "image" as const, grid: [1, 2, 3] as const, weights: Float32Array.from(picture) },
      { type: "video" as const, grid: [2, 1, 2] as const, weights: Float32Array.from(clip) },
    ],
  });
  const answer = {
    text: HOSTILE,
    tokens: [
      token(HOSTILE, [0, 0, 0.5, 0, 0.25, 0], [0, 0, 0, 0.125]),
      token(" b", [0, 0.125, 0, 0, 0, 0], [0.125, 0, 0, 0.25]),
    ],
    numTokens: 7,
  };
  const page = requestHtml({ ...VIEW, answer });
  assert.match(page, /<title>A question and its answer<.*<h2>Answer<.*its first 2 of 7 tokens/s);
  const [, first, second] = page.split('<ol class="glimt-looks">')[1]!.split("<li>");
  assert.match(first!, /viewBox="0 0 84 56".*<use href="#glimt-picture-0-0"\/>.*75 % on picture 1</);
  assert.ok(first!.includes(`<b>${ESCAPED}</b>`));
  // The later of the video's two temporal patches, whose first frame is the third that was taken.
  assert.match(
    second!,
    /viewBox="0 0 56 28".*<use href="#glimt-picture-1-1"\/>.*<b>·b<\/b> 38 % on video 1 at 1</,
  );
  assert.match(
    page,
    /<image id="glimt-picture-1-0" href="data:image\/png;base64,AA==" width="56" height="28"\/>/,
  );
  assert.not.match(page, /<script|NaN|undefined/);
  const alone = requestHtml({ ...VIEW, media: [], answer: { ...answer, tokens: [] } });
  assert.not.match(alone, /<ol class="glimt-looks"|Of each token/);
});

test("tables and facts escape what they hold and say their kinds", () => {
  const table = tableHtml({
    columns: [{ text: HOSTILE }, { text: "b", kind: "number" }, { text: "c" }],
    rows: [
      { name: HOSTILE, about: HOSTILE, cells: [{ text: HOSTILE, note: HOSTILE, kind: "ok" }, { text: "" }] },
      { name: "r", cells: [{ text: "none of it", kind: "none", span: 2 }] },
    ],
  });
  assert.is(table.split(ESCAPED).length, 6);
  assert.match(table, /<th scope="col" class="number">b</);
  assert.match(table, /<td class="none" colspan="2">none of it</);
  assert.not.match(table, /<script/);
  assert.is(
    factsHtml([[HOSTILE, HOSTILE, "failed"]]),
    `<dl class="facts"><dt>${ESCAPED}</dt><dd class="failed">${ESCAPED}</dd></dl>`,
  );
  assert.not.match(htmlPage({ title: HOSTILE, lead: HOSTILE, sections: [] }), /<script/);
});

test.run();
