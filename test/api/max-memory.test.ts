/** `maxMemory`: what does not fit is refused before work is lost; and memory is given back when asked. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError, type LoadOptions, loadModel, type Message, type Model } from "../../src/index.ts";

const CHECKPOINT = "examples/demo/checkpoint";
const MIB = 2 ** 20;
const load = (options: LoadOptions) => loadModel(CHECKPOINT, { backend: "wasm", ...options });

function picture(size: number): Message[] {
  const data = new Uint8Array(size * size * 3).fill(255);
  const image = { data, width: size, height: size, channels: 3 } as const;
  return [{ role: "user", content: [{ type: "image", image }] }];
}

const text = (words: number): Message[] => [{ role: "user", content: "letter ".repeat(words) }];

async function failure(action: () => Promise<unknown>): Promise<GlimtError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof GlimtError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** What a request says on its way to an error, and the error. */
async function refused(model: Model, messages: Message[]) {
  const stages = new Set<string>();
  const onProgress = ({ stage }: { stage: string }) => stages.add(stage);
  const error = await failure(() => model.complete(messages, { maxTokens: 1, onProgress }));
  return { error, stages };
}

test("weights that do not fit are refused before one is read", async () => {
  let loaded = 0;
  const error = await failure(() =>
    load({ maxMemory: 8 * MIB, onProgress: ({ loadedBytes }) => (loaded += loadedBytes) }),
  );
  assert.is(error.code, "OUT_OF_MEMORY");
  assert.match(
    error.message,
    /weights and KV cache.* \d(\.\d+)? MiB of 8 MiB are left \(maxMemory\).*raise maxMemory/,
  );
  assert.is(loaded, 0);
});

test("what threads take counts beside the weights", async () => {
  let loaded = 0;
  const onProgress = ({ loadedBytes }: { loadedBytes: number }) => (loaded += loadedBytes);
  const error = await failure(() => load({ threads: 4, maxMemory: 14 * MIB, onProgress }));
  assert.is(error.code, "OUT_OF_MEMORY");
  assert.match(error.message, /stacks of threads: .* of 14 MiB/);
  assert.is(loaded, 0);
});

test("where the usual threads have no room there is one", async () => {
  const model = await load({ maxMemory: 13.5 * MIB, mtp: false });
  assert.is(model.backend.threads, 1);
  assert.ok((await model.complete(picture(96), { maxTokens: 1 })).tokenIds.length > 0);
  await model.dispose();
});

test("a picture or a prompt that does not fit is refused before it is computed; what fits is answered", async () => {
  const model = await load({ maxMemory: 24 * MIB });
  const first = await model.complete(picture(96), { maxTokens: 4 });
  const held = model.liveBytes;
  for (const messages of [picture(800), text(560)]) {
    const { error, stages } = await refused(model, messages);
    assert.is(error.code, "OUT_OF_MEMORY");
    assert.match(error.message, /are left.*maxMemory/);
    assert.not(
      [...stages].some((stage) => stage === "vision" || stage === "prefill"),
      [...stages].join(),
    );
  }
  assert.ok(model.liveBytes <= 24 * MIB);
  await model.trimMemory();
  assert.ok(model.liveBytes < held);
  assert.equal((await model.complete(picture(96), { maxTokens: 4 })).tokenIds, first.tokenIds);
  await model.dispose();
});

test("trimming leaves the weights and what was reserved, and requests under way go on", async () => {
  const unlimited = await load({});
  const weights = unlimited.liveBytes;
  const expected = await unlimited.complete(picture(96), { maxTokens: 12 });
  await unlimited.trimMemory();
  assert.is(unlimited.liveBytes, weights);
  const pieces = unlimited.generate(picture(96), { maxTokens: 12 });
  const tokens: number[] = [];
  for await (const { tokenId } of pieces) {
    tokens.push(tokenId);
    await unlimited.trimMemory();
  }
  assert.equal(tokens, expected.tokenIds);
  await unlimited.dispose();

  const reserving = await load({ kvCache: { bytes: 4 * MIB } });
  const reserved = reserving.liveBytes;
  await reserving.complete(text(400), { maxTokens: 1 });
  assert.ok(reserving.liveBytes > reserved);
  await reserving.trimMemory();
  assert.is(reserving.liveBytes, reserved);
  await reserving.dispose();
  const error = await failure(() => reserving.trimMemory());
  assert.is(error.code, "DISPOSED");
});

test("a share of memory is a share of maxMemory", async () => {
  const model = await load({ maxMemory: 40 * MIB, threads: 1, kvCache: { fraction: 0.5 } });
  const share = model.liveBytes - 8 * MIB;
  assert.ok(share > 14 * MIB && share < 16 * MIB, `${share} bytes`);
  await model.dispose();
});

test("other backends, and what is no size, are refused by name", async () => {
  const other = await failure(() => load({ backend: "reference", maxMemory: MIB }));
  assert.is(other.code, "OPTION_INVALID");
  assert.match(other.message, /maxMemory is 1048576, and the reference backend/);
  for (const maxMemory of [0, -1, 1.5, "6GiB", Number.NaN]) {
    const error = await failure(() => load({ maxMemory: maxMemory as number }));
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, /maxMemory/);
  }
});

test.run();
