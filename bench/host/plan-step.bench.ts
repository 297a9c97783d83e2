/** Planning a step: what the scheduler takes of JavaScript's thread between two steps, without memory's own work. */
import { Bench } from "tinybench";
import type { StepCandidate } from "../../src/serving/step-order.ts";
import { type PlanMemory, planStep } from "../../src/serving/step-plan.ts";

const LIMITS = { maxTokens: 2048, maxPromptTokens: 2048, maxSequences: 64 };
const memory: PlanMemory<StepCandidate> = {
  admit: () => null,
  grow: () => null,
  squeeze: () => null,
  spare: (_, tokens) => tokens,
  preempt: () => undefined,
};

/** Answers, prompts, pictures and drafts, of several priorities. */
function requests(count: number): StepCandidate[] {
  return Array.from({ length: count }, (_, index) => ({
    priority: index % 3,
    arrival: index,
    lastTurn: 1000 - (index % 2),
    askedAt: 1000,
    tokensToRead: index % 4 === 0 ? 700 + index : 1 + (index % 4),
    featuresToEncode: index % 16 === 5 ? 1024 : 0,
    programs: "plain",
    canBePreempted: true,
  }));
}

const bench = new Bench({ time: 500 });
for (const count of [1, 16, 64, 256]) {
  const asking = requests(count);
  bench.add(`plan a step, ${count} requests`, () => {
    planStep({ asking, holders: asking }, memory, LIMITS, 1001);
  });
}
await bench.run();
console.table(bench.table());
