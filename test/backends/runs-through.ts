/** Backends that do something else than their engines would: ranks that end, hang, are late or lack memory. */
import type { Backend, Engine } from "../../src/backends/backend.ts";

type RunArguments = Parameters<Engine["run"]>;

/** What is done in place of a run. */
export type AroundRun = (
  run: () => Promise<void>,
  asked: {
    readonly engine: Engine;
    readonly executable: RunArguments[0];
    readonly bindings: RunArguments[1];
    readonly options: NonNullable<RunArguments[2]>;
    readonly rank: number;
  },
) => Promise<void>;

/** The backend, the runs of whose engines go through `around`. */
export function runsThrough(backend: Backend, around: AroundRun): Backend {
  return {
    ...backend,
    async open(opening) {
      const engine = await backend.open(opening);
      const run = engine.run.bind(engine);
      const rank = opening?.group?.rank ?? 0;
      engine.run = (executable, bindings, options = {}) =>
        around(() => run(executable, bindings, options), { engine, executable, bindings, options, rank });
      return engine;
    },
  };
}

/** The same of one rank's runs, while `isArmed` says so. */
export function faultyRank(
  backend: Backend,
  rank: number,
  fault: AroundRun,
  isArmed: () => boolean = onceOnly(),
): Backend {
  return runsThrough(backend, (run, asked) => {
    return asked.rank === rank && isArmed() ? fault(run, asked) : run();
  });
}

/** True the first time. */
function onceOnly(): () => boolean {
  let isArmed = true;
  return () => {
    const was = isArmed;
    isArmed = false;
    return was;
  };
}
