/** Sets of characters, and how they are written in UTF-8. */

/** Ranges of code points, ends included, in order and apart. Surrogates are no characters. */
export type CodePoints = readonly (readonly [first: number, last: number])[];

const LAST = 0x10ffff;
const SURROGATES: CodePoints = [[0xd800, 0xdfff]];

/** Every character. */
export const ANY: CodePoints = [
  [0, 0xd7ff],
  [0xe000, LAST],
];

export function codePoints(...ranges: CodePoints): CodePoints {
  return minus(merged(ranges), SURROGATES);
}

/** The characters of a text. */
export function charactersOf(text: string): CodePoints {
  return codePoints(
    ...[...text].map((c) => [c.codePointAt(0) as number, c.codePointAt(0) as number] as const),
  );
}

export function union(...sets: readonly CodePoints[]): CodePoints {
  return merged(sets.flat());
}

export function complement(set: CodePoints): CodePoints {
  return minus(ANY, set);
}

export function minus(set: CodePoints, taken: CodePoints): CodePoints {
  const left: [number, number][] = [];
  for (const [first, last] of set) {
    let from = first;
    for (const [low, high] of taken) {
      if (high < from || low > last) continue;
      if (low > from) left.push([from, low - 1]);
      from = high + 1;
    }
    if (from <= last) left.push([from, last]);
  }
  return left;
}

export function intersection(a: CodePoints, b: CodePoints): CodePoints {
  return minus(a, complement(b));
}

export function includes(set: CodePoints, codePoint: number): boolean {
  return set.some(([first, last]) => codePoint >= first && codePoint <= last);
}

function merged(ranges: CodePoints): CodePoints {
  const sorted = [...ranges].sort(([a], [b]) => a - b);
  const result: [number, number][] = [];
  for (const [first, last] of sorted) {
    const before = result.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else result.push([first, last]);
  }
  return result;
}

export type ByteRange = readonly [low: number, high: number];

/** Sequences of byte ranges: a character is of the set exactly when its UTF-8 is of one of them. */
export function utf8Sequences(set: CodePoints): ByteRange[][] {
  const bounds = [0x7f, 0x7ff, 0xffff, LAST];
  return set.flatMap(([first, last]) => {
    const sequences: ByteRange[][] = [];
    let from = first;
    for (const bound of bounds) {
      if (from > last) break;
      if (from > bound) continue;
      sequences.push(...sequencesBetween(encoded(from), encoded(Math.min(bound, last))));
      from = bound + 1;
    }
    return sequences;
  });
}

/** Of two encodings of one length, by Unicode's order, which is that of the bytes. */
function sequencesBetween(low: readonly number[], high: readonly number[]): ByteRange[][] {
  const [first, ...lowRest] = low as [number, ...number[]];
  const [last, ...highRest] = high as [number, ...number[]];
  if (lowRest.length === 0) return [[[first, last]]];
  const behind = (byte: ByteRange, rests: ByteRange[][]) => rests.map((rest) => [byte, ...rest]);
  if (first === last) return behind([first, first], sequencesBetween(lowRest, highRest));
  const lowest = lowRest.map(() => 0x80);
  const highest = lowRest.map(() => 0xbf);
  const isWholeFrom = lowRest.every((byte) => byte === 0x80);
  const isWholeTo = highRest.every((byte) => byte === 0xbf);
  const from = isWholeFrom ? first : first + 1;
  const to = isWholeTo ? last : last - 1;
  return [
    ...(isWholeFrom ? [] : behind([first, first], sequencesBetween(lowRest, highest))),
    ...(from <= to ? behind([from, to], [lowest.map((byte) => [byte, 0xbf] as const)]) : []),
    ...(isWholeTo ? [] : behind([last, last], sequencesBetween(lowest, highRest))),
  ];
}

function encoded(codePoint: number): number[] {
  if (codePoint < 0x80) return [codePoint];
  const tail = (shift: number) => 0x80 | ((codePoint >> shift) & 0x3f);
  if (codePoint < 0x800) return [0xc0 | (codePoint >> 6), tail(0)];
  if (codePoint < 0x10000) return [0xe0 | (codePoint >> 12), tail(6), tail(0)];
  return [0xf0 | (codePoint >> 18), tail(12), tail(6), tail(0)];
}
