/** Tasks as bad as a file can make a parser. */
import { GlimtError } from "../../src/errors.ts";
import { askedFile } from "../../src/workers/asked-files.ts";
import { handOver } from "../../src/workers/task.ts";

export type BadTasks = typeof badTasks;

export const badTasks = {
  /** Doubles every byte, and hands its memory over. */
  async double(bytes: Uint8Array): Promise<Uint8Array> {
    const result = bytes.map((byte) => byte * 2);
    return handOver(result, [result.buffer as ArrayBuffer]);
  },

  async askFile(name: string): Promise<unknown> {
    return askedFile(name);
  },

  async wait(milliseconds: number): Promise<string> {
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    return "waited";
  },

  /** Counts itself in shared memory as it answers. */
  async count(answers: Int32Array): Promise<string> {
    Atomics.add(answers, 0, 1);
    return "counted";
  },

  /** Never gives the thread back. */
  async spin(): Promise<void> {
    for (;;);
  },

  /** Waits for ever, until it is told that nobody waits for it. */
  async untilGivenUp(told: { isTold: boolean; isWaiting: boolean }, signal: AbortSignal): Promise<void> {
    told.isWaiting = true;
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    told.isTold = true;
  },

  async refuse(): Promise<void> {
    throw new GlimtError("IMAGE_INVALID", "It is no picture.", { cause: new RangeError("past the end") });
  },

  async stumble(): Promise<void> {
    (undefined as unknown as { field: { part: number } }).field.part = 1;
  },

  async fill(kind: "objects" | "push" | "map"): Promise<void> {
    const objects: unknown[] = [];
    const map = new Map<number, unknown>();
    for (let i = 0; ; i++) {
      if (kind === "map") map.set(i, i);
      else objects.push(kind === "push" ? i : new Array(1000).fill(i));
    }
  },

  async crash(how: "exit" | "throw later"): Promise<void> {
    if (how === "exit") process.exit(3);
    setTimeout(() => {
      throw new Error("out of nowhere");
    });
    await new Promise(() => {});
  },
};
