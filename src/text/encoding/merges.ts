/**
 * Byte-pair merging as Hugging Face's tokenizers do it: of all pairs of neighbours the one learnt first is joined, the
 * leftmost of equals, until none is left. A heap of candidates makes it n log n in the length of a word.
 */
import { GlimtError } from "../../errors.ts";

/** What two neighbours become, and how early the merge was learnt. */
export class MergeTable {
  /** Open addressing: left id, right id and rank of each entry; a rank of -1 is free. */
  readonly #slots: Int32Array;
  readonly #mask: number;
  /** By rank. */
  readonly #merged: Int32Array;

  /** @param merges "left right" or [left, right], in the order learnt. @throws TOKENIZER_INVALID */
  constructor(merges: readonly unknown[], vocabulary: ReadonlyMap<string, number>) {
    const size = 2 ** Math.ceil(Math.log2(2 * merges.length + 2));
    this.#mask = size - 1;
    this.#slots = new Int32Array(3 * size).fill(-1);
    this.#merged = new Int32Array(merges.length);
    for (const [rank, merge] of merges.entries()) {
      const parts: unknown = typeof merge === "string" ? merge.split(" ") : merge;
      const [left, right] = (Array.isArray(parts) && parts.length === 2 ? parts : []) as [string, string];
      const [leftId, rightId] = [vocabulary.get(left), vocabulary.get(right)];
      const mergedId = vocabulary.get(`${left}${right}`);
      if (leftId === undefined || rightId === undefined || mergedId === undefined) {
        throw new GlimtError(
          "TOKENIZER_INVALID",
          `tokenizer.json: model.merges[${rank}] is ${JSON.stringify(merge)}, expected two tokens of the vocabulary that join to a third.`,
        );
      }
      const slot = 3 * this.#slot(leftId, rightId);
      this.#slots[slot] = leftId;
      this.#slots[slot + 1] = rightId;
      this.#slots[slot + 2] = rank;
      this.#merged[rank] = mergedId;
    }
  }

  /** -1 when the two do not join. */
  rank(left: number, right: number): number {
    return this.#slots[3 * this.#slot(left, right) + 2] as number;
  }

  mergedId(rank: number): number {
    return this.#merged[rank] as number;
  }

  /** Where a pair is, or would be. */
  #slot(left: number, right: number): number {
    const slots = this.#slots;
    let slot = (Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)) >>> 0;
    slot = (slot ^ (slot >>> 15)) & this.#mask;
    while (slots[3 * slot + 2] !== -1 && (slots[3 * slot] !== left || slots[3 * slot + 1] !== right)) {
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }
}

/** Room for a position behind a rank in one number. */
const POSITIONS = 2 ** 32;

/** One word while it is merged, so that a long one can be put down and taken up again. */
export class MergingWord {
  readonly #table: MergeTable;
  readonly #ids: Int32Array;
  /** The symbols' neighbours, by position; -1 at the ends. A symbol that went into the one before it has id -1. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #candidates = new NumberHeap();

  constructor(table: MergeTable, ids: Int32Array) {
    this.#table = table;
    this.#ids = ids;
    const { length } = ids;
    this.#next = Int32Array.from({ length }, (_, at) => (at + 1 < length ? at + 1 : -1));
    this.#previous = Int32Array.from({ length }, (_, at) => at - 1);
    for (let at = 0; at + 1 < length; at++) this.#propose(at);
  }

  /** Looks at up to `count` candidates. @returns whether nothing is left to do */
  advance(count: number): boolean {
    const [ids, next, previous] = [this.#ids, this.#next, this.#previous];
    for (let step = 0; step < count; step++) {
      const candidate = this.#candidates.pop();
      if (candidate === undefined) return true;
      const at = candidate % POSITIONS;
      const mergedId = this.#table.mergedId(Math.floor(candidate / POSITIONS));
      const right = next[at] as number;
      if (ids[at] === -1 || right === -1) continue;
      // An older candidate, whose symbols have changed since, counts when those of now give the same token.
      const rank = this.#table.rank(ids[at] as number, ids[right] as number);
      if (rank === -1 || this.#table.mergedId(rank) !== mergedId) continue;
      ids[at] = mergedId;
      ids[right] = -1;
      const after = next[right] as number;
      next[at] = after;
      if (after !== -1) previous[after] = at;
      if (previous[at] !== -1) this.#propose(previous[at] as number);
      if (after !== -1) this.#propose(at);
    }
    return false;
  }

  appendTo(ids: number[]): void {
    for (let at = this.#ids.length === 0 ? -1 : 0; at !== -1; at = this.#next[at] as number) {
      ids.push(this.#ids[at] as number);
    }
  }

  #propose(at: number): void {
    const rank = this.#table.rank(this.#ids[at] as number, this.#ids[this.#next[at] as number] as number);
    if (rank !== -1) this.#candidates.push(rank * POSITIONS + at);
  }
}

/** Smallest first. */
class NumberHeap {
  readonly #items: number[] = [];

  push(item: number): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((items[parent] as number) <= item) break;
      items[at] = items[parent] as number;
      at = parent;
    }
    items[at] = item;
  }

  pop(): number | undefined {
    const items = this.#items;
    const top = items[0];
    const item = items.pop();
    if (item === undefined || items.length === 0) return top;
    const { length } = items;
    let at = 0;
    for (let child = 1; child < length; child = 2 * at + 1) {
      if (child + 1 < length && (items[child + 1] as number) < (items[child] as number)) child++;
      if ((items[child] as number) >= item) break;
      items[at] = items[child] as number;
      at = child;
    }
    items[at] = item;
    return top;
  }
}
