/** Many requests at a time on one small model; see run.mjs. */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type LoadOptions, loadModel, type Model } from "../../src/index.ts";
import { ENDINGS, endedBy, facts } from "./endings.ts";
import { type Question, questions, seededDraw } from "./requests.ts";

const { values: flags } = parseArgs({
  options: {
    requests: { type: "string", default: "10000" },
    together: { type: "string", default: "16" },
    backend: { type: "string", default: "wasm" },
    memory: { type: "string" },
    seed: { type: "string", default: "1" },
  },
});
const [count, together, seed] = [flags.requests, flags.together, flags.seed].map(Number) as [
  number,
  number,
  number,
];
const MODEL = "test/golden/data/glm_ocr-tiny";
const ADAPTER = { name: "a", location: "test/golden/data/lora/glm_ocr-tiny/language" };
const backend = flags.backend as LoadOptions["backend"];
const draw = seededDraw(seed);
const asked = questions(96, draw);
const faults: string[] = [];
const ends = new Map<string, number>();

const expected = await answersAlone();
// Small steps, so that prompts are read in pieces beside answers.
const model = await loadModel(MODEL, {
  backend,
  maxBatchedTokens: 96,
  prefillChunk: 48,
  maxSequences: 12,
  encoderCacheBytes: 40_000,
  maxMemory: flags.memory === undefined ? undefined : 2 ** 20 * Number(flags.memory),
  adapters: [ADAPTER],
});
await askAll(Math.min(count, 4 * together));
const before = await liveBytes();
const started = performance.now();
await askAll(count);
const seconds = (performance.now() - started) / 1000;
const left = (await liveBytes()) - before;
const { running, waiting, ...counted } = model.stats();
if (running + waiting !== 0) faults.push(`${running} requests run and ${waiting} wait when all have ended`);
console.log(JSON.stringify(counted, null, 1).replace(/\n\s*/g, " "));
if (left !== 0) faults.push(`${left} bytes more are held than before`);
await model.dispose();
if (model.liveBytes !== 0) faults.push(`${model.liveBytes} bytes are held after dispose`);

for (const [end, number] of [...ends].sort()) console.log(`${end.padEnd(28)} ${number}`);
for (const fault of new Set(faults)) console.log(`WRONG ${fault}`);
console.log(
  `${count} requests, ${together} at a time, seed ${seed}, ${seconds.toFixed(0)} s: ${faults.length} wrong`,
);
process.exitCode = faults.length > 0 ? 1 : 0;

/** What each question is answered with by a model that does nothing else. */
async function answersAlone(): Promise<(string | null)[]> {
  const alone = await loadModel(MODEL, {
    backend,
    maxSequences: 1,
    prefixCache: false,
    encoderCacheBytes: 0,
    adapters: [ADAPTER],
  });
  const answers: (string | null)[] = [];
  for (const { messages, options, refused } of asked) {
    answers.push(refused ? null : facts(await alone.complete(messages, { ...options, speculation: "off" })));
  }
  await alone.dispose();
  return answers;
}

async function askAll(requests: number): Promise<void> {
  let next = 0;
  const caller = async () => {
    while (next < requests) {
      next++;
      const index = draw(asked.length);
      // Half of them are read to their end.
      const ending = ENDINGS[Math.max(0, draw(2 * ENDINGS.length) - ENDINGS.length)] as keyof typeof endedBy;
      const end = await ask(model, asked[index] as Question, expected[index] as string | null, ending);
      ends.set(end, (ends.get(end) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: together }, caller));
}

/** @returns how it ended */
async function ask(
  model: Model,
  { messages, options, refused }: Question,
  answer: string | null,
  ending: keyof typeof endedBy,
): Promise<string> {
  try {
    const found = await endedBy[ending](model, { messages, options }, draw);
    if (found === null) return ending;
    if (refused) faults.push(`what must be ${refused} was answered`);
    else if (found !== answer) faults.push(`answered ${found}, alone ${answer}`);
    return ending;
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    const mayBe = [refused, ...(ending === "abort" ? ["ABORTED"] : [])];
    if (!mayBe.includes(code as string)) faults.push(`${ending}: ${String(error)}`);
    return `${ending}, ${code}`;
  }
}

/** Without what is kept for later, when what was forgotten is collected. */
async function liveBytes(): Promise<number> {
  for (let round = 0; round < 20; round++) {
    (globalThis as { gc?: () => void }).gc?.();
    await sleep(20);
  }
  await model.trimMemory();
  return model.liveBytes;
}
