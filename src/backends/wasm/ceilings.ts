/** Loops at the machine's limit (wasm/kernels/ceilings.cpp), on all threads of an engine. */
import type { CeilingLoop } from "../backend.ts";
import type { CrewPass } from "./crew.ts";
import type { Kernels } from "./kernels.ts";
import type { Block, WasmMemory } from "./memory.ts";

/** In the order of their numbers in ceilings.cpp. */
export const PEAK_LOOPS = [
  "multiplyAdd",
  "read",
  "q4Product",
  "q8Product",
] as const satisfies readonly CeilingLoop["name"][];

/** Of a phase, so that threads that start late take fewer. */
const PARTS = 64;
const ITERATIONS_A_PART = { multiplyAdd: 100_000, q4Product: 5000, q8Product: 5000 };
const OPERATIONS_AN_ITERATION = { multiplyAdd: 96, q4Product: 2560, q8Product: 2560 };
/** More than caches hold, those too that many cores share; and how much there is at the least. */
const MOST_READ_BYTES = 1 << 30;
const LEAST_READ_BYTES = 256 << 20;

/** @param crewNow the threads that run programs, where there are several. The memory that is read is the engine's from the first `read` on. */
export function wasmCeilingLoops(
  kernels: Kernels,
  memory: WasmMemory,
  crewNow: () => CrewPass | undefined,
): readonly CeilingLoop[] {
  let block: Block | null = null;

  /** Memory that was never written is one page of zeros to the machine. */
  function written(): Block {
    for (let bytes = MOST_READ_BYTES; block === null; bytes /= 2) {
      try {
        block = memory.allocateBlock(bytes, "measuring how fast memory is read");
        memory.bytes(block).fill(1);
      } catch (error) {
        if (bytes === LEAST_READ_BYTES) throw error;
      }
    }
    return block;
  }

  async function run(name: (typeof PEAK_LOOPS)[number], amount: number, place: number): Promise<void> {
    const crew = crewNow();
    const workers = crew ? kernels.threads : 1;
    const args = [PEAK_LOOPS.indexOf(name), workers, PARTS, amount, place, 0.5, 0.25] as const;
    if (crew) await crew.call(kernels, "glimt_peak_together", args, () => true);
    else kernels.glimt_peak_together(...args);
  }

  const withoutMemory = (name: keyof typeof OPERATIONS_AN_ITERATION): CeilingLoop => ({
    name,
    async run() {
      await run(name, ITERATIONS_A_PART[name], 0);
      return PARTS * ITERATIONS_A_PART[name] * OPERATIONS_AN_ITERATION[name];
    },
  });

  return [
    withoutMemory("multiplyAdd"),
    withoutMemory("q4Product"),
    withoutMemory("q8Product"),
    {
      name: "read",
      async run() {
        const { pointer, bytes } = written();
        await run("read", bytes / PARTS, pointer);
        return bytes;
      },
    },
  ];
}
