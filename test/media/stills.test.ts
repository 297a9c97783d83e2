/** Small picture files, honest and odd, against what Pillow reads from them (test/golden/make_stills.py). */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../src/errors.ts";
import { decodeStill } from "../../src/media/decode-still.ts";
import type { MediaMode } from "../../src/media/mode.ts";
import { crc32 } from "../golden/crc32.ts";

interface Picture {
  readonly width: number;
  readonly height: number;
  /** Checksum of the pixels. */
  readonly rgb: number;
}

/** Null where Pillow refuses the file. */
type Still = { readonly name: string; readonly file: string } & Record<MediaMode, Picture | null>;

/** Pillow reads these; here they are refused by name. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  CIELab: /TIFF file that can not be read: its pixels \(CIELab\)/,
  "predicted fractions": /predictor \(3, of 32 bits\)/,
  "Pillow's YCbCr, LZW": /YCbCr pixels are not JPEG/,
  "Pillow's Zstandard": /compression \(Zstandard\) is not read/,
  "Pillow's LZMA": /compression \(LZMA\)/,
  "JPEG of TIFF 6.0": /compression \(JPEG of TIFF 6.0\)/,
};

for (const format of ["gif", "png", "bmp", "tiff", "webp"]) {
  const path = `${process.cwd()}/test/golden/data/stills/${format}.json`;
  const { files }: { files: readonly Still[] } = JSON.parse(readFileSync(path, "utf8"));
  for (const still of files) {
    test(`${format}, ${still.name}: as Pillow reads it`, async () => {
      const bytes = new Uint8Array(Buffer.from(still.file, "base64"));
      const refusal = REFUSED[still.name];
      if (refusal) {
        assert.ok(still.huggingface);
        return refused(bytes, refusal);
      }
      for (const mode of ["huggingface", "default"] as const) {
        assert.equal(await decoded(bytes, mode), still[mode], mode);
      }
    });
  }
}

async function refused(bytes: Uint8Array, message: RegExp): Promise<void> {
  const options = { mode: "default", maxDecodedPixels: undefined } as const;
  const error = await decodeStill(bytes, "file", options).catch((error) => error);
  assert.is(error.code, "IMAGE_INVALID");
  assert.match(error.message, message);
}

async function decoded(bytes: Uint8Array, mode: MediaMode): Promise<Picture | null> {
  try {
    const { width, height, data } = await decodeStill(bytes, "file", { mode, maxDecodedPixels: undefined });
    return { width, height, rgb: crc32(data) };
  } catch (error) {
    assert.is((error as GlimtError).code, "IMAGE_INVALID", (error as Error).message);
    return null;
  }
}

test.run();
