/** Plans of steps: who is taken in which order, how tokens are shared, who waits for memory and who gives way. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { PATIENCE, type StepCandidate } from "../../src/serving/step-order.ts";
import { type PlanMemory, planStep, type StepLimits } from "../../src/serving/step-plan.ts";

interface Candidate extends StepCandidate {
  pages: number;
}

let arrivals = 0;
const reading = (tokensToRead: number, others: Partial<Candidate> = {}): Candidate => ({
  priority: 0,
  arrival: arrivals++,
  lastTurn: 0,
  askedAt: 0,
  tokensToRead,
  featuresToEncode: 0,
  programs: "plain",
  canBePreempted: true,
  pages: 1,
  ...others,
});

/** A page for all that a request has to read, and one a token of those that grow. */
function memoryOf(free: number, room: number) {
  let left = free;
  const take = (candidate: Candidate) => {
    if (left === 0) return { error: "full", isForGood: false };
    left--;
    candidate.pages++;
    return null;
  };
  const memory: PlanMemory<Candidate> = {
    admit: take,
    grow: (candidate) => (candidate.tokensToRead === 1 ? take(candidate) : null),
    squeeze: (candidate) => (candidate.tokensToRead === 1 ? take(candidate) : null),
    spare: (_, tokens) => Math.min(tokens, room),
    preempt(candidate) {
      left += candidate.pages;
      candidate.pages = 0;
    },
  };
  return memory;
}

function plan(
  asking: readonly Candidate[],
  limits: Partial<StepLimits> = {},
  { free = 1000, room = 1000, idle = [] as Candidate[], step = 0 } = {},
) {
  const all = [...asking, ...idle];
  const found = planStep(
    { asking, holders: all.filter(({ pages }) => pages > 0) },
    memoryOf(free, room),
    { maxTokens: 64, maxPromptTokens: 64, maxSequences: 8, ...limits },
    step,
  );
  return {
    shares: found.shares.map(({ candidate, tokens }) => [all.indexOf(candidate), tokens]),
    encoding: found.encoding ? all.indexOf(found.encoding) : null,
    refused: found.refused.map(({ candidate }) => all.indexOf(candidate)),
    pages: all.map(({ pages }) => pages),
  };
}
const sharesOf = (...args: Parameters<typeof plan>) => plan(...args).shares;

test("answers take their token; of the rest half goes to the first prompt, then the shortest come first", () => {
  const asking = [reading(100), reading(1), reading(20), reading(90)];
  assert.equal(sharesOf(asking), [
    [0, 31],
    [1, 1],
    [2, 20],
    [3, 12],
  ]);
});

test("a prompt gets no more than its own limit, and others the rest", () => {
  const asking = [reading(100), reading(100), reading(100)];
  assert.equal(sharesOf(asking, { maxPromptTokens: 24 }), [
    [0, 24],
    [1, 24],
    [2, 16],
  ]);
});

test("whoever has waited longest for a turn comes first, then who came first", () => {
  const asking = [reading(1, { lastTurn: 5 }), reading(1, { lastTurn: 5 }), reading(1, { lastTurn: 4 })];
  assert.equal(sharesOf(asking, { maxSequences: 2 }), [
    [2, 1],
    [0, 1],
  ]);
  assert.equal(sharesOf(asking, { maxTokens: 1 }), [[2, 1]]);
});

test("a lower number comes first, until another has waited too long for a token: it comes before all, one at a time", () => {
  const step = PATIENCE + 3;
  const asking = [
    reading(1, { priority: 1, askedAt: 3 }),
    reading(1, { priority: 2, askedAt: 2 }),
    reading(1, { priority: -1, askedAt: step }),
  ];
  const first = (at: number) => sharesOf(asking, { maxSequences: 2 }, { step: at }).map(([index]) => index);
  assert.equal(first(step - 2), [2, 0]);
  assert.equal(first(step - 1), [1, 2]);
  assert.equal(first(step), [1, 2]);
});

test("only those with the programs of the first run", () => {
  const asking = [
    reading(1, { programs: "a" }),
    reading(1, { programs: "b" }),
    reading(2, { programs: "a" }),
  ];
  assert.equal(sharesOf(asking), [
    [0, 1],
    [2, 2],
  ]);
});

test("pictures are encoded before their request takes part: the first in order and the shortest in turns", () => {
  const asking = [reading(9, { featuresToEncode: 900 }), reading(5, { featuresToEncode: 20 }), reading(1)];
  for (const [step, encoding] of [
    [0, 0],
    [1, 1],
  ] as const) {
    const found = plan(asking, {}, { step });
    assert.equal([found.encoding, found.shares], [encoding, [[2, 1]]]);
  }
});

test("who finds no memory waits for those that go on, and nobody behind is admitted before", () => {
  const asking = [reading(5, { pages: 0, priority: -1 }), reading(7, { pages: 0 }), reading(3)];
  const { shares, refused, pages } = plan(asking, {}, { free: 0 });
  assert.equal([shares, refused, pages], [[[2, 3]], [], [0, 0, 1]]);
});

test("where nobody goes on, those that nobody reads give way; where none is left, who does not fit is refused", () => {
  const asking = () => [reading(5, { pages: 0 })];
  const idle = [reading(1, { pages: 3 }), reading(1, { priority: 1 }), reading(1)];
  const found = plan(asking(), {}, { free: 0, idle });
  assert.equal(found.pages, [1, 3, 0, 1]);
  assert.equal(found.shares, [[0, 5]]);
  const stuck = idle.map((candidate) => ({ ...candidate, pages: 1, canBePreempted: false }));
  assert.equal(plan(asking(), {}, { free: 0, idle: stuck }).refused, [0]);
  assert.equal(plan(asking(), {}, { free: 0 }).refused, [0]);
});

test("for an answer the lowest priority gives way, of that the latest arrival, also where it was taken already or is itself", () => {
  const asking = [reading(1), reading(1, { priority: 1 }), reading(1, { priority: 1, lastTurn: -1 })];
  const found = plan(asking, {}, { free: 0 });
  assert.equal([found.shares, found.pages], [[[0, 1]], [2, 0, 0]]);
  const taken = plan([reading(1, { lastTurn: 1 }), reading(1)], {}, { free: 1 });
  assert.equal([taken.shares, taken.pages], [[[0, 1]], [2, 0]]);
  const itself = [reading(9), reading(1)];
  assert.equal(plan(itself, {}, { free: 0 }), {
    shares: [[0, 9]],
    encoding: null,
    refused: [],
    pages: [1, 0],
  });
  const alone = [reading(1)];
  assert.equal(plan(alone, {}, { free: 0 }).refused, [0]);
});

test("the urgent one gives way to nobody", () => {
  const asking = [reading(1, { askedAt: PATIENCE }), reading(1, { priority: 9 })];
  assert.equal(plan(asking, {}, { free: 0, step: PATIENCE + 1 }).pages, [0, 2]);
});

test("guesses are read as far as there is room for them, and the token before them in any case", () => {
  assert.equal(sharesOf([reading(5), reading(9)], {}, { room: 3 }), [
    [0, 3],
    [1, 3],
  ]);
  assert.equal(sharesOf([reading(5)], {}, { room: 0, free: 0 }), [[0, 1]]);
});

test("nobody asking is no step", () => {
  assert.equal(plan([]), { shares: [], encoding: null, refused: [], pages: [] });
});

test.run();
