/** Steps that requests take together: who is in them, and whose end is whose. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError, type GlimtError as GlimtErrorType } from "../../src/errors.ts";
import type { Decoder, SequenceSlice, SliceAnswer, SliceResult } from "../../src/runtime/decoder.ts";
import type { GenerationRequest } from "../../src/serving/request.ts";
import { StepBatcher } from "../../src/serving/step-batcher.ts";

type Answer = (slices: readonly SequenceSlice[], running: Running) => Promise<SliceResult[]> | SliceResult[];
interface Running {
  readonly signal: AbortSignal;
  readonly onProgress: (share: number) => void;
}

const said = (token: number): SliceAnswer => ({ logits: [], tokens: [token] });
const answered: Answer = (slices) => slices.map(({ inputIds }) => said(inputIds.length));

/** A decoder that notes the sizes of the slices of its steps. */
function decoderOf(answer: Answer = answered) {
  const steps: number[][] = [];
  const forward = async (slices: readonly SequenceSlice[], running: Running) => {
    steps.push(slices.map(({ inputIds }) => inputIds.length));
    return answer(slices, running);
  };
  return { decoder: { forward } as unknown as Decoder, steps };
}

function requestOf(tokensToRead: number): GenerationRequest {
  const nextSlice = (most: number) => ({ inputIds: Array(Math.min(most, tokensToRead)).fill(0) });
  return { tokensToRead, nextSlice } as unknown as GenerationRequest;
}

/** One engine call at a time; runs a task once more after OUT_OF_MEMORY. */
function batcherOf(limits = { maxTokens: 64, maxSequences: 8 }) {
  let last: Promise<unknown> = Promise.resolve();
  let trims = 0;
  const batcher = new StepBatcher((task) => {
    const again = (error: GlimtErrorType) => {
      if (error.code !== "OUT_OF_MEMORY") throw error;
      trims++;
      return task();
    };
    const result = last.then(() => task().catch(again));
    last = result.catch(() => undefined);
    return result;
  }, limits);
  return { batcher, trims: () => trims };
}

const quiet = () => undefined;
const ask = (
  batcher: StepBatcher,
  decoder: Decoder,
  tokens: number,
  {
    signal = new AbortController().signal,
    reportOf = quiet as () => ((share: number) => void) | undefined,
  } = {},
) => batcher.step(decoder, requestOf(tokens), { signal, reportOf });

const outcome = (step: Promise<unknown>) =>
  step.then(
    (answer) => (answer as SliceAnswer).tokens[0],
    (error) => error.code ?? error.message,
  );

