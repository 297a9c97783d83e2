/** Pictures and frames for which there is no memory: told as that, not as damage. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError } from "../../src/errors.ts";
import { decodeImage } from "../../src/media/decode-image.ts";
import { decodeStill } from "../../src/media/decode-still.ts";
import { expectRoom, isOutOfMemory } from "../../src/media/memory.ts";
import { loadVideo } from "../../src/media/video.ts";
import { openVideoFile } from "../../src/media/video-file.ts";
import { packError, unpackError } from "../../src/workers/messages.ts";

const MOST_BYTES = 2 ** 24;
const SIDE = 4000;

/** Runs `task` where an array of more than MOST_BYTES can not be had; says what it throws. */
async function whereMemoryIsShort(task: () => Promise<unknown>): Promise<unknown> {
  const whole = { Uint8Array: globalThis.Uint8Array, Uint32Array: globalThis.Uint32Array };
  for (const name of ["Uint8Array", "Uint32Array"] as const) {
    const construct = (target: typeof whole.Uint8Array, args: unknown[], own: typeof whole.Uint8Array) => {
      const [given] = args as [number | { length?: number }];
      // A view of a buffer takes no memory.
      const length = (typeof given === "number" ? given : given?.length) ?? 0;
      if (length * target.BYTES_PER_ELEMENT > MOST_BYTES) {
        throw new RangeError("Array buffer allocation failed");
      }
      return Reflect.construct(target, args, own);
    };
    Object.assign(globalThis, { [name]: new Proxy(whole[name] as typeof whole.Uint8Array, { construct }) });
  }
  try {
    await task();
    return undefined;
  } catch (error) {
    return error;
  } finally {
    Object.assign(globalThis, whole);
  }
}

/** A GIF of one small frame on a screen that is large; `frames` of them. */
function gif(frames: number): Uint8Array {
  const side = [SIDE & 255, SIDE >> 8];
  const frame = [0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 0x01, 0];
  const screen = [...Buffer.from("GIF89a"), ...side, ...side, 0x80, 0, 0, 0, 0, 0, 255, 255, 255];
  return Uint8Array.from([...screen, ...Array(frames).fill(frame).flat(), 0x3b]);
}

function assertShort(error: unknown, beginning: string): void {
  assert.instance(error, GlimtError);
  assert.is((error as GlimtError).code, "OUT_OF_MEMORY");
  assert.match((error as GlimtError).message, beginning);
}

test("the file itself is in order", async () => {
  const { width, height } = await decodeImage(gif(1));
  assert.equal([width, height], [SIDE, SIDE]);
});

test("a still picture", async () => {
  const options = { mode: "default", maxDecodedPixels: undefined } as const;
  const error = await whereMemoryIsShort(() => decodeStill(gif(1), "big.gif", options));
  assertShort(error, "Image big.gif takes more memory than there is");
});

test("raw pixels with alpha", async () => {
  const data = new Uint8Array(SIDE * SIDE * 4);
  const error = await whereMemoryIsShort(() => decodeImage({ data, width: SIDE, height: SIDE }));
  assertShort(error, "Image of raw pixels takes more memory than there is");
});

test("an animation", async () => {
  const error = await whereMemoryIsShort(() => loadVideo(gif(2)));
  assertShort(error, "Video of ");
});

test("a frame of an animation", async () => {
  const bytes = gif(2);
  const { animation } = await openVideoFile(bytes, "big.gif", {});
  const error = await whereMemoryIsShort(async () => {
    const inner = globalThis.Uint8Array;
    // The canvas is copied for each frame.
    const slice = inner.prototype.slice;
    inner.prototype.slice = () => {
      throw new RangeError("Array buffer allocation failed");
    };
    try {
      await animation?.frame(0);
    } finally {
      inner.prototype.slice = slice;
    }
  });
  assertShort(error, "Video big.gif takes more memory than there is");
});

test("what engines say, also from a worker", () => {
  for (const error of [
    new RangeError("Array buffer allocation failed"),
    new RangeError("Invalid typed array length: 17179344900"),
    new RangeError("WebAssembly.Memory(): could not allocate memory"),
    new RangeError("WebAssembly.Memory.grow(): Maximum memory size exceeded"),
    new RangeError("WebAssembly.Memory.grow(): Unable to grow instance memory"),
    new RangeError("WebAssembly.Instance(): Out of memory: Cannot allocate Wasm memory for new instance"),
    new WebAssembly.RuntimeError("Aborted(OOM). Build with -sASSERTIONS for more info."),
  ]) {
    assert.ok(isOutOfMemory(error), error.message);
    assert.ok(isOutOfMemory(unpackError(packError(error))), error.message);
  }
  for (const error of [
    new RangeError("Invalid typed array length: 10"),
    new RangeError("Offset is outside the bounds of the DataView"),
    new RangeError("a chunk reaches past the end"),
    new WebAssembly.RuntimeError("unreachable"),
    new Error("room for it"),
  ]) {
    assert.not(isOutOfMemory(error), error.message);
  }
});

test("a memory that is full says so", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 3 });
  expectRoom(memory, 65536);
  let said: unknown;
  try {
    expectRoom(memory, 2 * 65536);
  } catch (error) {
    said = error;
  }
  assert.ok(isOutOfMemory(said), String(said));
});

test.run();
