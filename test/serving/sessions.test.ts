/** A session that was saved is restored elsewhere: answers begin without reading the prompt, with the same bits. */
import { execFileSync } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type GenerateOptions,
  GlimtError,
  type LoadOptions,
  loadModel,
  type Message,
  type Model,
  type SessionProgress,
} from "../../src/index.ts";
import { chat, facts } from "./company.ts";
import { bytesOf, putTogether, takeApart } from "./session-bytes.ts";

const DIRECTORY = "test/golden/data/glm_ocr-tiny";
const PAGE = 16;
const LONG = "Read what is on this page, line by line, and say what it is about. ".repeat(4);
const ASKED: GenerateOptions = { maxTokens: 12, logprobs: true, topLogprobs: 2 };
/** A picture, text behind it, and what is asked next. */
const MESSAGES: Message[] = chat(LONG, 7);
const NEXT: Message[] = [
  ...MESSAGES,
  { role: "assistant", content: "A page." },
  { role: "user", content: "Why?" },
];

const load = (options: LoadOptions = {}, directory = DIRECTORY) =>
  loadModel(directory, { backend: "wasm", threads: 1, ...options });

/** A session of `MESSAGES`, by a model that is gone. */
async function saved(options: LoadOptions = {}, asked: { cacheSalt?: string; speculation?: "mtp" } = {}) {
  const model = await load(options);
  const session = await model.saveSession(MESSAGES, asked);
  await model.dispose();
  return session;
}

async function refused(task: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  const error = await task.then(
    () => assert.unreachable(`expected ${code} ${message}`),
    (error) => error,
  );
  assert.instance(error, GlimtError);
  assert.is(error.code, code, error.message);
  assert.match(error.message, message);
}

function isEmpty(model: Model): boolean {
  const { prefixCache, pages } = model.stats();
  return prefixCache.pages === 0 && pages.free === pages.total;
}

for (const backend of ["wasm", "reference"] as const) {
  for (const kvCacheDtype of [undefined, "bf16", "q8"] as const) {
    test(`${backend}, ${kvCacheDtype ?? "f32"}: answers behind a restored session are those without, to the bit`, async () => {
      const options = { backend, kvCacheDtype };
      const cold = await load({ ...options, prefixCache: false, encoderCacheBytes: 0 });
      const { blob, tokens, bytes } = await saved(options);
      assert.is(bytes, blob.size);
      const model = await load(options);
      const progress: SessionProgress[] = [];
      const onProgress = (told: SessionProgress) => progress.push(told);
      assert.equal(await model.restoreSession(blob, { onProgress }), { tokens, bytes });
      assert.equal(progress.at(-1), { stage: "session", share: 1 });
      const { promptTokens } = await cold.complete(MESSAGES, ASKED).then(({ usage }) => usage);
      assert.is(tokens, Math.floor(promptTokens / PAGE) * PAGE);
      for (const messages of [MESSAGES, NEXT]) {
        const stages = new Set<string>();
        const found = await model.complete(messages, {
          ...ASKED,
          onProgress: ({ stage }) => stages.add(stage),
        });
        assert.equal(facts(found), facts(await cold.complete(messages, ASKED)));
        assert.not(stages.has("vision"), "the picture was not encoded");
        assert.ok(found.usage.cachedTokens >= tokens - PAGE, `${found.usage.cachedTokens} of ${tokens}`);
      }
      await cold.dispose();
      await model.dispose();
    });
  }
}

test("what is not cached is read before it is saved, and what is cached is not read again", async () => {
  const model = await load();
  const first = await model.saveSession(MESSAGES);
  const { queriedTokens, hitTokens } = model.stats().prefixCache;
  assert.is(hitTokens, 0);
  const second = await model.saveSession(MESSAGES);
  assert.equal(await bytesOf(second.blob), await bytesOf(first.blob));
  const found = model.stats().prefixCache.hitTokens;
  assert.ok(queriedTokens - found < PAGE + 1, `${found} of ${queriedTokens}`);
  assert.is(model.stats().running, 0);
  // A session of pages that are there changes nothing.
  const { pages } = model.stats().prefixCache;
  await model.restoreSession(first.blob);
  assert.is(model.stats().prefixCache.pages, pages);
  const short = await model.saveSession({ inputIds: [1, 2, 3] });
  assert.is(short.tokens, 0);
  assert.is((await model.restoreSession(short.blob)).tokens, 0);
  await model.dispose();
});

