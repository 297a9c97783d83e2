/** Python's textwrap.wrap of one line, with the settings of Jinja's wordwrap. */
import { isSpace, strip } from "./strings.ts";

export interface WrapOptions {
  readonly width: number;
  readonly breakLongWords: boolean;
  readonly breakOnHyphens: boolean;
}

const WHITE = "[\\t\\n\\x0b\\x0c\\r ]";
const NOT_WHITE = "[^\\t\\n\\x0b\\x0c\\r ]";
const PUNCTUATION = "[\\p{L}\\p{N}_!\"'&.,?]";
const LETTER = "[\\p{L}_]";
/** Words, hyphenated ones after each hyphen, dashes, and the white space between. */
const CHUNK = new RegExp(
  `(${WHITE}+|(?<=${PUNCTUATION})-{2,}(?=[\\p{L}\\p{N}_])|${NOT_WHITE}+?(?:` +
    `-(?:(?<=${LETTER}{2}-)|(?<=${LETTER}-${LETTER}-))(?=${LETTER}-?${LETTER})|(?=${WHITE}|$)|` +
    `(?<=${PUNCTUATION})(?=-{2,}[\\p{L}\\p{N}_])))`,
  "u",
);
const SPACE_CHUNK = new RegExp(`(${WHITE}+)`);

export function wrapLine(line: string, { width, breakLongWords, breakOnHyphens }: WrapOptions): string[] {
  const chunks = line
    .split(breakOnHyphens ? CHUNK : SPACE_CHUNK)
    .filter((chunk) => chunk !== "")
    .map((chunk) => Array.from(chunk))
    .reverse();
  const lines: string[] = [];
  while (chunks.length > 0) {
    const current: string[][] = [];
    let length = 0;
    if (lines.length > 0 && isBlank(chunks.at(-1))) chunks.pop();
    while (chunks.length > 0 && length + (chunks.at(-1) as string[]).length <= width) {
      const chunk = chunks.pop() as string[];
      current.push(chunk);
      length += chunk.length;
    }
    const next = chunks.at(-1);
    if (next !== undefined && next.length > width) {
      if (breakLongWords) {
        const end = breakAt(next, width - length, breakOnHyphens);
        current.push(next.slice(0, end));
        chunks[chunks.length - 1] = next.slice(end);
      } else if (current.length === 0) current.push(chunks.pop() as string[]);
    }
    if (isBlank(current.at(-1))) current.pop();
    if (current.length > 0) lines.push(current.map((chunk) => chunk.join("")).join(""));
  }
  return lines;
}

function isBlank(chunk: readonly string[] | undefined): boolean {
  return chunk?.every(isSpace) ?? false;
}

/** After the last hyphen that fits, where there is one behind something else. */
function breakAt(word: readonly string[], room: number, onHyphens: boolean): number {
  if (!onHyphens) return room;
  const hyphen = word.slice(0, room).lastIndexOf("-");
  return hyphen > 0 && strip(word.slice(0, hyphen).join(""), "-") !== "" ? hyphen + 1 : room;
}
