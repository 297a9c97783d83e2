/** Pages that commands write with --html, on small models. */
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { benchCommand } from "../../src/cli/bench.ts";
import { shownMedia, shrunk } from "../../src/cli/process/shown-media.ts";
import { processCommand } from "../../src/cli/process.ts";
import { runCommand } from "../../src/cli/run.ts";
import { decodeImage } from "../../src/media/decode-image.ts";
import { processImage } from "../../src/processor/image.ts";
import { processorConfig } from "../processor/golden.ts";
import { complaint, glimt } from "./command.ts";

const DEMO = "examples/demo/checkpoint";
const folder = mkdtempSync(join(tmpdir(), "glimt-reports-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

const pictures = (page: string) =>
  [...page.matchAll(/(?:href|src)="data:image\/png;base64,([^"]+)"/g)].map(([, data]) =>
    Buffer.from(data as string, "base64"),
  );

test("process --html shows pictures as the model sees them, with their grids and tokens", async () => {
  const file = join(folder, "request.html");
  const { status, stdout, stderr } = glimt(
    ...["process", DEMO, "Is <b>1</b> < 2?", "--image", "examples/demo/pictures/receipt.png"],
    ...["--image", "examples/demo/pictures/hello.png", "--html", file, "--json"],
  );
  assert.is(status, 0, stderr);
  const { inputIds, imageGridThw } = JSON.parse(stdout);
  const page = readFileSync(file, "utf8");
  assert.ok(page.includes(`${inputIds.length} tokens, 26 of them for pictures and videos`));
  assert.ok(page.includes("Is &lt;b&gt;1&lt;/b&gt; &lt; 2?"));
  assert.match(page, /&lt;\|image\|&gt; × 18<.*&lt;\|image\|&gt; × 8</s);
  assert.match(page, /<dt>KV cache<\/dt><dd>\d+ pages of 16 tokens/);
  assert.match(page, /This page holds 2 pictures in [\d.]+ KiB\./);
  const found = await Promise.all(pictures(page).map((png) => decodeImage(png)));
  const given = await Promise.all(
    ["receipt", "hello"].map((name) => decodeImage(readFileSync(`examples/demo/pictures/${name}.png`))),
  );
  assert.equal(found, given, "neither is resized");
  assert.equal(
    imageGridThw.map(([, h, w]: number[]) => page.includes(`viewBox="0 0 ${14 * w!} ${14 * h!}"`)),
    [true, true],
  );
  assert.not.match(page, /<script|NaN|undefined/);
});

test("process --html shows which frames of a video were taken", () => {
  const file = join(folder, "video.html");
  const { status, stdout, stderr } = glimt(
    ...["process", "test/golden/data/glm4v-tiny", "What?", "--html", file],
    ...["--video", "test/golden/data/movies/h264.mp4", "--json", "--max-frames", "4"],
  );
  assert.is(status, 0, stderr);
  const [[t, h, w]] = JSON.parse(stdout).videoGridThw;
  const page = readFileSync(file, "utf8");
  assert.is(pictures(page).length, 2 * t);
  assert.match(page, new RegExp(`${2 * t} of \\d+ taken`));
  assert.ok(page.includes(`${t} times ${w} x ${h} of 14 pixels, ${t * h * w}`));
});

test("many large pictures are shown smaller and of many frames some, which is said", async () => {
  const config = { ...processorConfig(), minPixels: 1, maxPixels: 1e9 };
  const [width, height] = [2044, 1400];
  const { pixelValues, gridThw } = await processImage(
    { data: new Uint8Array(width * height * 3).fill(90), width, height },
    config,
  );
  const [t, frames] = [60, Array.from({ length: 120 }, (_, index) => index)];
  const video = { pixelValues: new Float32Array(t * 16 * 1176), gridThw: [t, 4, 4] as const };
  const about = { numTokens: 1, labels: [], spans: [] };
  const sizes = { width, height, resizedWidth: width, resizedHeight: height };
  const { media, notes } = await shownMedia(
    {
      media: [
        { ...about, type: "image", gridThw, source: sizes },
        {
          ...about,
          type: "video",
          gridThw: video.gridThw,
          source: { ...sizes, frames: { numFrames: 500, indices: frames, timestamps: frames } },
        },
        { ...about, type: "image", gridThw: [1, 2, 2], source: null },
      ],
      visionItems: [{ pixelValues, gridThw }, video, { embeddings: new Float32Array(8) }],
    },
    { image: config, video: config },
  );
  assert.equal(
    notes.map((note) => note.replace(/in [\d.]+ .iB/, "in SIZE")),
    [
      "Pictures are shown at 1 / 2 of their sides, so that this page stays small; the model sees them whole.",
      "Of 120 frames of videos one in 2 is shown; the model sees all that were taken.",
      "This page holds 61 pictures in SIZE.",
    ],
  );
  const [image, frameItem, features] = media;
  const shown = await decodeImage(Buffer.from(image!.href!.split(",")[1]!, "base64"));
  assert.equal([shown.width, shown.height, shown.data[0]], [1022, 700, 90]);
  assert.is(frameItem!.frameHrefs!.filter((address) => address !== undefined).length, 60);
  assert.is(features!.href, undefined);
});

test("what is shown smaller is the mean of its pixels, at the edges of those that there are", () => {
  const data = Uint8ClampedArray.from(
    [10, 20, 30, 255, 30, 40, 50, 255, 7, 8, 9, 255, 50, 60, 70, 255, 70, 80, 90, 255, 9, 8, 7, 255].map(
      Number,
    ),
  );
  assert.equal(shrunk({ data, width: 3, height: 2 }, 2), {
    data: Uint8Array.of(40, 50, 60, 8, 8, 8),
    width: 2,
    height: 1,
  });
  assert.equal([...shrunk({ data, width: 3, height: 2 }, 1).data.subarray(0, 6)], [10, 20, 30, 30, 40, 50]);
});

test("a page does not replace what the request reads", async () => {
  const picture = join(folder, "picture.png");
  copyFileSync("examples/demo/pictures/hello.png", picture);
  const linked = join(folder, "linked.png");
  symlinkSync(picture, linked);
  for (const command of [processCommand(), runCommand()]) {
    const said = await complaint(command, [DEMO, "?", "--image", picture, "--html", linked]);
    assert.match(said, /--html: .*linked\.png is what the command reads/);
  }
  assert.equal(readFileSync(picture), readFileSync("examples/demo/pictures/hello.png"));
});

test("two outputs are not written to one file, under whichever names: both flags are named before any work", async () => {
  const [there, linked] = [join(folder, "there.html"), join(folder, "linked.html")];
  writeFileSync(there, "kept");
  symlinkSync(there, linked);
  symlinkSync(folder, join(folder, "again"));
  const nowhere = join(folder, "no-model");
  const absent = join(folder, "absent.html");
  const commands = [
    [processCommand(), [nowhere, "?"], "--html", "--pixels"],
    [runCommand(), [nowhere, "?"], "--html", "--save-session"],
    [benchCommand(), [nowhere, "--backend", "wasm"], "--svg", "--html"],
  ] as const;
  for (const [command, args, first, second] of commands) {
    for (const [one, other] of [
      [absent, absent],
      [absent, join(folder, "again", "absent.html")],
      [there, linked],
    ] as const) {
      const said = await complaint(command, [...args, first, one, second, other]);
      assert.is(
        said,
        `${second}: ${other} is what ${first} writes; give each a file of its own. [OPTION_INVALID]`,
      );
    }
  }
  assert.is(readFileSync(there, "utf8"), "kept");
  assert.is(existsSync(absent), false);
});

test("a page of run does not replace what is read beside the messages; a session may be saved where it came from", async () => {
  const read = join(folder, "read.json");
  writeFileSync(read, '{ "type": "object" }');
  for (const flag of ["--json-schema", "--grammar"]) {
    const said = await complaint(runCommand(), [DEMO, "?", flag, read, "--html", read]);
    assert.match(said, /--html: .*read\.json is what the command reads/);
  }
  assert.is(readFileSync(read, "utf8"), '{ "type": "object" }');
  const session = join(folder, "answer.session");
  const ask = (...more: string[]) =>
    glimt("run", DEMO, "Hi", "--backend", "wasm", "--threads", "1", "--max-tokens", "2", ...more);
  const saved = ask("--save-session", session);
  assert.is(saved.status, 0, saved.stderr);
  const again = ask("--restore-session", session, "--save-session", session);
  assert.is(again.status, 0, again.stderr);
  const page = ask("--restore-session", session, "--html", session);
  assert.match(page.stderr, /--html: .*answer\.session is what the command reads/);
});

test("run --html shows the answer, and what its tokens look at", () => {
  const file = join(folder, "answer.html");
  const { status, stdout, stderr } = glimt(
    ...["run", DEMO, "Text Recognition:", "--image", "examples/demo/pictures/receipt.png"],
    ...["--backend", "wasm", "--threads", "1", "--max-tokens", "5", "--json", "--html", file],
  );
  assert.is(status, 0, stderr);
  const { text, tokenIds } = JSON.parse(stdout);
  const page = readFileSync(file, "utf8");
  assert.ok(page.includes(`tabindex="0">${text}</pre>`), text);
  assert.is([...page.matchAll(/% on picture 1<\/li>/g)].length, tokenIds.length);
  assert.is(pictures(page).length, 1, "the picture is there once");
  assert.not.match(page, /<script|NaN|undefined/);
});

const SMALL = ["--image", "none", "--prefill", "5", "--context", "none", "--seconds", "0.01"];

test("bench --html is the tables and the drawing in one page", () => {
  const file = join(folder, "bench.html");
  const { status, stdout, stderr } = glimt(
    "bench",
    DEMO,
    ...SMALL,
    "--threads",
    "1",
    "--profile",
    "--html",
    file,
  );
  assert.is(status, 0, stderr);
  const page = readFileSync(file, "utf8");
  const [speed] = /^ {2}5 tokens.*$/m.exec(stdout) ?? [];
  const cells = speed!.trim().split(/ {2,}/).slice(1, 4);
  assert.ok(
    page.includes(
      `<th scope="row">5 tokens</th><td class="number">${cells[0]}</td><td class="number">${cells[1]}</td>`,
    ),
    speed,
  );
  assert.match(page, /<svg .*Prefill, tokens a second.*<\/svg>/s);
  assert.match(page, /prefill 5, by op<.*prefill 5, by part</s);
  assert.not.match(page, /<script|NaN|Infinity|undefined/);
});

test("run --html shows the answer of several devices, which can not tell what its tokens look at", () => {
  const file = join(folder, "devices.html");
  const { status, stdout, stderr } = glimt(
    ...["run", DEMO, "Hi", "--backend", "reference", "--devices", "0,1", "--max-tokens", "2", "--html", file],
  );
  assert.is(status, 0, stderr);
  assert.ok(readFileSync(file, "utf8").includes(`${stdout.trim()}</pre>`));
});

for (const [what, path, reason] of [
  ["a folder that is not there", join(folder, "no", "x.html"), /there is no such folder\./],
  ["a directory", folder, /it is a directory\./],
  ["a name that is empty", "", /there is no such folder\./],
] as const) {
  for (const args of [
    ["process", join(folder, "no-model"), "Hi"],
    ["run", DEMO, "Hi"],
    ["bench", DEMO, ...SMALL],
    ["conformance", "--backend", "wasm", "--op", "gelu"],
  ]) {
    test(`${args[0]} --html ${what} is refused before anything is run`, () => {
      const { status, stdout, stderr } = glimt(...args, "--html", path);
      assert.is(status, 1);
      assert.is(stdout, "");
      assert.match(stderr, /^glimt: --html: .* can not be written: .*\[OPTION_INVALID\]/);
      assert.match(stderr, reason);
      assert.is(existsSync(join(folder, "no")), false);
    });
  }
}

test("process --html - is refused, and no file of that name is written", () => {
  const { status, stderr } = glimt("process", DEMO, "Hi", "--html", "-");
  assert.is(status, 1);
  assert.match(stderr, /^glimt: --html: - is no file/);
  assert.is(existsSync("-"), false);
});

test.run();
