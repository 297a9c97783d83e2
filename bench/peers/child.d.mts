/** Milliseconds: of the clock on the wall; of all threads of the process on processors, where that can be told. */
export interface Time {
  readonly ms: number;
  readonly cpuMs?: number;
}

export function serve(tasks: Readonly<Record<string, (request: never) => Promise<object>>>): Promise<never>;
export function stopwatch(): () => Required<Time>;
