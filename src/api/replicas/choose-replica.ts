/** Which replica answers: who has computed the longest beginning of the prompt, unless it is much busier than another. */
import type { PromptKeys } from "./prompt-keys.ts";

/** Keys of prompts that are remembered of a replica: about as many as its caches hold, and a bound. */
const REMEMBERED = 16_384;
/** What an answer under way weighs, in tokens of a prompt that is to be read. */
const ANSWER_WEIGHT = 64;
/** What a replica may have to do more than twice what the least busy one has, and still be asked again: two pictures. */
const SLACK = 2048;

export class ReplicaLoad {
  readonly #prefixes = new RecentKeys();
  readonly #media = new RecentKeys();
  #waiting = 0;
  #answers = 0;

  /** Tokens to be read, and answers under way in the same measure. */
  get weight(): number {
    return this.#waiting + this.#answers * ANSWER_WEIGHT;
  }

  /** How many links of the chain it has computed before. */
  knownPrefixes({ prefixes }: PromptKeys): number {
    for (let count = prefixes.length; count > 0; count--) {
      if (this.#prefixes.has(prefixes[count - 1] as string)) return count;
    }
    return 0;
  }

  knownMedia({ media }: PromptKeys): number {
    return media.filter((key) => this.#media.has(key)).length;
  }

  /** Takes a request. @returns what is to be called when its prompt was read, and when it ended */
  take({ prefixes, media, tokens }: PromptKeys): { readonly read: () => void; readonly end: () => void } {
    for (const key of prefixes) this.#prefixes.add(key);
    for (const key of media) this.#media.add(key);
    let toRead = tokens;
    let answers = 1;
    this.#waiting += toRead;
    this.#answers += answers;
    const read = () => {
      this.#waiting -= toRead;
      toRead = 0;
    };
    const end = () => {
      read();
      this.#answers -= answers;
      answers = 0;
    };
    return { read, end };
  }
}

/** @param loads at least one. @returns its index */
export function chooseReplica(loads: readonly ReplicaLoad[], keys: PromptKeys): number {
  const least = Math.min(...loads.map(({ weight }) => weight));
  const bearable = loads.map(({ weight }) => weight <= 2 * least + SLACK);
  const ranks = loads.map((load, index) => {
    const isAsked = bearable[index];
    return [isAsked ? load.knownPrefixes(keys) : 0, isAsked ? load.knownMedia(keys) : 0, -load.weight];
  });
  return ranks.reduce((best, rank, index) => (isBefore(rank, ranks[best] as number[]) ? index : best), 0);
}

function isBefore(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at >= 0 && (a[at] as number) > (b[at] as number);
}

/** The last of those that were added. */
class RecentKeys {
  readonly #keys = new Set<string>();

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  add(key: string): void {
    this.#keys.delete(key);
    this.#keys.add(key);
    if (this.#keys.size <= REMEMBERED) return;
    const [oldest] = this.#keys;
    this.#keys.delete(oldest as string);
  }
}
