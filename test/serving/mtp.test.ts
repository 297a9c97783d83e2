/** The demo's MTP layer: it is right most of the time, and what it says changes no answer; scrambled it is seldom right. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type GenerateOptions,
  GlimtError,
  type LoadOptions,
  loadModel,
  type Message,
  type Model,
} from "../../src/index.ts";
import { f32, safetensors } from "../checkpoint/fixtures.ts";

const DEMO = "examples/demo/checkpoint";
const PICTURES = ["hello", "lines", "numbers", "receipt"];
const ask = (picture: string): Message[] => [
  {
    role: "user",
    content: [
      { type: "image", image: `examples/demo/pictures/${picture}.png` },
      { type: "text", text: "Text Recognition:" },
    ],
  },
];

/** All pictures at once; what differs from run to run is left out. */
async function readAll(model: Model, options: (index: number) => GenerateOptions, pictures = PICTURES) {
  const results = await Promise.all(
    pictures.map((picture, index) =>
      model.complete(ask(picture), { maxTokens: 96, seed: index, ...options(index) }),
    ),
  );
  return results.map(({ text, tokenIds, finishReason, topLogits }) => ({
    text,
    tokenIds,
    finishReason,
    topLogits,
  }));
}

/** One picture after another: of requests side by side it depends on how they meet who finds whose pages. */
async function share(model: Model, adapters: readonly string[] = []): Promise<number> {
  const before = model.stats().drafts;
  for (const picture of PICTURES) await readAll(model, () => ({ speculation: "mtp", adapters }), [picture]);
  const { drafted, accepted } = model.stats().drafts;
  return (accepted - before.accepted) / (drafted - before.drafted);
}

const LOADS: readonly LoadOptions[] = [
  { backend: "wasm", threads: 1, prefillChunk: 32 },
  { backend: "reference", prefillChunk: 100 },
];

for (const load of LOADS) {
  test(`${load.backend}: drafted answers are those without drafts, greedy and sampled, stopped and cut, in company`, async () => {
    const model = await loadModel(DEMO, load);
    const ways: ((index: number) => GenerateOptions)[] = [
      () => ({}),
      (index) => ({ temperature: 1.2, topP: 0.95, maxTokens: 10 + index }),
      (index) => ({ stop: ["l", "he", "2", " "][index], repetitionPenalty: 1.1 }),
    ];
    const isSlow = load.backend === "reference";
    const pictures = isSlow ? PICTURES.slice(0, 1) : PICTURES;
    for (const way of isSlow ? ways.slice(0, 1) : ways) {
      const read = (speculation: (index: number) => GenerateOptions["speculation"]) =>
        readAll(model, (index) => ({ ...way(index), speculation: speculation(index) }), pictures);
      const expected = await read(() => "off");
      assert.equal(await read(() => "mtp"), expected);
      // Some draft, each in its own way, and some do not.
      if (!isSlow)
        assert.equal(await read((index) => (["mtp", "lookup", "off", "auto"] as const)[index]), expected);
    }
    const { drafted, accepted } = model.stats().drafts;
    assert.ok(accepted > 0 && drafted > accepted);
    const { pages, running } = model.stats();
    assert.equal([pages.free, running], [pages.total, 0]);
    await model.dispose();
  });
}

test("the trained layer's drafts are accepted, those of a scrambled one are not, and nobody reads otherwise", async () => {
  const model = await loadModel(DEMO, { threads: 1 });
  const trained = await share(model);
  // Pages that were read before have the layer's keys too.
  assert.ok((await share(model)) > 0.95 * trained);
  assert.ok(model.stats().prefixCache.hitTokens > 0);
  const texts = await readAll(model, () => ({ speculation: "off" }));
  await model.dispose();
  const folder = await mkdtemp(join(tmpdir(), "glimt-scrambled-"));
  await cp(DEMO, folder, { recursive: true });
  await swapHalves(join(folder, "model.safetensors"), "model.language_model.layers.3.eh_proj.weight");
  const scrambled = await loadModel(folder, { threads: 1 });
  const wrong = await share(scrambled);
  assert.equal(await readAll(scrambled, () => ({ speculation: "mtp" })), texts);
  await scrambled.dispose();
  await rm(folder, { recursive: true });
  console.log(
    `accepted: ${trained.toFixed(2)} of the trained layer's drafts, ${wrong.toFixed(2)} of the scrambled one's`,
  );
  assert.ok(trained > 0.6, `${trained} of the drafts are accepted`);
  assert.ok(wrong < trained / 3, `${wrong} of a scrambled layer's drafts are accepted`);
});

