/**
 * Loops in what a model read: the same words or lines again and again, as no page has them. Tables, rows of dots and columns
 * of zeros repeat themselves too, so that a unit counts only if it says something in words.
 */

/** Letters from which on a text may hold a loop though its answer ended by itself. */
const LONG_TEXT = 2048;
const SHORTEST_UNIT = 10;
const FEWEST_TIMES = 10;
/** Of all lines, that one line has to be. */
const SHARE_OF_LINES = 0.8;
/** Longer units are pages, not loops. */
const LONGEST_UNIT = 2000;

export interface CutText {
  readonly text: string;
  readonly isCut: boolean;
}

/**
 * @param isUnfinished whether the answer was ended from outside, so that a loop at its end is one however short the text is
 */
export function withoutLoops(text: string, isUnfinished: boolean): CutText {
  const first = isUnfinished ? withoutLastLoop(text) : text;
  const cut = first.length >= LONG_TEXT ? withoutRepeatedLine(withoutRepeatedUnits(first)) : first;
  return { text: cut, isCut: cut !== text };
}

/** Of a unit that the text ends with again and again, perhaps cut off in its middle, the first stays. */
function withoutLastLoop(text: string): string {
  // Where the text, read backwards, goes on being what it was one period before.
  const longest = Math.min(LONGEST_UNIT, Math.floor(text.length / FEWEST_TIMES));
  for (let period = 1; period <= longest; period++) {
    let from = text.length - 1;
    while (from >= period && text[from] === text[from - period]) from -= 1;
    const repeated = text.length - 1 - from;
    if (repeated >= period * (FEWEST_TIMES - 1) && repeated >= LONG_LOOP) {
      // All that was read before the second time.
      return text.slice(0, from + 1).trimEnd();
    }
  }
  return text;
}

/** Letters of a loop at the end: a row of dots, or of empty cells, is shorter. */
const LONG_LOOP = 200;

/** Of a unit that comes so often one stays; the shortest units first. One pass over the text for each likely length. */
function withoutRepeatedUnits(text: string): string {
  let result = text;
  for (const unit of likelyUnits(text)) {
    // Letters up to here that are what stood a unit before.
    let equal = 0;
    for (let at = unit; at <= result.length; at++) {
      if (at < result.length && result.charCodeAt(at) === result.charCodeAt(at - unit)) {
        equal += 1;
        continue;
      }
      const start = at - equal - unit;
      const words = equal >= unit * (FEWEST_TIMES - 1) ? result.slice(start, start + unit) : "";
      const times = Math.floor(equal / unit) + 1;
      equal = 0;
      if (words === "" || !isPrimitive(words) || !saysSomething(words)) continue;
      result = result.slice(0, start + unit) + result.slice(start + times * unit);
      at = start + unit - 1;
    }
  }
  return result;
}

/** Lengths that as many letters stand apart from their last like, as a loop of that length has repetitions. */
function likelyUnits(text: string): number[] {
  const last = new Map<string, number>();
  const counts = new Map<number, number>();
  for (let at = 0; at + SHORTEST_UNIT <= text.length; at++) {
    const letters = text.slice(at, at + SHORTEST_UNIT);
    const distance = at - (last.get(letters) ?? Number.NEGATIVE_INFINITY);
    if (distance <= LONGEST_UNIT) counts.set(distance, (counts.get(distance) ?? 0) + 1);
    last.set(letters, at);
  }
  return [...counts]
    .filter(([distance, count]) => distance >= SHORTEST_UNIT && count >= FEWEST_TIMES - 1)
    .map(([distance]) => distance)
    .sort((a, b) => a - b);
}

/** Not itself a shorter unit again and again: that of dots and zeros is shorter than what counts. */
function isPrimitive(unit: string): boolean {
  return (unit + unit).indexOf(unit, 1) === unit.length;
}

/** A word that is no tag of a table. */
function saysSomething(unit: string): boolean {
  return /\p{L}{2}/u.test(unit.replace(/<[^<>]*>|<[^<>]*$|^[^<>]*>/g, " "));
}

/** Of a line that most of the text is, one stays, at its first place. */
function withoutRepeatedLine(text: string): string {
  const lines = text.split("\n");
  const counts = new Map<string, number>();
  for (const line of lines) {
    const key = line.trim();
    if (key !== "") counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const filled = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const [line, count] = [...counts].reduce((most, entry) => (entry[1] > most[1] ? entry : most), ["", 0]);
  if (count < FEWEST_TIMES || count < SHARE_OF_LINES * filled || !saysSomething(line)) return text;
  const first = lines.findIndex((other) => other.trim() === line);
  return lines.filter((other, index) => index <= first || other.trim() !== line).join("\n");
}
