/** Pixels that a caller has decoded: what is wrong with them is said by field. */
import { runInNewContext } from "node:vm";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeImage } from "../../src/media/decode-image.ts";
import type { ImageSource } from "../../src/media/source.ts";
import { failure } from "./sources/failure.ts";

const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => i);
const detached = bytes(12);
structuredClone(detached.buffer, { transfer: [detached.buffer] });

const BAD: readonly [name: string, source: object, message: RegExp, code?: string][] = [
  ["no data", { data: null, width: 1, height: 1 }, /data is null, expected a Uint8Array/],
  ["text", { data: "abc", width: 1, height: 1 }, /data is a string/],
  ["a list", { data: [1, 2, 3], width: 1, height: 1 }, /data is a list/],
  ["floats", { data: new Float32Array(3), width: 1, height: 1 }, /Float32Array; give a Uint8Array/],
  ["a detached array", { data: detached, width: 2, height: 2 }, /buffer was given away/],
  [
    "a width that is no number",
    { data: bytes(12), width: "2", height: 2 },
    /width and height are a string and 2/,
  ],
  ["a symbol", { data: bytes(12), width: Symbol("x"), height: 2 }, /are a symbol and 2/],
  ["a bigint", { data: bytes(12), width: 2, height: 2n }, /are 2 and a bigint/],
  ["no height", { data: bytes(12), width: 2 }, /are 2 and nothing/],
  ["NaN", { data: bytes(12), width: Number.NaN, height: 2 }, /are NaN and 2/],
  ["half a pixel", { data: bytes(12), width: 0.5, height: 8 }, /are 0.5 and 8/],
  ["one channel", { data: bytes(4), width: 2, height: 2, channels: 1 }, /channels is 1, expected 3 or 4/],
  ["too few", { data: bytes(5), width: 2, height: 1 }, /2 x 1 with 5 bytes have neither 3 nor 4 channels/],
  ["too few by count", { data: bytes(5), width: 2, height: 1, channels: 3 }, /are 6 bytes, but 5/],
  ["too many", { data: bytes(5), width: 1e5, height: 1e5 }, /the limit is 100000000/, "IMAGE_TOO_LARGE"],
];
for (const [name, source, message, code = "IMAGE_INVALID"] of BAD) {
  test(`raw pixels: ${name} is an error`, async () => {
    const error = await failure(decodeImage(source as ImageSource));
    assert.is(error.code, code, error.message);
    assert.match(error.message, message);
    assert.match(error.message, /^Image of raw pixels/);
  });
}

test("bytes of any array are taken", async () => {
  const shared = new Uint8Array(new SharedArrayBuffer(12));
  shared.set(bytes(12));
  for (const data of [
    bytes(12),
    Uint8ClampedArray.from(bytes(12)),
    Buffer.from([9, ...bytes(12)]).subarray(1),
    bytes(12).buffer,
    shared,
    runInNewContext("Uint8Array.from({ length: 12 }, (_, i) => i)"),
  ]) {
    assert.equal((await decodeImage({ data, width: 2, height: 2 } as ImageSource)).data, bytes(12));
  }
});

test("a large picture with alpha leaves turns to others, and can be given up", async () => {
  const [width, height] = [3000, 4000];
  const data = new Uint8Array(width * height * 4).fill(200);
  const whole = await decodeImage({ data, width, height });
  assert.is(whole.data.length, width * height * 3);
  assert.is(
    whole.data.findIndex((value) => value !== whole.data[0]),
    -1,
  );
  const controller = new AbortController();
  setImmediate(() => controller.abort());
  const error = await decodeImage({ data, width, height }, { signal: controller.signal }).catch(
    (error) => error,
  );
  assert.is(error.code, "ABORTED");
});

test.run();
