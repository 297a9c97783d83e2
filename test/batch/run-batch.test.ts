/** Batch files answered by the demo's model. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type BatchOptions, runBatch } from "../../src/batch.ts";
import { loadModel } from "../../src/index.ts";

const folder = mkdtempSync(join(tmpdir(), "glimt-run-batch-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
mkdirSync(join(folder, "pictures"));
const PICTURES = ["hello.png", "lines.png", "numbers.png", "receipt.png"];
for (const name of PICTURES) copyFileSync(`examples/demo/pictures/${name}`, join(folder, "pictures", name));
writeFileSync(join(folder, "other.txt"), "no picture");

const model = await loadModel("examples/demo/checkpoint", { backend: "wasm", threads: 1, maxSequences: 4 });

const reading = (url: string) => [
  {
    role: "user",
    content: [
      { type: "image_url", image_url: { url } },
      { type: "text", text: "Text Recognition:" },
    ],
  },
];
const line = (custom_id: string, body: object, url = "/v1/chat/completions") => ({
  custom_id,
  method: "POST",
  url,
  body,
});

let count = 0;
async function answered(lines: readonly object[], options: Partial<BatchOptions> = {}) {
  const name = join(folder, String(++count));
  const [input, output] = [`${name}.in.jsonl`, `${name}.out.jsonl`];
  writeFileSync(input, lines.map((each) => `${JSON.stringify(each)}\n`).join(""));
  const progress = await runBatch(model, { input, output, maxTokens: 100, ...options });
  const read = readFileSync(output, "utf8").trimEnd().split("\n");
  return { progress, answers: read.map((text) => JSON.parse(text)) };
}

test("pages are read as the model reads each alone", async () => {
  const lines = Array.from({ length: 12 }, (_, i) => {
    const url = `pictures/${PICTURES[i % 4]}`;
    return line(`page-${i}`, { messages: reading(url), temperature: 0, ...(i % 3 === 0 && { n: 2 }) });
  });
  const { progress, answers } = await answered(lines);
  const alone = await Promise.all(
    PICTURES.map(async (name) => {
      const image = join(folder, "pictures", name);
      const content = [
        { type: "image", image } as const,
        { type: "text", text: "Text Recognition:" } as const,
      ];
      return (await model.complete([{ role: "user", content }], { checkpointSampling: true, temperature: 0 }))
        .text;
    }),
  );
  assert.equal(
    answers.map(({ custom_id, response }) => [
      custom_id,
      response.status_code,
      ...response.body.choices.map(({ message }: { message: { content: string } }) => message.content),
    ]),
    lines.map((_, i) => [`page-${i}`, 200, ...new Array(i % 3 === 0 ? 2 : 1).fill(alone[i % 4])]),
  );
  assert.is(alone[0], "Hello world");
  const usage = answers.map(({ response }) => response.body.usage);
  const total = (key: string) => usage.reduce((sum, used) => sum + used[key], 0);
  assert.equal(
    [progress.promptTokens, progress.completionTokens],
    [total("prompt_tokens"), total("completion_tokens")],
  );
});

test("what is drawn at random is drawn again the same", async () => {
  const messages = [{ role: "user", content: "Say something." }];
  const lines = ["a", "b"].map((id) => line(id, { messages, temperature: 1.5, max_tokens: 8 }));
  const texts = async () => {
    const { answers } = await answered(lines);
    return answers.map(({ response }) => response.body.choices[0].message.content);
  };
  const [first, second] = [await texts(), await texts()];
  assert.equal(first, second);
  assert.is.not(first[0], first[1]);
});

test("completions and responses are answered too", async () => {
  const input = [
    {
      role: "user",
      content: [
        { type: "input_image", image_url: "pictures/hello.png" },
        { type: "input_text", text: "Text Recognition:" },
      ],
    },
  ];
  const { answers } = await answered([
    line("texts", { prompt: ["Hel", "Wor"], max_tokens: 3, echo: true, temperature: 0 }, "/v1/completions"),
    line("response", { input, temperature: 0 }, "/v1/responses"),
  ]);
  const [texts, response] = answers.map(({ response }) => response.body);
  assert.equal(
    texts.choices.map(({ text }: { text: string }) => text.slice(0, 3)),
    ["Hel", "Wor"],
  );
  assert.is(response.output[0].content[0].text, "Hello world");
});

test("what can not be answered has the status and the error that a server gives", async () => {
  const say = [{ role: "user", content: "Hi" }];
  const { answers, progress } = await answered([
    line("url", {}, "/v1/embeddings"),
    line("proto", {}, "toString"),
    line("model", { model: "other", messages: say }),
    line("stream", { messages: say, stream: true }),
    line("field", { messages: say, temprature: 1 }),
    line("range", { messages: say, temperature: -1 }),
    line("long", { messages: [{ role: "user", content: "word ".repeat(20_000) }] }),
    line("picture", { messages: reading("other.txt") }),
    line("fine", { model: "glimt", messages: say, max_tokens: 1 }),
  ]);
  assert.equal(
    answers.map(({ custom_id, response }) => [custom_id, response.status_code]),
    [
      ["url", 404],
      ["proto", 404],
      ["model", 404],
      ["stream", 400],
      ["field", 400],
      ["range", 400],
      ["long", 400],
      ["picture", 400],
      ["fine", 200],
    ],
  );
  assert.is(progress.failed, 8);
  const error = (id: string) => answers.find(({ custom_id }) => custom_id === id).response.body.error;
  assert.match(error("field").message, /temprature/);
  assert.is(error("long").code, "context_length_exceeded");
  assert.match(error("picture").message, /other\.txt/);
});

test("files outside the batch's folder, and inner hosts, are read where sources say so", async () => {
  const outside = join(process.cwd(), "examples/demo/pictures/hello.png");
  const urls = [outside, pathToFileURL(outside).href, "../hello.png", "http://127.0.0.1:9/a.png"];
  const lines = urls.map((url, i) => line(String(i), { messages: reading(url) }));
  const { answers } = await answered(lines);
  assert.equal(
    answers.map(({ response }) => response.body.error?.code),
    ["source_refused", "source_refused", "source_refused", "source_refused"],
  );
  const { answers: allowed } = await answered(lines.slice(0, 2), { sources: "any" });
  assert.equal(
    allowed.map(({ response }) => response.status_code),
    [200, 200],
  );
  const { answers: inline } = await answered([line("a", { messages: reading("pictures/hello.png") })], {
    sources: "inline",
  });
  assert.is(inline[0].response.body.error.code, "source_refused");
});

const WRONG: readonly [options: object, message: RegExp][] = [
  [{ input: 3 }, /input is 3, expected a file's path/],
  [{ output: "" }, /output is ""/],
  [{ output: new URL("http://a.org/b") }, /output: /],
  [{ errors: join(folder, "same"), output: join(folder, "same") }, /errors and output are one file/],
  [{ concurrency: 0 }, /concurrency is 0/],
  [{ maxTokens: 1.5 }, /maxTokens is 1.5/],
  [{ name: 5 }, /name is 5/],
  [{ unordered: "yes" }, /unordered is "yes"/],
  [{ sources: "all" }, /sources is "all"/],
  [{ specialTokensInText: "no" }, /specialTokensInText is "no"/],
  [{ stopSignal: {} }, /stopSignal is an object, expected an AbortSignal/],
  [{ outptu: "x" }, /has no option "outptu"/],
];
for (const [options, message] of WRONG) {
  test(`option: ${message}`, async () => {
    const given = { input: join(folder, "none"), output: join(folder, "out"), ...options } as BatchOptions;
    const error = await runBatch(model, given).then(
      () => null,
      (thrown) => thrown,
    );
    assert.is(error?.code, "OPTION_INVALID");
    assert.match(error.message, message);
  });
}

test("a model that is disposed of ends the batch", async () => {
  const other = await loadModel("examples/demo/checkpoint", { backend: "wasm", threads: 1 });
  const input = join(folder, "disposed.in");
  const messages = [{ role: "user", content: "Hello?" }];
  const lines = Array.from({ length: 4 }, (_, i) =>
    line(`${i}`, { messages, ignore_eos: true, max_tokens: i === 0 ? 2 : 400 }),
  );
  writeFileSync(input, lines.map((each) => JSON.stringify(each)).join("\n"));
  const output = join(folder, "disposed.out");
  const run = runBatch(other, { input, output, onProgress: () => void other.dispose() });
  const error = await run.then(
    () => null,
    (thrown) => thrown,
  );
  assert.is(error?.code, "DISPOSED");
  const { answered: all, failed } = await runBatch(model, { input, output, maxTokens: undefined });
  assert.equal([all, failed], [4, 0]);
});

test.after(() => model.dispose());
test.run();