/** Embedding and hidden state in the wrong order: what a mistake in the layer would look like. */
async function swapHalves(path: string, name: string): Promise<void> {
  const bytes = await readFile(path);
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const { shape, data_offsets: offsets } = JSON.parse(bytes.subarray(8, 8 + headerBytes).toString("utf8"))[
    name
  ];
  const rowBytes = 2 * shape[1];
  for (let at = 8 + headerBytes + offsets[0]; at < 8 + headerBytes + offsets[1]; at += rowBytes) {
    const first = Uint8Array.from(bytes.subarray(at, at + rowBytes / 2));
    bytes.copyWithin(at, at + rowBytes / 2, at + rowBytes);
    bytes.set(first, at + rowBytes / 2);
  }
  await writeFile(path, bytes);
}

test("with an adapter, which changes the model and not the layer, and in company of requests without it", async () => {
  const location = "test/golden/data/lora/glm_ocr-tiny/language";
  const model = await loadModel("test/golden/data/glm_ocr-tiny", {
    threads: 1,
    adapters: [{ name: "a", location }],
  });
  const answers = (speculation: GenerateOptions["speculation"]) =>
    Promise.all(
      [[], ["a"], ["a"], []].map(async (adapters, index) => {
        const content = "Hello again and again. ".repeat(1 + 3 * index);
        const options = { adapters, speculation, maxTokens: 16, temperature: index, seed: index };
        return (await model.complete([{ role: "user", content }], options)).tokenIds;
      }),
    );
  const expected = await answers("off");
  assert.equal(await answers("mtp"), expected);
  assert.ok(model.stats().drafts.drafted > 0);
  await model.dispose();
  assert.is(model.liveBytes, 0);
});

test("an adapter of the layer alone changes what is drafted, and no answer", async () => {
  const folder = await mkdtemp(join(tmpdir(), "glimt-layer-"));
  const module = "base_model.model.model.language_model.layers.3.eh_proj";
  const wave = (rows: number, cols: number) =>
    f32(
      [rows, cols],
      Array.from({ length: rows * cols }, (_, at) => Math.sin(at)),
    );
  const tensors = { [`${module}.lora_A.weight`]: wave(2, 384), [`${module}.lora_B.weight`]: wave(192, 2) };
  const config = { peft_type: "LORA", r: 2, lora_alpha: 8, target_modules: ["eh_proj"] };
  await writeFile(join(folder, "adapter_config.json"), JSON.stringify(config));
  await writeFile(join(folder, "adapter_model.safetensors"), safetensors(tensors));
  const model = await loadModel(DEMO, { threads: 1, adapters: [{ name: "layer", location: folder }] });
  await rm(folder, { recursive: true });
  const plain = await share(model);
  const changed = await share(model, ["layer"]);
  assert.ok(changed < plain / 2, `${changed} of its drafts are accepted, ${plain} of those without it`);
  const read = (speculation: "mtp" | "off", adapters: readonly string[]) =>
    readAll(model, () => ({ speculation, adapters }));
  const expected = await read("off", []);
  assert.equal(await read("mtp", ["layer"]), expected);
  assert.equal(await read("off", ["layer"]), expected);
  await model.dispose();
  assert.is(model.liveBytes, 0);
});

test("a model without the layer says so, and what says nothing of it is refused", async () => {
  const model = await loadModel(DEMO, { threads: 1, mtp: false });
  for (const [speculation, message] of [
    ["mtp", /no MTP layer/],
    ["sometimes", /speculation is "sometimes", expected "auto", "mtp", "lookup", "off"/],
  ] as const) {
    const options = { speculation, maxTokens: 2 } as unknown as GenerateOptions;
    const error = await model.complete(ask("hello"), options).then(
      () => assert.unreachable(),
      (error) => error,
    );
    assert.instance(error, GlimtError);
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, message);
  }
  const answer = await model.complete(ask("hello"), { speculation: "auto" });
  assert.is(answer.text, "Hello world");
  assert.is(model.stats().drafts.drafted, 0);
  await model.dispose();
});

test.run();
