/**
 * Reads of a source far away, fetched before they are asked for: neighbours as one range of some MiB, several ranges at a
 * time. What is read otherwise than was announced is fetched by itself.
 */
import type { FileRange } from "./files.ts";

/** Fills `into`, which is as long as the range. */
export type FetchRange = (range: FileRange, into: Uint8Array, signal: AbortSignal) => Promise<void>;

const RANGE_BYTES = 4 << 20;
/** Nobody's bytes between two reads that are fetched too, in place of a request more. */
const MOST_GAP = 64 << 10;
/** Ranges that are on their way or wait to be read: memory is this times RANGE_BYTES, and a few more where reads jump. */
const AT_ONCE = 8;

interface Range extends FileRange {
  /** Announced bytes that were not read yet; without any, the data is let go. */
  left: number;
  data: Promise<Uint8Array> | null;
}

export class ReadAhead {
  readonly #fetch: FetchRange;
  readonly #control = new AbortController();
  readonly #signal: AbortSignal;
  /** Of each file, by offset. */
  readonly #ranges: ReadonlyMap<string, readonly Range[]>;
  readonly #waiting: Range[];
  #held = 0;

  constructor(reads: readonly FileRange[], fetchRange: FetchRange, signal?: AbortSignal) {
    this.#fetch = fetchRange;
    this.#signal = signal ? AbortSignal.any([signal, this.#control.signal]) : this.#control.signal;
    this.#ranges = planRanges(reads);
    this.#waiting = [...this.#ranges.values()].flat().reverse();
    this.#advance();
  }

  /** Fetches nothing more. */
  end(): void {
    this.#control.abort();
    this.#waiting.length = 0;
  }

  async read(file: string, offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    const ranges = this.#ranges.get(file) ?? [];
    for (let done = 0; done < into.length; ) {
      const at = offset + done;
      const range = ranges.findLast((range) => range.offset <= at);
      const isHere = range !== undefined && range.left > 0 && at < range.offset + range.bytes;
      if (!isHere) {
        const next = ranges.find((range) => range.offset > at)?.offset ?? Number.POSITIVE_INFINITY;
        const rest = into.subarray(done, Math.min(into.length, next - offset));
        await this.#fetch({ file, offset: at, bytes: rest.length }, rest, signal ?? this.#signal);
        done += rest.length;
        continue;
      }
      const data = await (range.data ?? this.#start(range));
      const piece = data.subarray(at - range.offset, at - range.offset + into.length - done);
      into.set(piece, done);
      done += piece.length;
      this.#release(range, piece.length);
    }
  }

  #release(range: Range, bytes: number): void {
    range.left -= bytes;
    if (range.left > 0 || range.data === null) return;
    range.data = null;
    this.#held--;
    this.#advance();
  }

  #advance(): void {
    while (this.#held < AT_ONCE && !this.#signal.aborted) {
      const next = this.#waiting.pop();
      if (!next) return;
      if (next.data === null && next.left > 0) this.#start(next);
    }
  }

  #start(range: Range): Promise<Uint8Array> {
    this.#held++;
    const into = new Uint8Array(range.bytes);
    range.data = this.#fetch(range, into, this.#signal).then(() => into);
    // Thrown to who reads it, if anybody does.
    range.data.catch(() => undefined);
    return range.data;
  }
}

/** The reads of each file, neighbours joined, in ranges of RANGE_BYTES at most. */
function planRanges(reads: readonly FileRange[]): Map<string, Range[]> {
  const files = new Map<string, FileRange[]>();
  for (const read of reads) {
    if (read.bytes > 0) {
      const list = files.get(read.file);
      if (list) list.push(read);
      else files.set(read.file, [read]);
    }
  }
  return new Map([...files].map(([file, list]) => [file, joined(file, list)]));
}

function joined(file: string, reads: readonly FileRange[]): Range[] {
  const ranges: Range[] = [];
  for (const read of reads.toSorted((a, b) => a.offset - b.offset)) {
    const end = read.offset + read.bytes;
    let at = read.offset;
    const last = ranges.at(-1);
    const lastEnd = last ? last.offset + last.bytes : 0;
    if (last && at - lastEnd <= MOST_GAP && last.bytes < RANGE_BYTES) {
      // What was announced twice is kept for the first read alone.
      const from = Math.max(at, lastEnd);
      const to = Math.min(end, last.offset + RANGE_BYTES);
      if (to > from) {
        ranges[ranges.length - 1] = { ...last, bytes: to - last.offset, left: last.left + to - from };
      }
      at = Math.max(from, to);
    }
    at = Math.max(at, lastEnd);
    for (; at < end; at += RANGE_BYTES) {
      const bytes = Math.min(RANGE_BYTES, end - at);
      ranges.push({ file, offset: at, bytes, left: bytes, data: null });
    }
  }
  return ranges;
}