test("a session has the salt it was saved with", async () => {
  const { blob } = await saved({}, { cacheSalt: "mine" });
  const model = await load();
  await model.restoreSession(blob);
  assert.is((await model.complete(MESSAGES, ASKED)).usage.cachedTokens, 0);
  assert.is((await model.complete(MESSAGES, { ...ASKED, cacheSalt: "other" })).usage.cachedTokens, 0);
  assert.ok((await model.complete(MESSAGES, { ...ASKED, cacheSalt: "mine" })).usage.cachedTokens > 0);
  await model.dispose();
});

test("with the layer that drafts, and without it", async () => {
  const demo = "examples/demo/checkpoint";
  const text = chat("Read what is here. ".repeat(10));
  const asked = { maxTokens: 24, speculation: "mtp" } as const;
  const first = await load({}, demo);
  const drafted = await first.saveSession(text, { speculation: "mtp" });
  const plain = await first.saveSession(text);
  await first.dispose();
  assert.ok(drafted.bytes > plain.bytes, "the layer has a part of each page");
  const cold = await load({ prefixCache: false }, demo);
  const model = await load({}, demo);
  await model.restoreSession(drafted.blob);
  const found = await model.complete(text, asked);
  assert.equal(facts(found), facts(await cold.complete(text, asked)));
  assert.ok(found.usage.cachedTokens > drafted.tokens - 2 * PAGE);
  assert.is((await model.complete(text, { maxTokens: 2 })).usage.cachedTokens, 0);
  await model.restoreSession(plain.blob);
  assert.ok((await model.complete(text, { maxTokens: 2 })).usage.cachedTokens > 0);
  await cold.dispose();
  await model.dispose();
  const without = await load({ mtp: false }, demo);
  await refused(without.restoreSession(drafted.blob), "SESSION_INVALID", /with the layer that drafts/);
  await without.restoreSession(plain.blob);
  assert.ok((await without.complete(text, { maxTokens: 2 })).usage.cachedTokens > 0);
  await without.dispose();
});

