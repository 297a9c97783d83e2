import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { orientationOf } from "../../src/media/orientation.ts";

const cases: { name: string; orientation: number; exif?: string; xmp?: string }[] = JSON.parse(
  readFileSync(`${process.cwd()}/test/golden/data/orientation.json`, "utf8"),
);

for (const { name, orientation, exif, xmp } of cases) {
  test(`orientation: ${name}, as Pillow turns`, () => {
    const blocks = {
      exif: exif === undefined ? undefined : new Uint8Array(Buffer.from(exif, "hex")),
      xmp: xmp === undefined ? undefined : new TextEncoder().encode(xmp),
    };
    assert.is(orientationOf(blocks), orientation);
  });
}

test.run();
