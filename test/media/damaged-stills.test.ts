/** Every odd file of test/golden/make_stills.py, damaged: a picture of its size, or an error of glimt's own, in time. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError } from "../../src/errors.ts";
import { decodeStill } from "../../src/media/decode-still.ts";
import { openVideoFile } from "../../src/media/video-file.ts";
import { fc } from "../property.ts";

const RUNS = 400;
/** Of all runs of one format, many times what they take. */
const MOST_SECONDS = 60;
const options = { mode: "default", maxDecodedPixels: 1e6 } as const;
const place = fc.noBias(fc.nat(1e6));
/** What happens to a file: bytes change, most of them near its start; it is cut; a part goes or comes twice. */
const damage = fc.record({
  bytes: fc.array(fc.tuple(place, fc.boolean(), fc.nat(255)), { maxLength: 6 }),
  end: fc.option(place, { freq: 3 }),
  moved: fc.option(fc.tuple(place, fc.integer({ min: -4, max: 4 })), { freq: 3 }),
});

interface Damage {
  readonly bytes: readonly (readonly [at: number, isEarly: boolean, value: number])[];
  readonly end: number | null;
  readonly moved: readonly [at: number, by: number] | null;
}

function damaged(file: Uint8Array, { bytes, end, moved }: Damage): Uint8Array {
  let out = file.slice();
  for (const [at, isEarly, value] of bytes) {
    out[at % (isEarly ? Math.min(out.length, 90) : out.length)] = value;
  }
  if (moved) {
    const at = moved[0] % out.length;
    out = new Uint8Array(Buffer.concat([out.subarray(0, at), out.subarray(Math.max(0, at + moved[1]))]));
  }
  return end === null ? out : out.subarray(0, end % (out.length + 1));
}

for (const format of ["gif", "png", "bmp", "tiff", "webp"]) {
  const path = `${process.cwd()}/test/golden/data/stills/${format}.json`;
  const { files }: { files: { file: string; huggingface: unknown }[] } = JSON.parse(
    readFileSync(path, "utf8"),
  );
  const seeds = files
    .filter(({ huggingface }) => huggingface !== null)
    .map(({ file }) => new Uint8Array(Buffer.from(file, "base64")));

  test(`damaged ${format} files`, async () => {
    const start = performance.now();
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...seeds), damage, async (file, changes) => {
        const bytes = damaged(file, changes);
        return (await survives(bytes)) && (await playsOrFails(bytes));
      }),
      { numRuns: RUNS },
    );
    const seconds = (performance.now() - start) / 1000;
    assert.ok(seconds < MOST_SECONDS, `${RUNS} files took ${seconds} s`);
  });
}

async function survives(bytes: Uint8Array): Promise<boolean> {
  try {
    const { data, width, height } = await decodeStill(bytes, "damaged", options);
    return data.length === width * height * 3;
  } catch (error) {
    return error instanceof GlimtError && /^IMAGE_/.test(error.code);
  }
}

async function playsOrFails(bytes: Uint8Array): Promise<boolean> {
  try {
    const { animation } = await openVideoFile(bytes, "damaged", options);
    await animation?.frame(animation.numFrames - 1);
    return true;
  } catch (error) {
    return error instanceof GlimtError && /^(IMAGE|VIDEO)_/.test(error.code);
  }
}

test.run();
