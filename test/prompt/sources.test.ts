/** Where pictures and videos of messages may be read from: as a model's option, and as a call's, which wins. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  GlimtError,
  type Message,
  type MessagePart,
  openProcessor,
  type ProcessOptions,
  type Processor,
  PUBLIC_SOURCES,
  type Sources,
} from "../../src/index.ts";
import { goldenDataDir } from "../golden/load.ts";

const checkpoint = join(goldenDataDir, "glm4v-tiny");
const picture = join(goldenDataDir, "media/rgb.png");
const bytes = new Uint8Array(readFileSync(picture));
const data = `data:image/png;base64,${Buffer.from(bytes).toString("base64")}`;
const root = mkdtempSync(join(tmpdir(), "glimt-prompt-sources-"));
const gif = readFileSync(join(goldenDataDir, "movies/patches.gif"));
const server = createServer(({ url }, response) => response.end(url?.endsWith(".gif") ? gif : bytes)).listen(
  0,
  "127.0.0.1",
);
const address = await new Promise<string>((resolve) =>
  server.on("listening", () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}/a.png`)),
);
test.after(() => {
  server.closeAllConnections();
  server.close();
  rmSync(root, { recursive: true });
});
mkdirSync(join(root, "frames"));
for (const file of ["a.png", "frames/1.png", "frames/2.png"]) cpSync(picture, join(root, file));
mkdirSync(join(root, "mixed"));
symlinkSync(picture, join(root, "mixed/1.png"));

const raw = { data: new Uint8Array(28 * 28 * 3), width: 28, height: 28 };
const all = { sampleFrames: false } as const;
/** What is read when only what is given as itself may be, and what is not. */
const INLINE: readonly unknown[] = [
  { type: "image", image: bytes },
  { type: "image", image: new Blob([bytes]) },
  { type: "image", image: data },
  { type: "image", image: raw },
  { type: "image", url: data },
  { type: "image_url", image_url: data },
  { type: "image_url", image_url: { url: data } },
  { type: "image_url", image_url: { url: new URL(data) } },
  { type: "video", video: { frames: [bytes, data, raw].slice(0, 2) }, ...all },
  { type: "video_url", video_url: { url: { frames: [data] } }, ...all },
];
const path = join(root, "a.png");
const OTHERS: readonly unknown[] = [
  { type: "image", image: path },
  { type: "image", url: path },
  { type: "image", image: pathToFileURL(path) },
  { type: "image_url", image_url: pathToFileURL(path).href },
  { type: "image_url", image_url: { url: path } },
  { type: "image_url", image_url: { url: new URL(address) } },
  { type: "image_url", image_url: address },
  { type: "video", video: join(root, "frames"), ...all },
  { type: "video", url: pathToFileURL(join(root, "frames")), ...all },
  { type: "video_url", video_url: { url: address.replace(".png", ".gif") }, ...all },
  { type: "video", video: { frames: [bytes, path] }, ...all },
  { type: "video_url", video_url: { url: { frames: [bytes, address] } }, ...all },
];

const WIDE: Sources = { folders: [root], hosts: ["127.0.0.1"] };
const NOTHING: Sources = {};
const never = () => false;

const asMessages = (part: unknown): Message[] => [{ role: "user", content: [part as MessagePart] }];

const processors = new Map<Sources | undefined, Promise<Processor>>();

function processorFor(sources: Sources | undefined): Promise<Processor> {
  const opened = processors.get(sources) ?? openProcessor(checkpoint, { sources });
  processors.set(sources, opened);
  return opened;
}

async function process(part: unknown, sources: Sources | undefined, options: ProcessOptions = {}) {
  const processor = await processorFor(sources);
  return processor.process(asMessages(part), options).then(
    () => "read",
    (error) => {
      assert.ok(error instanceof GlimtError, String(error));
      return error.code;
    },
  );
}
const shown = (part: unknown) =>
  JSON.stringify(part, (_, value) => (ArrayBuffer.isView(value) ? "bytes" : value)).slice(0, 90);

