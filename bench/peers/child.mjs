/**
 * The peer's side of the line: requests come as lines of JSON on stdin, one at a time, and are answered on stdout.
 * `{"id": 1, "task": "decode", ...}` is answered by `{"id": 1, ...}`, or by `{"id": 1, "error": "..."}`.
 */
import { createInterface } from "node:readline";

/** @param tasks name -> async (request) => what the answer holds beside the id. The process ends with stdin. */
export async function serve(tasks) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, task, ...request } = JSON.parse(line);
    let answer;
    try {
      if (!tasks[task]) throw new Error(`it has no task "${task}"`);
      answer = { id, ...(await tasks[task](request)) };
    } catch (error) {
      answer = { id, error: error instanceof Error ? error.message : String(error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0);
}

/** A stopwatch: milliseconds of the clock on the wall, and of all threads of this process on processors. */
export function stopwatch() {
  const start = performance.now();
  const before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    return { ms: performance.now() - start, cpuMs: (user + system) / 1000 };
  };
}
