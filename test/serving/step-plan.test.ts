/** Plans of steps: budgets hold, everybody comes to their turn, answers go on beside long prompts. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { planStep, type StepCandidate } from "../../src/serving/step-plan.ts";
import { fc } from "../property.ts";

const reading = (tokensToRead: number, programs: unknown = "plain") => ({ tokensToRead, programs });
const tokensOf = (waiting: readonly StepCandidate[], maxTokens: number, maxSequences: number) =>
  planStep(waiting, { maxTokens, maxSequences }).map(({ candidate, tokens }) => [
    waiting.indexOf(candidate),
    tokens,
  ]);

test("answers take their token, and the first prompts what is left", () => {
  const waiting = [reading(100), reading(1), reading(30), reading(1)];
  assert.equal(tokensOf(waiting, 64, 8), [
    [0, 61],
    [1, 1],
    [2, 1],
    [3, 1],
  ]);
  assert.equal(tokensOf(waiting, 120, 8), [
    [0, 100],
    [1, 1],
    [2, 18],
    [3, 1],
  ]);
});

test("of more than a step has room for, the longest waiting are taken", () => {
  const waiting = [reading(1), reading(5), reading(1)];
  assert.equal(tokensOf(waiting, 64, 2), [
    [0, 1],
    [1, 5],
  ]);
  assert.equal(tokensOf(waiting, 1, 2), [[0, 1]]);
});

test("only those with the programs of the longest waiting run", () => {
  const waiting = [reading(1, "a"), reading(1, "b"), reading(2, "a")];
  assert.equal(tokensOf(waiting, 64, 8), [
    [0, 1],
    [2, 2],
  ]);
});

test("nobody waiting is no step", () => {
  assert.equal(planStep([], { maxTokens: 4, maxSequences: 4 }), []);
});

interface Request {
  readonly arrival: number;
  /** Of the prompt, and of its answer. */
  readonly prompt: number;
  readonly answer: number;
  readonly programs: number;
  /** Steps after its first until it is aborted; it may have ended before. */
  readonly abort: number;
}

const request = fc.record<Request>({
  arrival: fc.nat(60),
  prompt: fc.integer({ min: 1, max: 200 }),
  answer: fc.integer({ min: 1, max: 20 }),
  programs: fc.nat(2),
  abort: fc.oneof(fc.nat(30), fc.constant(Number.POSITIVE_INFINITY)),
});
const limits = fc.record({
  maxTokens: fc.integer({ min: 1, max: 64 }),
  maxSequences: fc.integer({ min: 1, max: 12 }),
});

test("whoever arrives and leaves: budgets hold, and all come to their end in their turn", () => {
  fc.assert(
    fc.property(fc.array(request, { minLength: 1, maxLength: 24 }), limits, (requests, limits) => {
      const coming = requests
        .map((request) => ({
          ...request,
          tokensToRead: request.prompt,
          left: request.answer,
          steps: 0,
          waited: 0,
        }))
        .sort((a, b) => a.arrival - b.arrival);
      let waiting: typeof coming = [];
      for (let now = 0; coming.length > 0 || waiting.length > 0; now++) {
        while (coming[0] && coming[0].arrival <= now) waiting.push(coming.shift() as (typeof coming)[number]);
        const step = planStep(waiting, limits);
        assert.ok(step.length <= limits.maxSequences);
        assert.ok(step.reduce((sum, { tokens }) => sum + tokens, 0) <= limits.maxTokens);
        assert.is(step.length > 0, waiting.length > 0);
        assert.ok(new Set(step.map(({ candidate }) => candidate)).size === step.length);
        assert.ok(new Set(step.map(({ candidate }) => candidate.programs)).size <= 1);
        const taken = new Set(step.map(({ candidate }) => candidate));
        const back: typeof coming = [];
        for (const { candidate, tokens } of step) {
          assert.ok(tokens >= 1 && tokens <= candidate.tokensToRead);
          candidate.tokensToRead -= tokens;
          candidate.waited = 0;
          candidate.steps++;
          if (candidate.tokensToRead === 0 && --candidate.left > 0) candidate.tokensToRead = 1;
          const isOver = candidate.tokensToRead === 0 || candidate.steps > candidate.abort;
          if (!isOver) back.push(candidate);
        }
        waiting = waiting.filter((candidate) => !taken.has(candidate));
        // The first of those that are left comes with the next step, so nobody waits for more steps than others wait before.
        for (const candidate of waiting) assert.ok(++candidate.waited <= requests.length);
        waiting.push(...back);
      }
    }),
    { numRuns: 2000 },
  );
});

test.run();
