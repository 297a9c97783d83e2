/**
 * Plans over a simulated pool, thousands of times at random: arrivals, aborts, readers that stop reading, sizes, pictures,
 * drafts, priorities, adapters, budgets and memory. Nobody starves, no page leaks, no step exceeds its budgets, every request
 * ends, and each has the tokens it has alone.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { PATIENCE, type StepCandidate } from "../../src/serving/step-order.ts";
import { type PlanMemory, planStep, type StepLimits } from "../../src/serving/step-plan.ts";
import { fc } from "../property.ts";

const PAGE = 4;

interface Asked {
  readonly arrival: number;
  readonly prompt: number;
  readonly answer: number;
  readonly features: number;
  readonly priority: number;
  readonly programs: number;
  /** Guesses that are read beside a token; a step says one token more than are right. */
  readonly drafts: number;
  /** Steps until it is aborted. */
  readonly abort: number;
  /** Every so many tokens it is not read for a while; 0: it always is. */
  readonly pauseEvery: number;
  readonly pause: number;
}

class Simulated implements StepCandidate {
  readonly priority: number;
  readonly programs: number;
  readonly canBePreempted = true;
  readonly came: number;
  readonly asked: Asked;
  readonly arrival: number;
  lastTurn: number;
  askedAt: number;
  featuresToEncode: number;
  pages = 0;
  said = 0;
  read = 0;
  readAgain = 0;
  end: "finished" | "aborted" | "refused" | null = null;
  pausedUntil = 0;

  constructor(asked: Asked, arrival: number, step: number) {
    this.asked = asked;
    this.arrival = arrival;
    this.priority = asked.priority;
    this.programs = asked.programs;
    this.featuresToEncode = asked.features;
    this.came = step;
    this.lastTurn = step;
    this.askedAt = step;
  }

  get known(): number {
    return this.asked.prompt + this.said;
  }

  get tokensToRead(): number {
    const drafts = this.said > 0 ? Math.min(this.asked.drafts, this.asked.answer - this.said - 1) : 0;
    return this.known + drafts - this.read;
  }

  /** Takes in a step of so many tokens. @returns whether it said something */
  accept(tokens: number): boolean {
    const end = this.read + tokens;
    if (end < this.known) {
      this.read = end;
      return false;
    }
    // Half of the guesses are right.
    const right = Math.floor((end - this.known) / 2);
    this.said = Math.min(this.asked.answer, this.said + right + 1);
    this.read = this.known - 1;
    return true;
  }
}

class Pool implements PlanMemory<Simulated> {
  free: number;
  preemptions = 0;
  readonly total: number;

  constructor(total: number) {
    this.total = total;
    this.free = total;
  }

  admit(request: Simulated) {
    assert.is(request.pages, 0, "it is admitted once");
    return this.#take(request, request.known - request.read);
  }

  grow(request: Simulated, tokens: number) {
    assert.ok(request.pages > 0, "it was admitted before it grows");
    return this.#take(request, tokens);
  }

  squeeze(request: Simulated, tokens: number) {
    return this.#take(request, tokens);
  }

  spare(request: Simulated, tokens: number) {
    assert.ok(request.pages > 0, "it was admitted before it guesses");
    const missing = Math.ceil((request.read + tokens) / PAGE) - request.pages;
    const taken = Math.max(0, Math.min(missing, this.free));
    this.free -= taken;
    request.pages += taken;
    return Math.min(tokens, request.pages * PAGE - request.read);
  }

  preempt(request: Simulated) {
    assert.ok(request.pages > 0, "it has what it gives back");
    this.preemptions++;
    request.readAgain += request.read;
    this.giveBack(request);
  }

  giveBack(request: Simulated) {
    this.free += request.pages;
    request.pages = 0;
    request.read = 0;
  }

  #take(request: Simulated, tokens: number) {
    const needed = Math.ceil((request.read + tokens) / PAGE) - request.pages;
    if (needed > this.free) {
      const isForGood = Math.ceil(request.known / PAGE) > this.total;
      return { error: "full", isForGood };
    }
    if (needed > 0) {
      this.free -= needed;
      request.pages += needed;
    }
    return null;
  }
}

