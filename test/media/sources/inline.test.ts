/** Sources that are given as themselves: data: URLs, base64, arrays and buffers of every kind, Blobs. */
import { readFileSync } from "node:fs";
import { runInNewContext } from "node:vm";

import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeImage } from "../../../src/media/decode-image.ts";
import { readLocalFile } from "../../../src/media/files.node.ts";
import { type FileSource, readSource, type SourceOptions } from "../../../src/media/source.ts";
import { decodeDataUrl } from "../../../src/media/sources/data-url.ts";
import { loadVideo } from "../../../src/media/video.ts";
import { fc } from "../../property.ts";
import { failure } from "./failure.ts";

const folder = `${process.cwd()}/test/golden/data/media`;
const bytesOf = (file: string) => new Uint8Array(readFileSync(`${folder}/${file}`));
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const png = bytesOf("rgb.png");
const noLimit = { what: "Image", maxBytes: Number.POSITIVE_INFINITY };

test("data: URLs decode as fetch decodes them", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), fc.nat(2), async (bytes, form) => {
      const text = base64(bytes);
      const data = [text, text.replace(/=+$/, ""), encodeURIComponent(text)][form];
      const url = `data:image/png;base64,${data}`;
      assert.equal(decodeDataUrl(url, noLimit), new Uint8Array(await (await fetch(url)).arrayBuffer()));
    }),
  );
  const urls = [
    "data:,a%20b%zzc%",
    "data:text/plain,%ff%00",
    "data:;base64,aGk=",
    "data:image/png;BASE64 ,aGk",
    "data:image/png;base64,aG%6b%3D#fragment",
    "data:image/png;charset=utf-8;base64,a G\n\tk =",
    "data:base64,aGk=",
    "DATA:image/svg+xml;utf8,ünï",
  ];
  for (const url of urls) {
    assert.equal(decodeDataUrl(url, noLimit), new Uint8Array(await (await fetch(url)).arrayBuffer()), url);
  }
});

const READ: readonly [name: string, source: () => unknown][] = [
  ["a data: URL", () => `data:image/png;base64,${base64(png)}`],
  ["a data: URL of no media type, as a URL", () => new URL(`data:;base64,${base64(png)}`)],
  ["a data: URL of another media type", () => `data:image/jpeg;base64,${base64(png)}`],
  ["a data: URL in lines", () => `\n data:image/png;base64,${base64(png).replace(/.{76}/g, "$&\r\n")}\n`],
  ["bare base64", () => base64(png)],
  ["bare base64 in lines", () => base64(png).replace(/.{64}/g, "$&\n")],
  ["a view into a pool", () => Buffer.concat([Buffer.from([1, 2]), png]).subarray(2)],
  ["a Uint8ClampedArray", () => Uint8ClampedArray.from(png)],
  ["an Int8Array", () => new Int8Array(png.slice().buffer)],
  ["a DataView", () => new DataView(png.buffer, png.byteOffset, png.length)],
  ["an ArrayBuffer", () => png.slice().buffer],
  [
    "a resizable ArrayBuffer",
    () => filled(new (ArrayBuffer as Resizable)(png.length, { maxByteLength: 9999 })),
  ],
  ["a SharedArrayBuffer", () => filled(new SharedArrayBuffer(png.length))],
  ["a view of a SharedArrayBuffer", () => new Uint8Array(filled(new SharedArrayBuffer(png.length)))],
  ["an array of another window", () => runInNewContext("Uint8Array.from(bytes)", { bytes: [...png] })],
  ["a buffer of another window", () => runInNewContext("Uint8Array.from(bytes).buffer", { bytes: [...png] })],
  ["a Blob", () => new Blob([png])],
  ["a File", () => new File([png], "page.png")],
  ["a blob: URL", () => URL.createObjectURL(new Blob([png]))],
];
type Resizable = new (length: number, options: { maxByteLength: number }) => ArrayBuffer;

function filled<B extends ArrayBufferLike>(buffer: B): B {
  new Uint8Array(buffer).set(png);
  return buffer;
}

for (const [name, source] of READ) {
  test(`${name} is read`, async () => {
    const expected = await decodeImage(png);
    assert.equal(await decodeImage(source() as FileSource, { readFile: readLocalFile }), expected);
  });
}

test("a video as base64 is read", async () => {
  const gif = new Uint8Array(readFileSync(`${folder}/../movies/patches.gif`));
  const video = await loadVideo(base64(gif), { readFile: readLocalFile });
  assert.is(video.numFrames, (await loadVideo(gif)).numFrames);
  await video.close();
});

test("what another thread writes later is not seen", async () => {
  const shared = filled(new SharedArrayBuffer(png.length));
  const { bytes } = await readSource(new Uint8Array(shared), {});
  new Uint8Array(shared).fill(0);
  assert.equal(bytes, png);
});

