/** `glimt process` as a user types it: prompts of pictures and videos, and pixels in a file. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { goldenCases } from "../golden/load.ts";
import { glimt, IMAGE, json, ONE_IMAGE, QUESTION } from "./command.ts";

const model = "test/golden/data/glm4v-tiny";
const folder = mkdtempSync(join(tmpdir(), "glimt-process-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

test("--messages takes pictures as data", () => {
  const data = readFileSync(IMAGE).toString("base64");
  const grids = [IMAGE, `data:image/png;base64,${data}`, data].map((source) => {
    const file = join(folder, "data.json");
    const part = { type: "image", image: source === IMAGE ? resolve(IMAGE) : source };
    writeFileSync(file, JSON.stringify([{ role: "user", content: [part] }]));
    const rule = source === IMAGE ? "any" : "inline";
    return json("process", model, "--messages", file, "--json", "--sources", rule).imageGridThw;
  });
  assert.equal(grids[1], grids[0]);
  assert.equal(grids[2], grids[0]);
});

test("--continue-final-message goes on with whose message is last, as its help says", () => {
  const help = glimt("process", "--help").stdout.replace(/\s+/g, " ");
  assert.match(
    help,
    /--continue-final-message go on with the last message, such as an answer that --messages begins, in place of answering it/,
  );
  const file = join(folder, "begun.json");
  writeFileSync(
    file,
    JSON.stringify([
      { role: "user", content: "Hi" },
      { role: "assistant", content: "It is" },
    ]),
  );
  assert.match(
    json("process", model, "--messages", file, "--continue-final-message", "--json").promptText,
    /It is$/,
  );
  assert.match(json("process", model, "Hi", "--continue-final-message", "--json").promptText, /Hi$/);
});

test("--video takes a directory of frames", () => {
  const golden = goldenCases("glm4v-tiny").find(({ videoGridThw }) => videoGridThw.length === 1)!;
  const parts = golden.messages.flatMap(({ content }) => (Array.isArray(content) ? content : []));
  const video = parts.find((part) => part.type === "video") as { video: string };
  const text = parts.find((part) => part.type === "text") as { text: string };
  const found = json("process", model, "--video", video.video, text.text, "--media", "huggingface", "--json");
  assert.equal(found.videoGridThw, golden.videoGridThw);
  assert.equal(found.positionIds, golden.positionIds);
});

test("--video takes files, sampled as asked", () => {
  const frames = (...flags: string[]) =>
    json("process", model, "--video", "test/golden/data/movies/h264.mp4", "--json", ...flags)
      .videoGridThw[0][0];
  assert.is(frames(), 3);
  assert.is(frames("--video-fps", "1"), 2);
  assert.is(frames("--no-sample-frames"), 18);
  assert.is(frames("--max-frames", "4"), 2);
  assert.match(
    glimt("process", model, "--image", "test/golden/data/movies/vp9.webm").stderr,
    /content\[0\]\.image: .*vp9\.webm is a video file.*\[IMAGE_INVALID\]/,
  );
  assert.match(glimt("process", model, "--video", IMAGE).stderr, /still PNG.*\[VIDEO_INVALID\]/);
});

test("process --pixels writes the pixels as float32", () => {
  const out = join(folder, "pixels.f32");
  const found = json(
    "process",
    model,
    "--image",
    IMAGE,
    QUESTION,
    "--media",
    "huggingface",
    "--json",
    "--pixels",
    out,
  );
  assert.equal(found.promptIds, ONE_IMAGE.inputIds);
  const bytes = readFileSync(out);
  const pixels = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  assert.equal([...pixels], [...ONE_IMAGE.pixelValues!.data]);
});

test.run();
