/** Folders of frames: which files are frames, and what metadata.json may hold. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readFrameDirectory, readLocalFile } from "../../src/media/files.node.ts";
import { loadVideo, type VideoOptions } from "../../src/media/video.ts";

const picture = `${process.cwd()}/test/golden/data/media/rgb.png`;
const platform: VideoOptions = { readFile: readLocalFile, readFrameDirectory };
const test = suite<{ folder: string }>("frame folders");

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), "glimt-frames-"));
  for (const name of ["frame1.png", "frame2.png", "frame10.png"])
    copyFileSync(picture, join(context.folder, name));
});

test.after.each(({ folder }) => rmSync(folder, { recursive: true }));

test("hidden files, folders and files of other kinds are no frames", async ({ folder }) => {
  for (const name of ["._frame1.png", ".frame3.png", ".DS_Store", "Thumbs.db", "notes.txt", "all.gif"]) {
    writeFileSync(join(folder, name), "no picture");
  }
  mkdirSync(join(folder, "frame4.png"));
  const video = await loadVideo(folder, platform);
  assert.is(video.numFrames, 3);
  for (let i = 0; i < 3; i++) assert.is((await video.frame(i)).width, 37);
});

test("BMP and TIFF files are frames", async ({ folder }) => {
  for (const name of ["frame3.bmp", "frame4.TIF", "frame5.tiff"]) copyFileSync(picture, join(folder, name));
  assert.is((await loadVideo(folder, platform)).numFrames, 6);
});

const odd: [name: string, content: string | Uint8Array, message: RegExp][] = [
  ["nothing", "", /metadata\.json is no valid JSON/],
  ["half", '{"fps": ', /metadata\.json is no valid JSON: .*line 1/],
  ["a web page", "<!doctype html>", /no valid JSON/],
  ["UTF-16", new Uint8Array(Buffer.from('\ufeff{"fps": 2}', "utf16le")), /no valid JSON/],
  ["a list", "[2]", /metadata\.json must be an object/],
  ["null", "null", /must be an object/],
  ["a text", '{"fps": "2"}', /fps is "2"; it must be frames a second/],
  ["a long text", `{"fps": "${"2".repeat(1e5)}"}`, /fps is "2{60}…"; it must be/],
  ["no number", '{"fps": NaN}', /fps is NaN/],
  ["an infinite number", '{"duration": Infinity}', /duration is Infinity/],
  ["a rate of 0", '{"fps": 0}', /fps is 0/],
  ["a list for a number", '{"total_num_frames": [3]}', /totalNumFrames is a list/],
  ["half a frame", '{"total_num_frames": 2.5}', /totalNumFrames is 2\.5/],
  ["frames out of order", '{"frames_indices": [2, 1, 0]}', /framesIndices must be a list of frame numbers/],
  ["frames that are no list", '{"frames_indices": {"0": 1}}', /framesIndices must be a list/],
];
for (const [name, content, message] of odd) {
  test(`metadata.json with ${name} is an error`, async ({ folder }) => {
    writeFileSync(join(folder, "metadata.json"), content);
    const error = await loadVideo(folder, platform).catch((error) => error);
    assert.is(error.code, "VIDEO_INVALID", error.message);
    assert.match(error.message, message);
    assert.ok(error.message.length < 500, `${error.message.length} characters`);
  });
}

test("metadata.json may have a byte order mark, nulls and keys of others", async ({ folder }) => {
  writeFileSync(join(folder, "metadata.json"), '\ufeff{"fps": 4, "duration": null, "codec": "h264"}');
  assert.is((await loadVideo(folder, platform)).metadata.fps, 4);
});

test("a folder called metadata.json is an error", async ({ folder }) => {
  mkdirSync(join(folder, "metadata.json"));
  const error = await loadVideo(folder, platform).catch((error) => error);
  assert.is(error.code, "VIDEO_INVALID", error.message);
  assert.match(error.message, /can not be read: .*folder|directory/);
});

test("metadata of a caller may be of any type", async ({ folder }) => {
  for (const fps of [Symbol("two"), 2n, () => 2, { of: 2 }]) {
    const metadata = { fps } as never;
    const error = await loadVideo(folder, { ...platform, metadata }).catch((error) => error);
    assert.is(error.code, "VIDEO_INVALID", error.message);
  }
});

test.run();