for (const part of INLINE) {
  test(`read when inline only: ${shown(part)}`, async () => {
    for (const sources of [undefined, "any", "inline", PUBLIC_SOURCES, NOTHING] as const) {
      assert.is(await process(part, sources), "read");
    }
  });
}
for (const part of OTHERS) {
  test(`refused when inline only: ${shown(part)}`, async () => {
    for (const sources of [undefined, "any", WIDE] as const) {
      assert.is(await process(part, sources), "read");
    }
    for (const sources of ["inline", PUBLIC_SOURCES, NOTHING, never] as const) {
      assert.is(await process(part, sources), "SOURCE_REFUSED");
      // The call's word is the last one.
      assert.is(await process(part, "any", { sources }), "SOURCE_REFUSED");
      assert.is(await process(part, sources, { sources: "any" }), "read");
    }
  });
}

test("a frame that a link leads to elsewhere is refused", async () => {
  const part = { type: "video", video: join(root, "mixed"), ...all };
  assert.is(await process(part, "any"), "read");
  assert.is(await process(part, { folders: [root] }), "SOURCE_REFUSED");
});

test("errors say where in the messages, and nothing of what is there", async () => {
  const processor = await openProcessor(checkpoint, { sources: "inline" });
  const said = async (image: string) => {
    const error: GlimtError = await processor.process(asMessages({ type: "image", image })).then(
      () => assert.unreachable() as never,
      (thrown) => thrown,
    );
    return error.message.replace(image, "PATH");
  };
  assert.match(
    await said(path),
    /^messages\[0\]\.content\[0\]\.image: Image PATH is not allowed by the option sources/,
  );
  assert.is(await said(path), await said(join(root, "gone.png")));
});

test("limits of bytes and time are options", async () => {
  const small = await openProcessor(checkpoint, { maxSourceBytes: 100 });
  const stalled = createServer(() => {}).listen(0, "127.0.0.1");
  await new Promise((resolve) => stalled.on("listening", resolve));
  const slow = await openProcessor(checkpoint, { sourceTimeout: 50 });
  const url = `http://127.0.0.1:${(stalled.address() as AddressInfo).port}/`;
  for (const [processor, image, code] of [
    [small, path, "SOURCE_TOO_LARGE"],
    [small, bytes, "SOURCE_TOO_LARGE"],
    [small, address, "SOURCE_TOO_LARGE"],
    [slow, url, "TIMED_OUT"],
  ] as const) {
    const error: GlimtError = await processor.process(asMessages({ type: "image", image })).then(
      () => assert.unreachable() as never,
      (thrown) => thrown,
    );
    assert.is(error.code, code, error.message);
  }
  stalled.closeAllConnections();
  stalled.close();
});

test("a limit that is given holds for a movie in a Blob too, though it is read in place", async () => {
  const movie = new Uint8Array(readFileSync(join(goldenDataDir, "movies/vp9.webm")));
  const part = { type: "video", video: new Blob([movie]) };
  const processor = await openProcessor(checkpoint, { maxSourceBytes: 1000 });
  const error: GlimtError = await processor.process(asMessages(part)).then(
    () => assert.unreachable() as never,
    (thrown) => thrown,
  );
  assert.is(error.code, "SOURCE_TOO_LARGE");
});

for (const [name, value] of [
  ["sources", "all"],
  ["sources", { files: [] }],
  ["maxSourceBytes", 0],
  ["maxSourceBytes", "1"],
  ["sourceTimeout", 0],
  ["sourceTimeout", Number.NaN],
] as const) {
  test(`${name} ${JSON.stringify(value)} is refused`, async () => {
    const error: GlimtError = await openProcessor(checkpoint, { [name]: value }).then(
      () => assert.unreachable() as never,
      (thrown) => thrown,
    );
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, new RegExp(`^${name}`));
    if (name !== "sources") return;
    assert.is(
      await process({ type: "text", text: "Hi" }, "any", { sources: value as Sources }),
      "OPTION_INVALID",
    );
  });
}

test.run();