const asked = fc.record<Asked>({
  arrival: fc.nat(60),
  prompt: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 300 })),
  answer: fc.integer({ min: 1, max: 25 }),
  features: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 90 })),
  priority: fc.integer({ min: -1, max: 2 }),
  programs: fc.nat(1),
  drafts: fc.oneof(fc.constant(0), fc.nat(4)),
  abort: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.constant(Number.POSITIVE_INFINITY), fc.nat(80)),
  pauseEvery: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 6 })),
  pause: fc.integer({ min: 1, max: 40 }),
});
const limits = fc.record<StepLimits>({
  maxTokens: fc.integer({ min: 1, max: 64 }),
  maxPromptTokens: fc.integer({ min: 1, max: 64 }),
  maxSequences: fc.integer({ min: 1, max: 12 }),
});
const pages = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 40, max: 400 }));

const totals = {
  runs: 0,
  requests: 0,
  steps: 0,
  preemptions: 0,
  finished: 0,
  aborted: 0,
  refused: 0,
  late: 0,
};
/** Of one run of the tower. */
const ENCODED = 20;

/** @returns the requests, all ended */
function simulate(list: readonly Asked[], limits: StepLimits, pages: number): Simulated[] {
  const coming = list.toSorted((a, b) => a.arrival - b.arrival);
  const all: Simulated[] = [];
  let under: Simulated[] = [];
  const pool = new Pool(pages);
  const end = (request: Simulated, how: NonNullable<Simulated["end"]>) => {
    pool.giveBack(request);
    request.end = how;
    under = under.filter((other) => other !== request);
    totals[how]++;
  };
  let step = 0;
  for (let now = 0; coming.length > 0 || under.length > 0; now++) {
    assert.ok(now < 500_000, "it comes to an end");
    while (coming[0] && coming[0].arrival <= now) {
      const request = new Simulated(coming.shift() as Asked, all.length, step);
      all.push(request);
      under.push(request);
    }
    for (const request of [...under]) {
      if (step - request.came >= request.asked.abort) end(request, "aborted");
    }
    const asking = under.filter(({ pausedUntil }) => pausedUntil <= now);
    const holders = under.filter(({ pages }) => pages > 0);
    if (asking.length === 0) continue;
    const before = pool.preemptions;
    const plan = planStep({ asking, holders }, pool, limits, step);

    const sum = plan.shares.reduce((total, { tokens }) => total + tokens, 0);
    assert.ok(sum <= limits.maxTokens, "the step's tokens");
    assert.ok(plan.shares.length <= limits.maxSequences, "the step's requests");
    const goesOn = plan.shares.length > 0 || plan.encoding || plan.refused.length > 0;
    assert.ok(goesOn || pool.preemptions > before, "somebody goes on, or gave way to go on later");
    const taken = plan.shares.map(({ candidate }) => candidate);
    assert.is(new Set(taken).size, taken.length);
    assert.ok(new Set(taken.map(({ programs }) => programs)).size <= 1);
    for (const { candidate, tokens } of plan.shares) {
      assert.ok(tokens >= 1 && tokens <= candidate.tokensToRead && tokens <= limits.maxPromptTokens);
      assert.ok(asking.includes(candidate) && candidate.featuresToEncode === 0);
      assert.ok(candidate.pages * PAGE >= candidate.read + tokens, "each token has its place");
    }

    for (const { candidate } of plan.refused) end(candidate, "refused");
    if (plan.encoding) {
      assert.ok(plan.encoding.pages > 0);
      plan.encoding.featuresToEncode = Math.max(0, plan.encoding.featuresToEncode - ENCODED);
    }
    for (const { candidate, tokens } of plan.shares) {
      candidate.lastTurn = step;
      if (!candidate.accept(tokens)) continue;
      if (step - candidate.askedAt >= PATIENCE) totals.late++;
      candidate.askedAt = step + 1;
      const { answer, pauseEvery, pause } = candidate.asked;
      if (candidate.said === answer) end(candidate, "finished");
      else if (pauseEvery > 0 && candidate.said % pauseEvery === 0) candidate.pausedUntil = now + pause;
    }
    step++;
    const held = under.reduce((total, request) => total + request.pages, 0);
    assert.is(pool.free + held, pool.total, "no page is lost");
  }
  assert.is(pool.free, pool.total);
  totals.runs++;
  totals.requests += all.length;
  totals.steps += step;
  totals.preemptions += pool.preemptions;
  return all;
}

