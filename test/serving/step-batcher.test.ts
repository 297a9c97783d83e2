/** Steps that requests take together: who is in them, and whose end is whose. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError } from "../../src/errors.ts";
import type { Decoder, SequenceSlice, SliceAnswer, SliceResult } from "../../src/runtime/decoder.ts";
import type { StageRunners } from "../../src/runtime/stage-runners.ts";
import type { Member } from "../../src/serving/member.ts";
import type { GenerationRequest } from "../../src/serving/request.ts";
import { StepBatcher } from "../../src/serving/step-batcher.ts";
import type { StepMemory } from "../../src/serving/step-memory.ts";

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

interface FakeRequest {
  holdsPages: boolean;
  releases: number;
}

/** @param guesses of the tokens to read */
function requestOf(tokensToRead: number, guesses = 0): GenerationRequest & FakeRequest {
  let guessed = guesses;
  const request = {
    tokensToRead,
    dropGuesses() {
      const had = guessed > 0;
      guessed = 0;
      return had;
    },
    canBeReadAgain: true,
    holdsPages: false,
    releases: 0,
    nextSlice(most: number) {
      return { inputIds: Array(Math.min(most, tokensToRead - guesses + guessed)).fill(0) };
    },
    adoptPages() {},
    giveBackFeatures: () => false,
    outgrown: (error: unknown) => error,
  };
  return request as unknown as GenerationRequest & FakeRequest;
}

/** Memory that has room for `places` requests; its trims and whom it had to give way are counted. */
function memoryOf(places = Number.POSITIVE_INFINITY) {
  let held = 0;
  const counts = { trims: 0, preemptions: 0 };
  const fakeOf = ({ request }: Member) => request as unknown as FakeRequest;
  const leave = (request: FakeRequest) => {
    if (request.holdsPages) held--;
    request.holdsPages = false;
  };
  const memory = {
    get preemptions() {
      return counts.preemptions;
    },
    admit(member: Member) {
      if (held === places) return { error: full(), isForGood: false };
      held++;
      fakeOf(member).holdsPages = true;
      return null;
    },
    grow: () => null,
    startOver: () => false,
    squeeze: () => null,
    spare: (_: Member, tokens: number) => tokens,
    preempt(member: Member) {
      counts.preemptions++;
      leave(fakeOf(member));
    },
    release(member: Member) {
      fakeOf(member).releases++;
      leave(fakeOf(member));
    },
    trim: () => counts.trims++,
  };
  return { memory: memory as unknown as StepMemory, counts };
}

/** One engine call at a time. */
function batcherOf({ maxTokens = 64, maxSequences = 8, places = Number.POSITIVE_INFINITY } = {}) {
  let last: Promise<unknown> = Promise.resolve();
  const { memory, counts } = memoryOf(places);
  const run = (task: () => Promise<void>) => {
    const result = last.then(task);
    last = result.catch(() => undefined);
    return result;
  };
  const limits = { maxTokens, maxPromptTokens: maxTokens, maxSequences };
  return { batcher: new StepBatcher(run, memory, limits), counts };
}

const quiet = () => undefined;
const stagesOf = (decoder: Decoder) => ({ decoder }) as unknown as StageRunners;
const join = (batcher: StepBatcher, decoder: Decoder, request: GenerationRequest, priority = 0) =>
  batcher.join(request, stagesOf(decoder), priority);
/** One that does not ask. */
const idle = (batcher: StepBatcher) => join(batcher, decoderOf().decoder, requestOf(1));
/** Asks once, and leaves. */
async function ask(
  batcher: StepBatcher,
  decoder: Decoder,
  tokens: number,
  {
    signal = new AbortController().signal,
    reportOf = quiet as () => ((share: number) => void) | undefined,
    request = requestOf(tokens) as GenerationRequest,
    priority = 0,
  } = {},
) {
  const place = join(batcher, decoder, request, priority);
  try {
    return await place.next({ signal, reportOf });
  } finally {
    place.leave();
  }
}

