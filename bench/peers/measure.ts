/** Runs bouts: the contestants of one are loaded together and take turns at each case, never two at once. */
import type { Bout, Case, Contestant } from "./bouts.ts";
import type { Time } from "./child.mjs";
import type { Command } from "./peer.ts";
import { Peer } from "./peer.ts";
import { type Ceilings, type Outcome, Results } from "./results.ts";

export interface MeasureOptions {
  readonly command: (contestant: Contestant) => Command;
  readonly kernels: Command;
  readonly turns: number;
  /** Of a contestant in a case, after which it takes no further turn. */
  readonly seconds: number;
  readonly log: (line: string) => void;
  /** Told of the cases of a bout on so many threads, once they and the ceilings after them are there. */
  readonly onLeg: (results: Results, bout: Bout, threads: number) => void;
}

export interface Measured {
  readonly results: Results;
  readonly programs: ReadonlyMap<string, string>;
  readonly agreements: readonly Agreement[];
}

/** Of the tokens that glimt chose, fed to another: how often it chose the same. */
export interface Agreement {
  readonly judge: string;
  readonly contestant: string;
  readonly same: number;
  readonly of: number;
}

interface Present {
  readonly contestant: Contestant;
  /** Why it is not there, or no more. */
  failure?: string;
  readonly peer?: Peer;
}

const CEILING_REPEATS = 12;
/** Beside a turn. */
const READING_REPEATS = 3;
const JUDGED_TOKENS = 16;

export async function measure(bouts: readonly Bout[], options: MeasureOptions): Promise<Measured> {
  const results = new Results();
  const programs = new Map<string, string>();
  const agreements: Agreement[] = [];
  const kernels = new Peer(options.kernels);
  try {
    for (const bout of bouts) {
      const present = await start(bout, options, programs);
      try {
        agreements.push(...(await compareTokens(bout, present)));
        for (const threads of [...new Set(bout.cases.flatMap((one) => one.threads))]) {
          const before = await ceilings(kernels, threads);
          const cases = bout.cases.filter((one) => one.threads.includes(threads));
          for (const one of cases) {
            options.log(`${bout.name}: ${one.name}, ${threads} thread${threads > 1 ? "s" : ""}`);
            for (const outcome of await takeTurns(one, threads, present, kernels, options)) {
              results.outcomes.push({ ...outcome, bout: bout.name });
            }
          }
          results.legs.push({ bout: bout.name, threads, before, after: await ceilings(kernels, threads) });
          options.onLeg(results, bout, threads);
        }
      } finally {
        for (const { peer } of present) await peer?.end();
      }
    }
  } finally {
    await kernels.end();
  }
  return { results, programs, agreements };
}

async function start(
  bout: Bout,
  { command, log }: MeasureOptions,
  programs: Map<string, string>,
): Promise<Present[]> {
  const present: Present[] = [];
  for (const contestant of bout.contestants) {
    log(`${bout.name}: loading ${contestant.name}`);
    let peer: Peer | undefined;
    try {
      peer = new Peer(command(contestant));
      const { about = "" } = await peer.ask("about", { threads: bout.cases[0]?.threads[0] });
      programs.set(contestant.name, about);
      present.push({ contestant, peer });
    } catch (error) {
      await peer?.end();
      present.push({ contestant, failure: (error as Error).message });
    }
  }
  return present;
}

async function ceilings(kernels: Peer, threads: number): Promise<Ceilings> {
  return (await kernels.ask("ceilings", { threads, repeats: CEILING_REPEATS })).ceilings ?? {};
}

/** How fast memory is read now, bytes a second; 0 where it can not be told. */
async function reading(kernels: Peer, threads: number): Promise<number> {
  const request = { threads, repeats: READING_REPEATS, only: "read" };
  const { ceilings } = await kernels.ask("ceilings", request).catch(() => ({ ceilings: undefined }));
  return ceilings?.read ?? 0;
}

async function takeTurns(
  one: Case,
  threads: number,
  present: readonly Present[],
  kernels: Peer,
  { turns, seconds }: MeasureOptions,
): Promise<Omit<Outcome, "bout">[]> {
  const running = present
    .filter(({ contestant }) => !contestant.without?.includes(one.name))
    .map((entry) => ({
      ...entry,
      taken: [] as Time[][],
      readings: [] as number[],
      spent: 0,
      outcome: {} as Partial<Outcome>,
    }));
  const attempt = async (entry: (typeof running)[number], task: () => Promise<void>) => {
    if (entry.failure !== undefined) return;
    try {
      await task();
    } catch (error) {
      entry.failure = (error as Error).message;
    }
  };
  const extra = ({ contestant }: Present) =>
    contestant.kind === "kernels" ? { format: contestant.setting } : {};
  for (const entry of running) {
    const request = { ...one.warmUp, ...extra(entry), threads };
    for (let index = 0; index < 2; index++) {
      await attempt(entry, async () => void (await entry.peer?.ask(one.task, request)));
    }
  }
  for (let turn = 0; turn < turns; turn++) {
    for (const entry of running.filter(({ spent }) => spent < 1000 * seconds)) {
      await attempt(entry, async () => {
        const before = one.task === "decode" ? await reading(kernels, threads) : 0;
        const begin = performance.now();
        const answer = await entry.peer?.ask(one.task, { ...one.request, ...extra(entry), threads });
        entry.spent += performance.now() - begin;
        entry.taken.push([...(answer?.times ?? [])]);
        entry.outcome = { operations: answer?.operations, bytes: answer?.bytes };
        const after = answer?.bytes ? await reading(kernels, threads) : 0;
        entry.readings.push(Math.max(before, after));
      });
    }
  }
  return running.map(({ contestant, taken, readings, outcome, failure }) => ({
    case: one.name,
    contestant: contestant.name,
    threads,
    turns: taken,
    readings,
    ...outcome,
    failure,
  }));
}

/** The judge's own choices, fed to each of the others; those that can not be fed are left out. */
async function compareTokens({ judge, cases }: Bout, present: readonly Present[]): Promise<Agreement[]> {
  const first = present.find(({ contestant }) => contestant.name === judge)?.peer;
  const request = {
    ...cases.find(({ task }) => task === "decode")?.request,
    steps: JUDGED_TOKENS,
    threads: 2,
  };
  const forced = await first?.ask("decode", request).then(
    ({ tokens }) => tokens,
    () => undefined,
  );
  const found: Agreement[] = [];
  for (const { contestant, peer } of present) {
    if (!judge || !forced || !peer || peer === first || contestant.kind === "wllama") continue;
    const { tokens = [] } = await peer.ask("decode", { ...request, forced }).catch(() => ({ tokens: [] }));
    const same = forced.filter((token, index) => tokens[index] === token).length;
    found.push({ judge, contestant: contestant.name, same, of: forced.length });
  }
  return found;
}