/** Resolves when it is told to. */
function gate() {
  let open: () => void = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

const full = () => new GlimtError("OUT_OF_MEMORY", "full");

test("those that wait run together, within the limits", async () => {
  const { batcher } = batcherOf({ maxTokens: 20, maxSequences: 3 });
  const { decoder, steps } = decoderOf();
  for (let i = 0; i < 4; i++) batcher.join({} as GenerationRequest);
  const found = await Promise.all([30, 1, 1, 7].map((tokens) => ask(batcher, decoder, tokens)));
  assert.equal(steps, [[18, 1, 1], [7]]);
  assert.equal(
    found.map(({ tokens }) => tokens[0]),
    [18, 1, 1, 7],
  );
});

test("who reads an answer at once is in the next step with the others", async () => {
  const { batcher } = batcherOf();
  const { decoder, steps } = decoderOf();
  const run = async (hops: number) => {
    const leave = batcher.join({} as GenerationRequest);
    for (let i = 0; i < 5; i++) {
      await ask(batcher, decoder, 1);
      // As loops over generators and their callers have, some more than others.
      for (let hop = 0; hop < hops; hop++) await undefined;
    }
    leave();
  };
  await Promise.all([run(0), run(30), run(100)]);
  assert.equal(steps, Array(5).fill([1, 1, 1]));
});

test("who does not come back is not waited for", async () => {
  const { batcher } = batcherOf();
  const { decoder, steps } = decoderOf();
  batcher.join({} as GenerationRequest);
  batcher.join({} as GenerationRequest);
  for (let i = 0; i < 3; i++) await ask(batcher, decoder, 1);
  assert.equal(steps, [[1], [1], [1]]);
});

test("programs of adapters run in steps of their own, the longest waiting first", async () => {
  const { batcher } = batcherOf();
  const order: string[] = [];
  const named = (name: string) =>
    decoderOf((slices, running) => {
      order.push(`${name}${slices.length}`);
      return answered(slices, running);
    }).decoder;
  const [a, b] = [named("a"), named("b")];
  for (let i = 0; i < 3; i++) batcher.join({} as GenerationRequest);
  await Promise.all([ask(batcher, a, 1), ask(batcher, b, 1), ask(batcher, a, 1)]);
  assert.equal(order, ["a2", "b1"]);
});

test("who is aborted while waiting hears it at once, and is in no step", async () => {
  const { batcher } = batcherOf({ maxTokens: 64, maxSequences: 1 });
  const { opened, open } = gate();
  const { decoder, steps } = decoderOf(async (slices, running) => {
    await opened;
    return answered(slices, running);
  });
  const controller = new AbortController();
  const first = ask(batcher, decoder, 1);
  const second = ask(batcher, decoder, 2, { signal: controller.signal });
  controller.abort();
  assert.is(await outcome(second), "ABORTED");
  open();
  assert.is(await outcome(first), 1);
  assert.equal(steps, [[1]]);
  assert.is(await outcome(ask(batcher, decoder, 2, { signal: AbortSignal.abort() })), "ABORTED");
  assert.equal(steps, [[1]]);
});

test("a step goes on for those that are left, and is stopped when nobody is", async () => {
  const { batcher } = batcherOf();
  const controllers = [new AbortController(), new AbortController()];
  const stopped: boolean[] = [];
  const { decoder } = decoderOf(async (slices, { signal }) => {
    controllers[0]?.abort();
    stopped.push(signal.aborted);
    if (stopped.length === 1) return slices.map(() => said(7));
    controllers[1]?.abort();
    stopped.push(signal.aborted);
    throw new GlimtError("ABORTED", "stopped");
  });
  const both = () => controllers.map(({ signal }) => outcome(ask(batcher, decoder, 1, { signal })));
  batcher.join({} as GenerationRequest);
  batcher.join({} as GenerationRequest);
  // What was computed is handed on: whoever asked sees for themselves that it was aborted.
  assert.equal(await Promise.all(both()), [7, 7]);
  controllers[0] = new AbortController();
  assert.equal(await Promise.all(both()), ["ABORTED", "ABORTED"]);
  assert.equal(stopped, [false, false, true]);
});

test("what a caller throws about progress ends their request alone, behind the step", async () => {
  const { batcher } = batcherOf();
  const shares: number[] = [];
  let running = false;
  const { decoder } = decoderOf((slices, { onProgress }) => {
    running = true;
    for (const share of [0.25, 0.5]) onProgress(share);
    running = false;
    return slices.map(() => said(1));
  });
  batcher.join({} as GenerationRequest);
  batcher.join({} as GenerationRequest);
  const reportOf = () => () => {
    throw new Error("enough");
  };
  const bad = ask(batcher, decoder, 5, { reportOf }).catch((error) => {
    assert.is(running, false);
    throw error;
  });
  const good = ask(batcher, decoder, 5, { reportOf: () => (share) => shares.push(share) });
  assert.equal(await Promise.all([outcome(bad), outcome(good)]), ["enough", 1]);
  assert.equal(shares, [0.25, 0.5]);
});

test("memory that one request lacks is that one's matter: it is tried again after trimming, then it fails alone", async () => {
  for (const [failures, expected] of [
    [1, 3],
    [2, "OUT_OF_MEMORY"],
  ] as const) {
    const { batcher, trims } = batcherOf();
    let left: number = failures;
    const { decoder, steps } = decoderOf((slices) =>
      slices.map(({ inputIds }) =>
        inputIds.length === 3 && left-- > 0 ? { error: full() } : said(inputIds.length),
      ),
    );
    batcher.join({} as GenerationRequest);
    batcher.join({} as GenerationRequest);
    const found = [ask(batcher, decoder, 2), ask(batcher, decoder, 3)].map(outcome);
    assert.equal(await Promise.all(found), [2, expected]);
    assert.equal(steps, [[2, 3], [3]]);
    assert.is(trims(), 1);
  }
});

test("an engine that fails fails those in the step; the next ones go on", async () => {
  const { batcher } = batcherOf({ maxTokens: 64, maxSequences: 2 });
  let isFirst = true;
  const { decoder } = decoderOf((slices, running) => {
    if (!isFirst) return answered(slices, running);
    isFirst = false;
    throw new GlimtError("BACKEND_FAILED" as never, "lost");
  });
  for (let i = 0; i < 3; i++) batcher.join({} as GenerationRequest);
  const found = [1, 1, 1].map((tokens) => outcome(ask(batcher, decoder, tokens)));
  assert.equal(await Promise.all(found), ["BACKEND_FAILED", "BACKEND_FAILED", 1]);
});

test("a request that fails where it is asked for its slice fails alone, and nobody waits for ever", async () => {
  const { batcher } = batcherOf();
  const { decoder, steps } = decoderOf();
  const broken = {
    tokensToRead: 1,
    nextSlice: () => {
      throw new Error("broken");
    },
  } as unknown as GenerationRequest;
  const askBroken = () =>
    batcher.step(decoder, broken, { signal: new AbortController().signal, reportOf: quiet });
  for (let i = 0; i < 3; i++) batcher.join({} as GenerationRequest);
  const found = [ask(batcher, decoder, 2), askBroken(), ask(batcher, decoder, 3)].map(outcome);
  assert.equal(await Promise.all(found), [2, "broken", 3]);
  assert.equal(steps, [[2, 3]]);
  assert.is(await outcome(askBroken()), "broken");
});

test("a model that was disposed fails all that wait", async () => {
  const batcher = new StepBatcher(
    async () => {
      throw new GlimtError("DISPOSED", "gone");
    },
    { maxTokens: 64, maxSequences: 1 },
  );
  const { decoder, steps } = decoderOf();
  const found = [1, 1].map((tokens) => outcome(ask(batcher, decoder, tokens)));
  assert.equal(await Promise.all(found), ["DISPOSED", "DISPOSED"]);
  assert.equal(steps, []);
});

test.run();
