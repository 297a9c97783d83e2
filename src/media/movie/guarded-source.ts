/** A video file's bytes for mediabunny, whose reads are counted and can be ended. */

import { BlobSource, BufferSource, type Source } from "mediabunny";
import { turnWhenDue } from "../../event-loop.ts";

/** Reads that a small file may need, and reads a byte of any: elements and packets have a header of some bytes. */
const FEW_READS = 2000;
const READS_A_BYTE = 1 / 4;
/** The same for bytes: headers are read again, searches look at 64 KB at a time. */
const FEW_BYTES = 2 ** 24;
const READINGS = 8;

/**
 * What may be read for one piece of work, by the size of the file: damaged files make mediabunny search in circles
 * (its `resync` finds the place where it began), and nothing else gets to run.
 */
export class ReadBudget {
  readonly #fileBytes: number;
  #reads = 0;
  #bytes = 0;

  constructor(fileBytes: number) {
    this.#fileBytes = fileBytes;
    this.renew();
  }

  /** Begins another piece of work. */
  renew(): void {
    this.#reads = FEW_READS + this.#fileBytes * READS_A_BYTE;
    this.#bytes = FEW_BYTES + this.#fileBytes * READINGS;
  }

  /** @throws Error when more is read than a file of this size needs. */
  spend(start: number, end: number): void {
    this.#reads -= 1;
    this.#bytes -= end - start;
    if (this.#reads < 0 || this.#bytes < 0) throw new Error(`nothing that makes sense follows byte ${start}`);
  }
}

type Read = (start: number, end: number, ...rest: unknown[]) => unknown;

/** Each read is counted, gives the event loop its turns, and ends all reading with ABORTED when the signal fires. */
export function guardedSource(
  file: Uint8Array | Blob,
  budget: ReadBudget,
  signal: AbortSignal | undefined,
): Source {
  const source = file instanceof Blob ? new BlobSource(file) : new BufferSource(file);
  const reader = source as unknown as { _read: Read };
  const read = reader._read.bind(source);
  reader._read = async (start, end, ...rest) => {
    budget.spend(start, end);
    await turnWhenDue(signal);
    return read(start, end, ...rest);
  };
  return source;
}
