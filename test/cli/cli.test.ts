/** The command as a user types it: dist/cli.js in a process of its own. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { goldenCase, goldenCases } from "../golden/load.ts";

const model = "test/golden/data/glm4v-tiny";
const one = goldenCase("glm4v-tiny", "one-image");
const image = (
  one.messages
    .flatMap(({ content }) => (Array.isArray(content) ? content : []))
    .find(({ type }) => type === "image") as { image: string }
).image;
const question = (
  one.messages
    .flatMap(({ content }) => (Array.isArray(content) ? content : []))
    .find(({ type }) => type === "text") as { text: string }
).text;
const folder = mkdtempSync(join(tmpdir(), "glimt-cli-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

function glimt(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["dist/cli.js", ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  return { status, stdout, stderr };
}

function json(...args: string[]) {
  const { status, stdout, stderr } = glimt(...args);
  assert.is(status, 0, stderr);
  return JSON.parse(stdout);
}

for (const backend of ["wasm", "reference"]) {
  test(`run --json on ${backend} prints everything about one answer`, () => {
    const found = json(
      "run",
      model,
      "--image",
      image,
      question,
      "--backend",
      backend,
      "--media",
      "huggingface",
      "--max-tokens",
      "24",
      "--json",
    );
    assert.is(found.text, one.text);
    assert.is(found.promptText, one.promptText);
    assert.equal(found.promptIds, one.inputIds);
    assert.equal(found.mmTokenTypeIds, one.mmTokenTypeIds);
    assert.equal(found.imageGridThw, one.imageGridThw);
    assert.equal(found.videoGridThw, []);
    assert.equal(found.positionIds, one.positionIds);
    assert.is(found.ropeDelta, one.ropeDelta);
    assert.equal(found.tokenIds, one.tokenIds);
    assert.is(found.finishReason, one.finishReason);
    assert.is(found.topLogits.length, 10);
    assert.is(found.backend, backend);
    assert.match(
      found.engine.description,
      backend === "wasm" ? /^WebAssembly .*, \d+ threads?$/ : /TypeScript/,
    );
    assert.is(found.dtype, "f32");
    assert.ok(found.timings.total > 0);
  });
}

test("run answers with adapters, each at its scale", () => {
  const lora = "test/golden/data/lora/glm4v-tiny";
  const { runs } = JSON.parse(readFileSync(join(lora, "expected.json"), "utf8"));
  const expected = runs.findLast((run: { case: string }) => run.case === "one-image");
  const flags = expected.adapters.flatMap(({ name, scale }: { name: string; scale: number }) => [
    "--adapter",
    `${join(lora, name)}:${scale}`,
  ]);
  const asked = ["run", model, "--image", image, question, "--media", "huggingface", "--max-tokens", "24"];
  const found = json(...asked, "--json", ...flags);
  assert.equal(found.tokenIds, expected.greedyIds.slice(0, found.tokenIds.length));
  assert.equal(
    found.adapters.map(({ name, scale }: { name: string; scale: number }) => ({ name, scale })),
    expected.adapters,
  );
});

test("run streams the text, and nothing else, to stdout", () => {
  const { status, stdout, stderr } = glimt(
    "run",
    model,
    "--image",
    image,
    question,
    "--media",
    "huggingface",
    "--max-tokens",
    "24",
    "--temperature",
    "0",
  );
  assert.is(status, 0, stderr);
  assert.is(stdout, `${one.text}\n`);
  assert.is(stderr, "");
});

test("--messages runs a conversation, its pictures relative to the file", () => {
  const chat = goldenCase("glm4v-tiny", "chat");
  const file = join(folder, "chat.json");
  const messages = chat.messages.map(({ role, content }) => ({
    role,
    content: Array.isArray(content)
      ? content.map((part) =>
          part.type === "image" ? { ...part, image: relative(folder, part.image) } : part,
        )
      : content,
  }));
  writeFileSync(file, JSON.stringify(messages));
  const found = json(
    "run",
    model,
    "--messages",
    file,
    "--media",
    "huggingface",
    "--max-tokens",
    "24",
    "--json",
  );
  assert.equal(found.promptIds, chat.inputIds);
  assert.equal(found.tokenIds, chat.tokenIds);
});

test("--messages takes pictures as data", () => {
  const data = readFileSync(image).toString("base64");
  const grids = [image, `data:image/png;base64,${data}`, data].map((source) => {
    const file = join(folder, "data.json");
    const part = { type: "image", image: source === image ? resolve(image) : source };
    writeFileSync(file, JSON.stringify([{ role: "user", content: [part] }]));
    const rule = source === image ? "any" : "inline";
    return json("process", model, "--messages", file, "--json", "--sources", rule).imageGridThw;
  });
  assert.equal(grids[1], grids[0]);
  assert.equal(grids[2], grids[0]);
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
  assert.match(glimt("process", model, "--video", image).stderr, /still PNG.*\[VIDEO_INVALID\]/);
});

test("process --pixels writes the pixels as float32", () => {
  const out = join(folder, "pixels.f32");
  const found = json(
    "process",
    model,
    "--image",
    image,
    question,
    "--media",
    "huggingface",
    "--json",
    "--pixels",
    out,
  );
  assert.equal(found.promptIds, one.inputIds);
  const bytes = readFileSync(out);
  const pixels = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  assert.equal([...pixels], [...one.pixelValues!.data]);
});

test("a GGUF model and its tower: inspect says what becomes of its types, run answers", () => {
  const [file, tower] = ["glm4v-tiny.gguf", "mmproj-glm4v-tiny.gguf"].map((name) =>
    join("test/golden/data/gguf", name),
  );
  const { stdout } = glimt("inspect", file!, "--mmproj", tower!);
  assert.match(stdout, /of Q4_0 \(.*\) -> q4 \(.*\), without loss/);
  assert.match(stdout, /of Q5_0 \(.*\) -> q5_0 \(.*\), without loss/);
  assert.match(stdout, /notes +.*how videos are sampled/);
  const ask = ["run", file!, "Hello", "--max-tokens", "2", "--backend", "wasm", "--json"];
  assert.is(json(...ask, "--mmproj", tower!).tokenIds.length, 2);
  assert.match(glimt("inspect", file!).stdout, /vision +.*language model alone/);
});

test("graph prints every program; inspect says what is there", () => {
  const graph = glimt("graph", model);
  assert.is(graph.status, 0, graph.stderr);
  assert.match(graph.stdout, /program vision: \d+ instructions/);
  assert.match(graph.stdout, /program decoder: \d+ instructions/);
  assert.match(graph.stdout, /attention_paged\(/);
  assert.match(glimt("graph", model, "--stage", "model").stdout, /add_bias\(/);
  const inspected = glimt("inspect", model);
  assert.match(inspected.stdout, /Glm4vForConditionalGeneration/);
  assert.match(inspected.stdout, /KV cache/);
  assert.match(inspected.stdout, /become +\d+ of F32 \(.*\) -> f32 \(.*\), without loss/);
  assert.match(inspected.stdout, /runs on +(wasm: WebAssembly|cuda: )/);
  assert.is(json("inspect", model, "--json").family, "glm4v");
  assert.match(glimt("graph", model, "--dtype", "q8").stdout, /q8/);
  const { stored } = json("inspect", model, "--dtype", "q4", "--vision-dtype", "q8", "--json");
  assert.ok(stored.bytes.q4 > 0 && stored.bytes.q8 > 0);
  assert.match(glimt("inspect", model, "--vision-dtype", "q8").stdout, /precise .*patch_embed/);
});

test("what is wrong is said in one line, with a code and an exit status", () => {
  const truncated = join(folder, "cut.png");
  writeFileSync(truncated, readFileSync(image).subarray(0, 200));
  const empty = join(folder, "empty.png");
  writeFileSync(empty, "");
  const noMessages = join(folder, "no-messages.json");
  writeFileSync(noMessages, "[null]");
  const cases: [args: string[], message: RegExp][] = [
    [["process", model, "--messages", noMessages], /messages\[0\].*\[INPUT_INVALID\]/],
    [["run", "no/such/model", "Hi"], /no\/such\/model.*\[CHECKPOINT_NOT_FOUND\]/],
    [["run", "src", "Hi"], /config\.json.*\[CHECKPOINT_NOT_FOUND\]/],
    [["run", model, "--image", "missing.png", "Hi"], /missing\.png.*\[IMAGE_INVALID\]/],
    [["run", model, "--image", truncated, "Hi"], /cut\.png.*\[IMAGE_INVALID\]/],
    [["run", model, "--image", empty, "Hi"], /empty\.png.*\[IMAGE_INVALID\]/],
    [["run", model], /PROMPT.*\[OPTION_INVALID\]/],
    [["run", model, "Hi", "--max-tokens", "0"], /--max-tokens is 0.*\[OPTION_INVALID\]/],
    [["run", model, "Hi", "--backend", "cuda"], /cuda.*\[BACKEND_UNAVAILABLE\]/],
    [["run", model, "Hi", "--messages", "x.json"], /--messages.*\[OPTION_INVALID\]/],
    [["run", model, "--messages", "x.json"], /x\.json.*\[INPUT_INVALID\]/],
    [["run", model, "Hi", "--dtype", "q3"], /--dtype.*q3.*f32/],
    [["run", model, "Hi", "--activations", "q8"], /--activations.*q8.*bf16/],
    [["run", model, "Hi", "--activations", "f32"], /--activations.*--backend cuda.*\[OPTION_INVALID\]/],
    [["run", model, "Hi", "--backend", "wasm", "--device", "1"], /--device.*\[OPTION_INVALID\]/],
    [["plan", model, "--device", "1"], /--device.*--backend cuda.*\[OPTION_INVALID\]/],
    [["run", model, "Hi", "--backend", "cuda", "--device", "one"], /--device.*one.*whole number/],
    [["run", model, "Hi", "--backend", "cuda", "--device", "1"], /cuda.*\[BACKEND_UNAVAILABLE\]/],
    [
      ["process", model, "--image", image, "--sources", "inline"],
      /image: Image .*png is not allowed by the option sources.*\[SOURCE_REFUSED\]/,
    ],
    [["run", model, "--image", image, "--sources", "public"], /\[SOURCE_REFUSED\]/],
    [["run", model, "Hi", "--sources", "all"], /--sources.*any, inline, public/],
    [
      ["process", model, "--image", image, "--max-source-bytes", "99"],
      /--max-source-bytes.*\[SOURCE_TOO_LARGE\]/,
    ],
    [["process", model, "Hi", "--source-timeout", "0"], /--source-timeout is 0.*\[OPTION_INVALID\]/],
    [["run", model, "Hi", "--kv-cache", "lots"], /--kv-cache.*lots.*512MiB/],
    [["run", model, "Hi", "--backend", "wasm", "--kv-cache", "50%"], /wasm.*fraction.*\[OPTION_INVALID\]/],
    [["run", model, "Hi", "--backend", "wasm", "--kv-cache", "5000GiB"], /\[OUT_OF_MEMORY\]/],
    [
      ["run", model, "Hi", "--adapter", "test/golden/data/lora/glm_ocr-tiny/language"],
      /does not fit Glm4v.*\[ADAPTER_INVALID\]/,
    ],
    [
      ["process", model, "Hi", "--pixels", join(folder, "no", "x.f32")],
      /--pixels.*x\.f32.*\[OPTION_INVALID\]/,
    ],
    [["inspect", "http://127.0.0.1:9/m", "--checkpoint-timeout", "0"], /--checkpoint-timeout is 0/],
    [["graph", "http://127.0.0.1:9/m", "--checkpoint-timeout", "0"], /--checkpoint-timeout is 0/],
    [["graph", model, "--stage", "assembly"], /--stage.*assembly.*program/],
    [["run", model, "Hi", "--seed", ""], /--seed.*It must be a whole number/],
    [["run", model, "Hi", "--frobnicate"], /unknown option.*--frobnicate.*\nSee glimt run --help\.\n/],
    [["frobnicate"], /unknown command.*\nSee glimt --help\.\n/],
  ];
  for (const [args, message] of cases) {
    const { status, stdout, stderr } = glimt(...args);
    const shown = `${args.join(" ")}: ${stderr}`;
    assert.is.not(status, 0, shown);
    assert.is(stdout, "", shown);
    assert.match(stderr, message, shown);
    assert.not.match(stderr, /\n {4}at /, shown);
    assert.ok(stderr.trimEnd().split("\n").length <= 2, shown);
  }
  assert.match(glimt("--trace", "run", "no/such/model", "Hi").stderr, /\n {4}at /);
});

test("what is wrong with a request is told before the weights are read, by its flag", () => {
  // Of all numbers NaN: reading the weights fails.
  const broken = join(folder, "broken");
  cpSync("examples/demo/checkpoint", broken, { recursive: true });
  const weights = readFileSync(join(broken, "model.safetensors"));
  writeFileSync(
    join(broken, "model.safetensors"),
    weights.fill(0xff, 8 + Number(weights.readBigUInt64LE(0))),
  );
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const schema = file("schema.json", '{"type": "array", "uniqueItems": true}');
  const tools = file("tools.json", '[{"name": "tap", "parameters": {"type": "object", "not": {}}}]');
  const cases: [args: string[], message: RegExp][] = [
    [[], /holds NaN or infinite values.*\[WEIGHTS_INVALID\]/],
    [["--regex", "("], /^glimt: --regex: at character 1, this group is not closed\. \[OPTION_INVALID\]/],
    [["--json-schema", schema], /^glimt: --json-schema\.uniqueItems: this keyword is not supported/],
    [["--json-schema", file("no.json", "{")], /^glimt: --json-schema is no JSON/],
    [["--json-schema", "nowhere.json"], /^glimt: --json-schema: nowhere\.json can not be read/],
    [["--grammar", file("a.ebnf", 'root ::= root "a"')], /^glimt: --grammar: rule "root" begins with itself/],
    [["--choice", "a,,b"], /^glimt: --choice\[1\] is empty/],
    [["--regex", "a", "--choice", "b"], /^glimt: --regex and --choice exclude each other/],
    [["--regex", "a", "--tool-choice", "auto"], /^glimt: --regex and --tool-choice exclude each other/],
    [["--tool-choice", "required"], /^glimt: --tool-choice says which tools .* give tools/],
    [["--tools", tools, "--tool-choice", "wipe"], /^glimt: --tool-choice names "wipe"/],
    [["--top-p", "3"], /^glimt: --top-p is 3, expected above 0/],
    [
      ["--min-tokens", "9", "--max-tokens", "5"],
      /^glimt: --min-tokens is 9, more than --max-tokens, which is 5/,
    ],
    [["--stop-token", "999999"], /^glimt: --stop-token must be a list of token ids/],
    [["--allow-token", "999999"], /^glimt: --allow-token must be a list of token ids/],
    [["--bad-word", " "], /^glimt: --bad-word must be a list of texts/],
    [["--logit-bias", "5:999"], /^glimt: --logit-bias of token 5 is 999/],
    [["--n", "0"], /^glimt: --n is 0/],
    [["--speculation", "often"], /^glimt: --speculation is "often"/],
    [["--speculation", "mtp", "--no-mtp"], /^glimt: --speculation is "mtp", and the model has no MTP layer/],
    [["--image", "missing.png"], /missing\.png.*\[IMAGE_INVALID\]/],
    [
      ["--messages", file("long.json", JSON.stringify([{ role: "user", content: "word ".repeat(5000) }]))],
      /CONTEXT_OVERFLOW/,
    ],
  ];
  for (const [args, message] of cases) {
    const prompt = args.includes("--messages") ? [] : ["Hi"];
    const { status, stderr } = glimt("run", broken, ...prompt, "--backend", "wasm", ...args);
    assert.is(status, 1, args.join(" "));
    assert.match(stderr, message, args.join(" "));
  }
});

test("conformance prints a matrix, an object, and a page", () => {
  const page = join(folder, "conformance.html");
  const found = json("conformance", "--json", "--html", page);
  assert.is(found.ok, true);
  assert.is(found.columns[0].title, "wasm f32");
  assert.ok(found.columns[0].results.length > 1000);
  assert.equal(
    found.columns[0].models.map(({ ok }: { ok: boolean }) => ok),
    [true, true, true],
  );
  assert.match(readFileSync(page, "utf8"), /<td class="ok">ok, rel .*12\/12 greedy/);
});

test("conformance --backend judges that one alone", () => {
  const { columns, refused } = json("conformance", "--json", "--backend", "cuda");
  const names = [...columns.map(({ title }: { title: string }) => title), ...Object.keys(refused)];
  assert.ok(names.length > 0 && names.every((name) => name.startsWith("cuda")), names.join());
  assert.match(glimt("conformance", "--backend", "reference").stderr, /Allowed choices are cuda, wasm/);
});

test("help and version need no model", () => {
  assert.match(glimt("--help").stdout, /run.*process.*graph.*inspect/s);
  assert.match(glimt("run", "--help").stdout, /--image.*--temperature/s);
  for (const command of ["run", "process", "plan"]) assert.not.match(glimt(command, "--help").stdout, /\[\]/);
  assert.not.match(glimt("plan", "--help").stdout, /--decode-timeout/);
  assert.match(glimt("--version").stdout, /^\d+\.\d+\.\d+\n$/);
});

test.run();
