/** What tells pictures from others: every value counts, and a long video is hashed in pieces that an abort ends. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError } from "../../src/errors.ts";
import { mediaIdentities } from "../../src/prompt/media-identity.ts";

/** 9 MiB and a little. */
const values = new Float32Array(9 * 2 ** 18 + 3).map((_, index) => index);
const item = (pixelValues: Float32Array) => ({ pixelValues, gridThw: [1, 2, 2] as const });
const identityOf = async (pixelValues: Float32Array) => (await mediaIdentities([item(pixelValues)]))[0];

test("the same values have one identity wherever they lie, and each of them counts", async () => {
  const whole = await identityOf(values);
  const apart = new Float32Array(values.length + 5);
  apart.set(values, 5);
  assert.is(await identityOf(apart.subarray(5)), whole);
  const found = new Set([whole]);
  for (const index of [0, 2 ** 20 - 1, 2 ** 20, 2 ** 21 + 1, values.length - 1]) {
    const other = values.slice();
    other[index] = -1;
    found.add(await identityOf(other));
  }
  found.add(await identityOf(values.subarray(0, -1)));
  found.add(await identityOf(values.subarray(0, 0)));
  assert.is(found.size, 8);
  for (const identity of found) assert.match(identity as string, /^pixels 1 2 2 [0-9a-f]{64}$/);
});

test("a digest copies a few MiB at a time, and none follows an abort", async () => {
  const { subtle } = crypto;
  const sizes: number[] = [];
  const stop = new AbortController();
  subtle.digest = async (algorithm, data) => {
    sizes.push(data.byteLength);
    if (sizes.length === 2) stop.abort();
    return Object.getPrototypeOf(subtle).digest.call(subtle, algorithm, data);
  };
  try {
    await mediaIdentities([item(values)], stop.signal);
    assert.unreachable();
  } catch (error) {
    assert.is((error as GlimtError).code, "ABORTED");
  } finally {
    delete (subtle as Partial<SubtleCrypto>).digest;
  }
  assert.equal(sizes, [2 ** 22, 2 ** 22]);
});

test.run();