const outcome = (step: Promise<unknown>) =>
  step.then(
    (answer) => (answer as { tokens: number[] }).tokens[0],
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
  for (let i = 0; i < 4; i++) idle(batcher);
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
    const place = join(batcher, decoder, requestOf(1));
    for (let i = 0; i < 5; i++) {
      await place.next({ signal: new AbortController().signal, reportOf: quiet });
      // As loops over generators and their callers have, some more than others.
      for (let hop = 0; hop < hops; hop++) await undefined;
    }
    place.leave();
  };
  await Promise.all([run(0), run(30), run(100)]);
  assert.equal(steps, Array(5).fill([1, 1, 1]));
});

test("who does not come back is not waited for", async () => {
  const { batcher } = batcherOf();
  const { decoder, steps } = decoderOf();
  idle(batcher);
  idle(batcher);
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
  for (let i = 0; i < 3; i++) idle(batcher);
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
  idle(batcher);
  idle(batcher);
  assert.equal(await Promise.all(both()), ["ABORTED", 7]);
  controllers[0] = new AbortController();
  assert.equal(await Promise.all(both()), ["ABORTED", "ABORTED"]);
  assert.equal(stopped, [false, false, true]);
});

test("who is aborted in a step hears it at once; what it holds is given back behind the step", async () => {
  const { batcher } = batcherOf();
  const { opened, open } = gate();
  const started = gate();
  const { decoder } = decoderOf(async (slices, running) => {
    started.open();
    await opened;
    return answered(slices, running);
  });
  const controller = new AbortController();
  const request = requestOf(3);
  const others = ask(batcher, decoder, 2);
  const aborted = ask(batcher, decoder, 3, { signal: controller.signal, request });
  await started.opened;
  controller.abort();
  assert.is(await outcome(aborted), "ABORTED");
  assert.equal([request.holdsPages, request.releases], [true, 0]);
  assert.is(batcher.statistics.running, 2);
  open();
  assert.is(await outcome(others), 2);
  await undefined;
  assert.equal([request.holdsPages, request.releases], [false, 1]);
  assert.equal([batcher.statistics.running, batcher.statistics.waiting], [0, 0]);
});

test("what a caller throws about progress ends their request alone, at once", async () => {
  const { batcher } = batcherOf();
  const shares: number[] = [];
  const { decoder } = decoderOf((slices, { onProgress }) => {
    for (const share of [0.25, 0.5]) onProgress(share);
    return slices.map(() => said(1));
  });
  const reportOf = () => () => {
    throw new Error("enough");
  };
  const bad = ask(batcher, decoder, 5, { reportOf });
  const good = ask(batcher, decoder, 5, { reportOf: () => (share) => shares.push(share) });
  assert.equal(await Promise.all([outcome(bad), outcome(good)]), ["enough", 1]);
  assert.equal(shares, [0.25, 0.5]);
});

test("memory that one request lacks is that one's matter: it is tried again after trimming, then it fails alone", async () => {
  for (const [failures, expected] of [
    [1, 3],
    [2, "OUT_OF_MEMORY"],
  ] as const) {
    const { batcher, counts } = batcherOf();
    let left: number = failures;
    const { decoder, steps } = decoderOf((slices) =>
      slices.map(({ inputIds }) =>
        inputIds.length === 3 && left-- > 0 ? { error: full() } : said(inputIds.length),
      ),
    );
    idle(batcher);
    idle(batcher);
    const found = [ask(batcher, decoder, 2), ask(batcher, decoder, 3)].map(outcome);
    assert.equal(await Promise.all(found), [2, expected]);
    assert.equal(steps, [[2, 3], [3]]);
    assert.is(counts.trims, 1);
  }
});

test("guesses go before anything that is kept for later", async () => {
  const { batcher, counts } = batcherOf();
  const { decoder, steps } = decoderOf((slices) =>
    slices.map(({ inputIds }) => (inputIds.length > 1 ? { error: full() } : said(inputIds.length))),
  );
  assert.is(await outcome(ask(batcher, decoder, 4, { request: requestOf(4, 3) })), 1);
  assert.equal(steps, [[4], [1]]);
  assert.is(counts.trims, 0);
});

