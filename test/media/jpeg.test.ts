import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError } from "../../src/errors.ts";
import { decodeImage } from "../../src/media/decode-image.ts";
import { crc32 } from "../golden/crc32.ts";

interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly rgb: number;
}
/** Without pixels: Pillow refuses the file. */
type Case = { readonly file: string; readonly upright?: Pixels } & (Pixels | { readonly rgb?: undefined });

const cases: Record<string, Case> = JSON.parse(
  readFileSync(`${process.cwd()}/test/golden/data/jpeg.json`, "utf8"),
);

for (const [name, { file, upright, ...stored }] of Object.entries(cases)) {
  const bytes = new Uint8Array(Buffer.from(file, "base64"));
  if (stored.rgb === undefined) {
    test(`refused as Pillow refuses it, ${name}`, () => assertInvalid(bytes));
    continue;
  }
  test(`as Pillow reads it, ${name}`, async () => {
    const image = await decodeImage(bytes, { mode: "huggingface" });
    assert.equal({ width: image.width, height: image.height, rgb: crc32(image.data) }, stored);
  });
  if (!upright) continue;
  test(`as Pillow turns it, ${name}`, async () => {
    const image = await decodeImage(bytes);
    assert.equal({ width: image.width, height: image.height, rgb: crc32(image.data) }, upright);
  });
}

async function assertInvalid(bytes: Uint8Array, message = /./) {
  try {
    await decodeImage(bytes, { mode: "huggingface" });
  } catch (error) {
    assert.instance(error, GlimtError);
    assert.is((error as GlimtError).code, "IMAGE_INVALID");
    assert.match((error as GlimtError).message, message);
    return;
  }
  assert.unreachable("no error");
}

test.run();
