/** GIF files as videos, and files that claim much more than they hold. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeImage } from "../../src/media/decode-image.ts";
import { loadVideo } from "../../src/media/video.ts";

const { files }: { files: readonly { name: string; file: string }[] } = JSON.parse(
  readFileSync(`${process.cwd()}/test/golden/data/stills/gif.json`, "utf8"),
);

function gif(name: string): Uint8Array {
  const found = files.find((still) => still.name === name);
  if (!found) throw new Error(`no case "${name}"`);
  return new Uint8Array(Buffer.from(found.file, "base64"));
}

async function frames(bytes: Uint8Array) {
  const video = await loadVideo(bytes);
  return Promise.all(Array.from({ length: video.numFrames }, (_, i) => video.frame(i)));
}

test("the canvas of a video holds every frame", async () => {
  const sizes = async (name: string) => (await frames(gif(name))).map(({ width, height }) => [width, height]);
  assert.equal(await sizes("larger than the screen"), [[9, 7]]);
  assert.equal(await sizes("no screen, moved"), [[9, 5]]);
  assert.equal(await sizes("first of two, the second larger"), [
    [9, 7],
    [9, 7],
  ]);
});

test("a video that covers its screen begins with the picture", async () => {
  for (const name of [
    "no trailer",
    "trailing bytes",
    "bytes between blocks",
    "deferred clear",
    "long control",
  ]) {
    assert.equal((await frames(gif(name)))[0], await decodeImage(gif(name)), name);
  }
});

for (const name of ["a code that is its own string", "an early end code", "cut in its data", "no height"]) {
  test(`a video is refused: ${name}`, async () => {
    const error = await frames(gif(name)).catch((error) => error);
    assert.is(error.code, "VIDEO_INVALID", error.message);
  });
}

test("data that can not fill its frame is refused before memory is taken", async () => {
  const bytes = gif("a code that is its own string");
  const side = [0x28, 0x23]; // 9000
  bytes.set([...side, ...side], 6);
  bytes.set([...side, ...side], bytes.indexOf(0x2c) + 5);
  const before = process.memoryUsage().arrayBuffers;
  const error = await decodeImage(bytes).catch((error) => error);
  assert.is(error.code, "IMAGE_INVALID");
  assert.ok(process.memoryUsage().arrayBuffers - before < 1e6, "pixels were allocated");
});

test.run();
