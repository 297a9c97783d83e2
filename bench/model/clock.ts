/** The clock that whole models are timed with. */
import type { BackendName } from "../../src/backends/backend.ts";
import type { Clock } from "../../src/measure/clock.ts";

/** Milliseconds. WebAssembly runs in this process: its own processor time leaves out what other work took. */
export function clockOf(backend: BackendName): Clock {
  if (backend === "cuda") return () => performance.now();
  return () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
}
