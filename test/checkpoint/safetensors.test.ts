import { test } from "uvu";
import * as assert from "uvu/assert";
import { blobFiles } from "../../src/checkpoint/blobs.ts";
import { readSafetensorsHeader } from "../../src/checkpoint/safetensors.ts";
import { f32, failure, half, type SafetensorsOverrides, safetensors } from "./fixtures.ts";

const good = { a: f32([2, 2], [1, 2, 3, 4]), b: half("BF16", [3], [1, 2, 3]), empty: f32([0, 4], []) };

function read(file: Uint8Array<ArrayBuffer>) {
  return readSafetensorsHeader(
    blobFiles(new Map([["x.safetensors", new Blob([file])]])),
    "x.safetensors",
    file.length,
  );
}

test("tensors with their places", async () => {
  const file = safetensors(good);
  const dataStart = file.length - 16 - 6;
  assert.equal(await read(file), [
    { name: "a", dtype: "F32", shape: [2, 2], file: "x.safetensors", offset: dataStart, bytes: 16 },
    { name: "b", dtype: "BF16", shape: [3], file: "x.safetensors", offset: dataStart + 16, bytes: 6 },
    { name: "empty", dtype: "F32", shape: [0, 4], file: "x.safetensors", offset: dataStart + 22, bytes: 0 },
  ]);
});

test("the order of the header is free, the data must still be tiled", async () => {
  const reversed = (header: Record<string, unknown>) => Object.fromEntries(Object.entries(header).reverse());
  assert.is((await read(safetensors(good, { header: reversed }))).length, 3);
});

const entry = (changes: object) => (header: Record<string, unknown>) => ({
  ...header,
  b: { ...(header.b as object), ...changes },
});
const text = (json: string): SafetensorsOverrides => ({ header: json });

const lies: [name: string, overrides: SafetensorsOverrides, expected: RegExp][] = [
  ["header longer than the file", { headerLength: 1e6 }, /claims 1000000 bytes, but the file has \d+/],
  ["header of 2^63 bytes", { headerLength: 2 ** 63 }, /it is truncated/],
  ["no JSON", text("{"), /not valid JSON/],
  ["no object", text("[1]"), /not a JSON object/],
  ["entry null", text('{"b":null}'), /tensor "b": unknown dtype undefined/],
  ["unknown dtype", { header: entry({ dtype: "BF17" }) }, /tensor "b": unknown dtype "BF17"/],
  ["dtype from the prototype", { header: entry({ dtype: "toString" }) }, /tensor "b": unknown dtype/],
  ["negative size", { header: entry({ shape: [-3] }) }, /tensor "b": shape \[-3\]/],
  ["fractional size", { header: entry({ shape: [1.5] }) }, /tensor "b": shape/],
  [
    "too few bytes for the shape",
    { header: entry({ shape: [4] }) },
    /BF16 \[4\] takes 8 bytes, data_offsets give 6/,
  ],
  ["overflowing shape", { header: entry({ shape: [2 ** 40, 2 ** 40] }) }, /tensor "b"/],
  ["backward offsets", { header: entry({ data_offsets: [22, 16] }) }, /are not \[begin, end\]/],
  ["three offsets", { header: entry({ data_offsets: [16, 22, 30] }) }, /are not \[begin, end\]/],
  [
    "past the end",
    { header: entry({ data_offsets: [18, 24] }) },
    /tensor "b" ends at byte \d+, but the file has \d+/,
  ],
  ["overlap", { header: entry({ data_offsets: [14, 20] }) }, /tensor "b" overlaps/],
  ["bytes after the last", { header: (h) => ({ a: h.a }) }, /the last 6 bytes belong to no tensor/],
  ["hole", { header: (h) => ({ b: h.b }) }, /16 bytes before tensor "b" belong to none/],
  [
    "listed twice",
    text(
      '{"a":{"dtype":"U8","shape":[22],"data_offsets":[0,22]},"a" : {"dtype":"U8","shape":[22],"data_offsets":[0,22]}}',
    ),
    /tensor "a" is listed twice/,
  ],
  [
    "listed twice by an escape",
    text(
      '{"a":{"dtype":"U8","shape":[22],"data_offsets":[0,22]},"\\u0061":{"dtype":"U8","shape":[22],"data_offsets":[0,22]}}',
    ),
    /tensor "a" is listed twice/,
  ],
];

const deep = "[".repeat(200_000) + "]".repeat(200_000);
const long = "x".repeat(1_000_000);

/** What makes an error as large as the file, or its making impossible. */
const HUGE: Record<string, SafetensorsOverrides> = {
  "a shape of many levels": text(`{"b":{"dtype":"F32","shape":${deep},"data_offsets":[0,22]}}`),
  "a dtype of many levels": text(`{"b":{"dtype":${deep},"shape":[],"data_offsets":[0,22]}}`),
  "a long name": text(`{"${long}":{"dtype":"F32","shape":[1],"data_offsets":[0,22]}}`),
  "a long dtype": text(`{"b":{"dtype":"${long}","shape":[1],"data_offsets":[0,22]}}`),
  "a shape of many sizes": { header: entry({ shape: new Array(100_000).fill(1) }) },
  "many offsets": { header: entry({ data_offsets: new Array(100_000).fill(1) }) },
};

for (const [name, overrides] of Object.entries(HUGE)) {
  test(`refused in few words: ${name}`, async () => {
    const error = await failure(() => read(safetensors(good, overrides)));
    assert.is(error.code, "CHECKPOINT_INVALID");
    assert.ok(error.message.length < 600, `${error.message.length} characters`);
  });
}

test("types that are no weights have their sizes, also those of less than a byte", async () => {
  const others = {
    F4: 2,
    F6_E2M3: 3,
    F6_E3M2: 3,
    F8_E8M0: 4,
    F8_E4M3FNUZ: 4,
    F8_E5M2FNUZ: 4,
    C64: 32,
    BOOL: 4,
  };
  const tensors = Object.entries(others).map(([dtype, bytes]) => {
    return [dtype, { dtype, shape: [4], data: new Uint8Array(bytes) }] as const;
  });
  assert.is((await read(safetensors(Object.fromEntries(tensors)))).length, tensors.length);
});

for (const [name, overrides, expected] of lies) {
  test(`refused: ${name}`, async () => {
    const error = await failure(() => read(safetensors(good, overrides)));
    assert.is(error.code, "CHECKPOINT_INVALID");
    assert.match(error.message, expected);
    assert.match(error.message, "x.safetensors");
  });
}

test("refused: cut short at any byte", async () => {
  const file = safetensors(good);
  for (let length = 0; length < file.length; length++) {
    const error = await failure(() => read(file.slice(0, length)));
    assert.is(error.code, "CHECKPOINT_INVALID", `${length} bytes`);
  }
});

test("refused: not UTF-8, and a Git LFS pointer by name", async () => {
  const file = safetensors(good);
  file[10] = 0xff;
  assert.match((await failure(() => read(file))).message, "not valid JSON");
  const pointer = new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  assert.match((await failure(() => read(pointer))).message, "git lfs pull");
});

test.run();