test("whoever comes, leaves, stops reading and runs out of memory: budgets hold and everybody ends", () => {
  fc.assert(
    fc.property(fc.array(asked, { minLength: 1, maxLength: 24 }), limits, pages, (list, limits, pages) => {
      for (const { end, asked, said } of simulate(list, limits, pages)) {
        // Who fits alone is answered.
        const fits = Math.ceil((asked.prompt + asked.answer - 1) / PAGE) <= pages;
        if (fits) assert.ok(end !== "refused");
        if (end === "finished") assert.is(said, asked.answer);
      }
    }),
    { numRuns: 4000 },
  );
  console.log(
    Object.entries(totals)
      .map(([name, count]) => `${count} ${name}`)
      .join(", "),
  );
  assert.ok(totals.preemptions > 1000 && totals.refused > 100 && totals.aborted > 1000);
});

test("a short prompt behind long ones is read before them", () => {
  const plain = { arrival: 0, features: 0, priority: 0, programs: 0, drafts: 0, pauseEvery: 0, pause: 1 };
  const never = Number.POSITIVE_INFINITY;
  const long = { ...plain, prompt: 5000, answer: 1, abort: never };
  const short = { ...plain, prompt: 40, answer: 1, abort: never };
  const budget = { maxTokens: 64, maxPromptTokens: 64, maxSequences: 32 };
  const ends = endsOf([long, long, long, long, short], budget, 10_000);
  assert.ok(ends[4]! <= 2, `${ends[4]} steps`);
  // And the first long one at half of the speed at least.
  assert.ok(ends[0]! <= (2 * 5000) / 64 + 10, `${ends[0]} steps`);
});

test("an endless stream of a higher priority leaves nobody waiting for ever", () => {
  const plain = {
    features: 0,
    programs: 0,
    drafts: 0,
    pauseEvery: 0,
    pause: 1,
    abort: Number.POSITIVE_INFINITY,
  };
  const low = { ...plain, arrival: 0, prompt: 60, answer: 4, priority: 5 };
  const stream = Array.from({ length: 4000 }, (_, index) => ({
    ...plain,
    // A little more than there are places for.
    arrival: 5 * index,
    prompt: 30,
    answer: 10,
    priority: 0,
  }));
  // Both in places and in memory: there is room for two of them.
  for (const [maxSequences, pages] of [
    [2, 1000],
    [8, 22],
  ] as const) {
    const [end] = endsOf([low, ...stream], { maxTokens: 32, maxPromptTokens: 32, maxSequences }, pages);
    assert.ok(end! <= 5 * (PATIENCE + 60), `${end} steps`);
  }
});

/** The steps after which each had ended. */
function endsOf(list: readonly Asked[], limits: StepLimits, pages: number): number[] {
  const ends: number[] = [];
  const pool = new Pool(pages);
  let under = list.map((asked, index) => new Simulated(asked, index, asked.arrival));
  const everybody = under;
  for (let step = 0; under.length > 0; step++) {
    const asking = under.filter(({ asked }) => asked.arrival <= step);
    const holders = under.filter(({ pages }) => pages > 0);
    for (const { candidate, tokens } of planStep({ asking, holders }, pool, limits, step).shares) {
      candidate.lastTurn = step;
      if (candidate.accept(tokens)) candidate.askedAt = step + 1;
      if (candidate.said < candidate.asked.answer) continue;
      pool.giveBack(candidate);
      ends[everybody.indexOf(candidate)] = step;
      under = under.filter((other) => other !== candidate);
    }
    if (ends[0] !== undefined && ends.length > 1 && list.length > 100) break;
  }
  return ends;
}

test.run();
