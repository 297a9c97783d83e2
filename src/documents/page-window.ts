/** Pages that are read side by side, within a window. */

import { GlimtError } from "../errors.ts";
import type { DocumentPage } from "./document-page.ts";
import { failedPage } from "./read-page.ts";

export type ReadNumber = (number: number, signal: AbortSignal) => Promise<DocumentPage>;

export interface WindowOptions {
  /** Pages that are under way, or read and not yet taken. */
  readonly size: number;
  /** Whether a page waits for those before it; else each is given when it is read. */
  readonly inOrder: boolean;
  readonly signal: AbortSignal | undefined;
}

/** The pages of these numbers. Leaving the loop ends those under way. */
export async function* readWindow(
  numbers: readonly number[],
  read: ReadNumber,
  { size, inOrder, signal }: WindowOptions,
): AsyncGenerator<DocumentPage, void, void> {
  const stop = new AbortController();
  const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const window = new Map<number, Promise<DocumentPage>>();
  let begun = 0;
  try {
    while (begun < numbers.length || window.size > 0) {
      while (window.size < size && begun < numbers.length) {
        const number = numbers[begun++] as number;
        const page = readOrFail(number, read, both);
        // It is told of where it is awaited.
        page.catch(() => undefined);
        window.set(number, page);
      }
      const [first] = window.values();
      const page = await (inOrder ? (first as Promise<DocumentPage>) : Promise.race(window.values()));
      window.delete(page.number);
      yield page;
    }
  } finally {
    stop.abort();
    await Promise.allSettled(window.values());
  }
}

/** What ends a run: it is not the page that is at fault. */
const OTHERS_FAULT = [
  "ABORTED",
  "DISPOSED",
  "DEVICE_FAILED",
  "GROUP_FAILED",
  "OPTION_INVALID",
  "MODEL_UNSUPPORTED",
];

async function readOrFail(number: number, read: ReadNumber, signal: AbortSignal): Promise<DocumentPage> {
  try {
    return await read(number, signal);
  } catch (error) {
    if (!(error instanceof GlimtError) || OTHERS_FAULT.includes(error.code)) throw error;
    return failedPage(number, error);
  }
}