test("of two that lack memory in a step one gives way, waits until the other has ended, and is answered", async () => {
  const { batcher, counts } = batcherOf();
  const requests = [requestOf(2), requestOf(3)];
  const { decoder, steps } = decoderOf((slices) => {
    const holders = requests.filter(({ holdsPages }) => holdsPages).length;
    if (steps.length > 20) throw new Error("for ever");
    return slices.map(({ inputIds }) => (holders > 1 ? { error: full() } : said(inputIds.length)));
  });
  const twice = async (request: GenerationRequest) => {
    const place = join(batcher, decoder, request);
    const options = { signal: new AbortController().signal, reportOf: quiet };
    await place.next(options);
    const answer = await place.next(options);
    place.leave();
    return answer;
  };
  assert.equal(await Promise.all(requests.map((request) => outcome(twice(request)))), [2, 3]);
  assert.equal(steps, [[2, 3], [2, 3], [2], [2], [3], [3]]);
  assert.is(counts.preemptions, 1);
});

test("an engine that fails fails those in the step; the next ones go on", async () => {
  const { batcher } = batcherOf({ maxTokens: 64, maxSequences: 2 });
  let isFirst = true;
  const { decoder } = decoderOf((slices, running) => {
    if (!isFirst) return answered(slices, running);
    isFirst = false;
    throw new GlimtError("BACKEND_FAILED" as never, "lost");
  });
  for (let i = 0; i < 3; i++) idle(batcher);
  const found = [1, 1, 1].map((tokens) => outcome(ask(batcher, decoder, tokens)));
  assert.equal(await Promise.all(found), ["BACKEND_FAILED", "BACKEND_FAILED", 1]);
});

test("a request that fails where it is asked for its slice fails alone, and nobody waits for ever", async () => {
  const { batcher } = batcherOf();
  const { decoder, steps } = decoderOf();
  const askBroken = () => {
    const request = requestOf(1);
    request.nextSlice = () => {
      throw new Error("broken");
    };
    return ask(batcher, decoder, 1, { request });
  };
  const found = [ask(batcher, decoder, 2), askBroken(), ask(batcher, decoder, 3)].map(outcome);
  assert.equal(await Promise.all(found), [2, "broken", 3]);
  assert.equal(steps, [[2, 3]]);
  assert.is(await outcome(askBroken()), "broken");
});

test("who finds no memory waits until others have ended; who finds none alone is refused", async () => {
  const { batcher } = batcherOf({ places: 1 });
  const { decoder, steps } = decoderOf();
  const found = [2, 3, 4].map((tokens) => outcome(ask(batcher, decoder, tokens)));
  assert.equal(await Promise.all(found), [2, 3, 4]);
  assert.equal(steps, [[2], [3], [4]]);
  const none = batcherOf({ places: 0 });
  assert.is(await outcome(ask(none.batcher, decoder, 2)), "OUT_OF_MEMORY");
});

test("a request that nobody reads gives its memory to one that waits, when nobody else goes on", async () => {
  const { batcher, counts } = batcherOf({ places: 1 });
  const { decoder } = decoderOf();
  const request = requestOf(1);
  const left = join(batcher, decoder, request);
  const next = () => left.next({ signal: new AbortController().signal, reportOf: quiet });
  await next();
  assert.is(request.holdsPages, true);
  assert.is(await outcome(ask(batcher, decoder, 5)), 5);
  assert.equal([request.holdsPages, counts.preemptions, batcher.statistics.preemptions], [false, 1, 1]);
  // It is read on when it is asked for again.
  assert.equal((await next()).tokens, [1]);
});

test("a lower number is taken first", async () => {
  const { batcher } = batcherOf({ maxSequences: 1 });
  const { decoder, steps } = decoderOf();
  const asked = [
    [2, 5],
    [3, 0],
    [4, -1],
  ].map(([tokens, priority]) => outcome(ask(batcher, decoder, tokens as number, { priority })));
  await Promise.all(asked);
  assert.equal(steps, [[4], [3], [2]]);
});

test("a model that was disposed fails all that wait", async () => {
  const run = async () => {
    throw new GlimtError("DISPOSED", "gone");
  };
  const limits = { maxTokens: 64, maxPromptTokens: 64, maxSequences: 1 };
  const batcher = new StepBatcher(run, memoryOf().memory, limits);
  const { decoder, steps } = decoderOf();
  const found = [1, 1].map((tokens) => outcome(ask(batcher, decoder, tokens)));
  assert.equal(await Promise.all(found), ["DISPOSED", "DISPOSED"]);
  assert.equal(steps, []);
});

test.run();