function detached(): ArrayBuffer {
  const buffer = png.slice().buffer;
  structuredClone(buffer, { transfer: [buffer] });
  return buffer;
}

function detachedView(): Uint8Array {
  const view = png.slice();
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
}

function detachedDataView(): DataView {
  const view = new DataView(png.slice().buffer);
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
}

const LONG = "A".repeat(3_000_000);
const BAD: readonly [
  name: string,
  source: unknown,
  code: string,
  message: RegExp,
  options?: SourceOptions,
][] = [
  ["a data: URL without a comma", "data:nothing", "IMAGE_INVALID", /has a comma before its data/],
  ["wrong base64", "data:image/png;base64,iVBO*w0=", "IMAGE_INVALID", /no valid base64: "\*" at letter 4/],
  ["base64 after its padding", "data:;base64,aGk=aGk=", "IMAGE_INVALID", /no valid base64: "a" at letter 4/],
  ["base64 that is cut short", "data:;base64,aGkaa", "IMAGE_INVALID", /no valid base64: it is cut short/],
  ["a wrong percent", "data:;base64,aG%zz", "IMAGE_INVALID", /no valid base64/],
  ["base64 that is wrong far behind", `${base64(png)}*`, "IMAGE_INVALID", /no valid base64|no such file/],
  ["long base64 of nothing known", LONG, "IMAGE_INVALID", /put data:image\/png;base64, before it/],
  [
    "short base64 of nothing known",
    LONG.slice(0, 200),
    "IMAGE_INVALID",
    /put data:image\/png;base64, before it/,
  ],
  ["a detached buffer", detached(), "IMAGE_INVALID", /buffer was given away/],
  ["a view of a detached buffer", detachedView(), "IMAGE_INVALID", /buffer was given away/],
  ["a DataView of a detached buffer", detachedDataView(), "IMAGE_INVALID", /buffer was given away/],
  [
    "an array of floats",
    new Float32Array(9),
    "IMAGE_INVALID",
    /bytes are in a Float32Array; give a Uint8Array/,
  ],
  ["an array of 16 bits", new Uint16Array(9), "IMAGE_INVALID", /give a Uint8Array/],
  ["null", null, "IMAGE_INVALID", /got null/],
  ["undefined", undefined, "IMAGE_INVALID", /got undefined/],
  ["a symbol", Symbol("x"), "IMAGE_INVALID", /got symbol/],
  ["a function", () => png, "IMAGE_INVALID", /got function/],
  ["a list of numbers", [...png], "IMAGE_INVALID", /got object/],
  ["a Response", new Response(png), "IMAGE_INVALID", /got object/],
  ["what says that it is a Blob", { [Symbol.toStringTag]: "Blob" }, "IMAGE_INVALID", /can not be read/],
  [
    "an array that is too long",
    png,
    "SOURCE_TOO_LARGE",
    /has \d+ bytes.*100.*maxSourceBytes/,
    { maxSourceBytes: 100 },
  ],
  ["a Blob that is too long", new Blob([png]), "SOURCE_TOO_LARGE", /maxSourceBytes/, { maxSourceBytes: 100 }],
  [
    "a data: URL that is too long",
    `data:;base64,${base64(png)}`,
    "SOURCE_TOO_LARGE",
    /more than 100 bytes.*maxSourceBytes/,
    { maxSourceBytes: 100 },
  ],
  [
    "percent that is too long",
    `data:,${"%00".repeat(101)}`,
    "SOURCE_TOO_LARGE",
    /maxSourceBytes/,
    { maxSourceBytes: 100 },
  ],
];
for (const [name, source, code, message, options] of BAD) {
  test(`${name} is an error`, async () => {
    const error = await failure(readSource(source as FileSource, { readFile: readLocalFile, ...options }));
    assert.is(error.code, code, error.message);
    assert.match(error.message, message);
    assert.ok(error.message.length < 300, error.message);
  });
}

test("as many bytes as the limit are read", async () => {
  const limit = { maxSourceBytes: png.length };
  for (const source of [png, new Blob([png]), `data:;base64,${base64(png)}`, base64(png)]) {
    assert.equal((await readSource(source, limit)).bytes, png);
  }
});

test("a data: URL of 50 MB is decoded once, in about a second", async () => {
  const url = `data:image/png;base64,${Buffer.alloc(37_500_000, 7).toString("base64")}`;
  const before = process.memoryUsage().arrayBuffers;
  const start = performance.now();
  const { bytes } = await readSource(url, {});
  assert.ok(performance.now() - start < 20_000, `${performance.now() - start} ms`);
  assert.is(bytes.length, 37_500_000);
  const taken = process.memoryUsage().arrayBuffers - before;
  assert.ok(taken < 40_000_000, `${taken} bytes`);
});

test.run();