test("a session with the layer that drafts is refused where that layer is another, and one without it is not", async () => {
  const text = chat("Read what is here. ".repeat(10));
  const first = await load();
  const drafted = await first.saveSession(text, { speculation: "mtp" });
  const plain = await first.saveSession(text, { speculation: "off" });
  await first.dispose();
  const folder = await mkdtemp(join(tmpdir(), "glimt-session-"));
  try {
    await cp(DIRECTORY, folder, { recursive: true });
    const path = join(folder, "model.safetensors");
    const bytes = await readFile(path);
    const headerEnd = 8 + Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.subarray(8, headerEnd).toString("utf8"));
    const [begin, end] = header["model.language_model.layers.2.eh_proj.weight"].data_offsets;
    for (let at = headerEnd + begin + 1; at < headerEnd + end; at += 2) bytes[at]! ^= 0x80;
    await writeFile(path, bytes);
    const model = await load({}, folder);
    await refused(model.restoreSession(drafted.blob), "SESSION_INVALID", /other weights/);
    await model.restoreSession(plain.blob);
    assert.ok((await model.complete(text, { maxTokens: 2, speculation: "off" })).usage.cachedTokens > 0);
    await model.dispose();
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("the session of a mixture of backends is of one model where keys and values are stored alike", async () => {
  const { blob, tokens } = await saved();
  const model = await load({ backend: "reference" });
  await model.restoreSession(blob);
  const { usage } = await model.complete(MESSAGES, ASKED);
  assert.ok(usage.cachedTokens >= tokens - PAGE);
  await model.dispose();
});

test("a session of another model is refused, and says what is different", async () => {
  const { blob } = await saved();
  const merged = { name: "a", location: "test/golden/data/lora/glm_ocr-tiny/language", merge: true };
  const others: [Promise<Model>, RegExp][] = [
    [load({}, "test/golden/data/glm4v-tiny"), /of another model: the configurations differ/],
    [load({ adapters: [merged] }), /other weights/],
    [load({ dtype: "f16" }), /other weights/],
    [load({ kvCacheDtype: "bf16" }), /its keys and values are f32, and those of this model bf16/],
  ];
  for (const [loading, message] of others) {
    const model = await loading;
    await refused(model.restoreSession(blob), "SESSION_INVALID", message);
    assert.ok(isEmpty(model));
    await model.dispose();
  }
  const off = await load({ prefixCache: false });
  await refused(off.restoreSession(blob), "OPTION_INVALID", /restoreSession: .*prefixCache: false/);
  await refused(off.saveSession(MESSAGES), "OPTION_INVALID", /saveSession: .*prefixCache: false/);
  await off.dispose();
  const group = await load({ parallel: { tensor: 2 } });
  await refused(group.restoreSession(blob), "OPTION_INVALID", /is on a group of devices/);
  await group.dispose();
});

const strange = await saved();
const stranger = await load();
test.after(() => stranger.dispose());
const restoring = async (bytes: Uint8Array<ArrayBuffer>) => stranger.restoreSession(new Blob([bytes]));

test("a file that ends early, or has a bit flipped, is refused whole", async () => {
  const bytes = await bytesOf(strange.blob);
  const ends = [0, 1, 7, 8, 15, 16, 17, 100, 500, bytes.length >> 1, bytes.length - 33, bytes.length - 1];
  for (const end of ends) {
    await refused(restoring(bytes.slice(0, end)), "SESSION_INVALID", /no session|truncated/);
  }
  const longer = new Uint8Array(bytes.length + 1);
  longer.set(bytes);
  await refused(restoring(longer), "SESSION_INVALID", /it has \d+ bytes, expected \d+/);
  for (let index = 0; index < 300; index++) {
    const at = index < 60 ? index : Math.floor((bytes.length * ((index * 0.6180339) % 1)) | 0);
    const flipped = bytes.slice();
    flipped[at]! ^= 1 << (index % 8);
    await refused(restoring(flipped), "SESSION_INVALID", /./);
  }
  assert.ok(isEmpty(stranger));
  await restoring(bytes);
  assert.not(isEmpty(stranger));
  await stranger.trimMemory();
});

test("a file whose digests are right is refused for sizes and values that can not be", async () => {
  const bytes = await bytesOf(strange.blob);
  const { numKeyValueHeads, headDim, numHiddenLayers } = stranger.config.text;
  const pageBytes = numHiddenLayers * 2 * numKeyValueHeads * PAGE * headDim * 4;
  assert.equal(await bytesOf(putTogether(takeApart(bytes, pageBytes))), bytes);
  const headers: [object, RegExp][] = [
    [{ pages: 2 ** 40 }, /1099511627776 pages, and the context has room for 256/],
    [{ pages: -1 }, /no pages that can be/],
    [{ pages: 1.5 }, /no pages that can be/],
    [{ pages: 200 }, /truncated/],
    [{ pages: 1 }, /bytes, expected/],
    [{ layers: 2 ** 30 }, /layers is 1073741824, and of this model 2/],
    [{ pageSize: 32 }, /pageSize is 32/],
    [{ pageElements: 1 }, /pageElements/],
    [{ dtype: "i32" }, /keys and values are i32/],
    [{ media: [1] }, /no media that can be/],
    [{ media: [] }, /a picture that it does not have/],
    [{ salt: null }, /no salt that can be/],
    [{ withDrafter: "yes" }, /no withDrafter that can be/],
    [{ withDrafter: true }, /.*/],
  ];
  for (const [change, message] of headers) {
    const apart = takeApart(bytes, pageBytes);
    const header = { ...apart.header, ...change };
    await refused(stranger.restoreSession(putTogether({ ...apart, header })), "SESSION_INVALID", message);
  }
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const apart = takeApart(bytes, pageBytes);
    const [block] = apart.blocks as [Uint8Array];
    new DataView(block.buffer).setFloat32(block.length - 4, value, true);
    await refused(stranger.restoreSession(putTogether(apart)), "SESSION_INVALID", /are no numbers/);
  }
  const [version, huge] = [bytes.slice(), bytes.slice()];
  new DataView(version.buffer).setUint32(8, 2, true);
  await refused(restoring(version), "SESSION_INVALID", /of version 2, and this glimt reads version 1/);
  new DataView(huge.buffer).setUint32(12, 2 ** 32 - 1, true);
  await refused(restoring(huge), "SESSION_INVALID", /header claims 4294967295 bytes/);
  assert.ok(isEmpty(stranger));
});

test("who gives up restores nothing, and what was thrown comes out", async () => {
  const controller = new AbortController();
  controller.abort();
  await refused(stranger.restoreSession(strange.blob, { signal: controller.signal }), "ABORTED", /./);
  const mine = new Error("mine");
  const thrown = await stranger
    .restoreSession(strange.blob, {
      onProgress: () => {
        throw mine;
      },
    })
    .catch((error) => error);
  assert.is(thrown, mine);
  await refused(stranger.saveSession(MESSAGES, { signal: controller.signal }), "ABORTED", /./);
  assert.ok(isEmpty(stranger));
  const model = await load();
  const restoring = model.restoreSession(strange.blob);
  const saving = model.saveSession(MESSAGES);
  const ended = [refused(restoring, "DISPOSED", /./), refused(saving, "DISPOSED", /./)];
  await model.dispose();
  await Promise.all(ended);
});

test("beside requests under way", async () => {
  const model = await load();
  const expected = facts(await stranger.complete(chat("Hello"), { maxTokens: 40, temperature: 2, seed: 1 }));
  const running = model.complete(chat("Hello"), { maxTokens: 40, temperature: 2, seed: 1 });
  const [, second] = await Promise.all([model.restoreSession(strange.blob), model.saveSession(MESSAGES)]);
  assert.equal(await bytesOf(second.blob), await bytesOf(strange.blob));
  assert.equal(facts(await running), expected);
  await model.dispose();
  await stranger.trimMemory();
});

test("a host that has no digest, as pages that are not secure, writes and reads the same", async () => {
  const own = Object.getOwnPropertyDescriptor(globalThis, "crypto") as PropertyDescriptor;
  Object.defineProperty(globalThis, "crypto", { value: undefined, configurable: true });
  try {
    await stranger.restoreSession(strange.blob);
    const { blob } = await stranger.saveSession(MESSAGES);
    assert.equal(await bytesOf(blob), await bytesOf(strange.blob));
  } finally {
    Object.defineProperty(globalThis, "crypto", own);
    await stranger.trimMemory();
  }
});

test("a file is whole or not there, and its owner's alone", async () => {
  const folder = await mkdtemp(join(tmpdir(), "glimt-session-"));
  try {
    const path = join(folder, "page.session");
    const model = await load();
    const { bytes } = await model.saveSession(MESSAGES, { path });
    assert.equal(new Uint8Array(await readFile(path)), await bytesOf(strange.blob));
    assert.is(bytes, strange.blob.size);
    assert.is((await stat(path)).mode & 0o777, 0o600);
    // Several at once: the last one stays.
    await Promise.all([1, 2, 3].map(() => model.saveSession(MESSAGES, { path: pathToFileURL(path) })));
    assert.equal(await readdir(folder), ["page.session"]);
    const failing = (path: string, onProgress?: () => void) =>
      model.saveSession(MESSAGES, { path, onProgress });
    await refused(failing(join(folder, "none", "x")), "OUTPUT_FAILED", /can not be written/);
    await refused(failing(folder), "OUTPUT_FAILED", /can not be written: it is a directory/);
    const device = join(folder, "device");
    await symlink("/dev/null", device);
    await refused(failing(device), "OUTPUT_FAILED", /can not be written: it is no regular file/);
    await rm(device);
    await failing(join(folder, "other"), () => {
      throw new Error("mine");
    }).then(
      () => assert.unreachable(),
      ({ message }) => assert.is(message, "mine"),
    );
    assert.equal(await readdir(folder), ["page.session"]);
    await stranger.restoreSession(path);
    assert.not(isEmpty(stranger));
    await stranger.trimMemory();
    await refused(stranger.restoreSession(join(folder, "none")), "SESSION_INVALID", /can not be read/);
    await refused(stranger.restoreSession(folder), "SESSION_INVALID", /it is a directory/);
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    await refused(stranger.restoreSession(pipe), "SESSION_INVALID", /it is no regular file/);
    await refused(stranger.restoreSession("/dev/zero"), "SESSION_INVALID", /it is no regular file/);
    await refused(stranger.restoreSession(5 as never), "OPTION_INVALID", /path is 5/);
    await model.dispose();
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.run();
