/** Python's pprint.pformat: what is wider than 80 columns goes over several lines, dicts in the order of their keys. */

import { Dict } from "./dict.ts";
import { sorted } from "./operators.ts";
import { isList, typeName, type Value } from "./py-object.ts";
import { repr } from "./repr.ts";
import type { Runtime } from "./runtime.ts";
import { Tuple } from "./sequences.ts";
import { lengthOf, SPACES, splitLines } from "./strings.ts";

const WIDTH = 80;

export function prettyPrint(value: Value, rt: Runtime): string {
  return rt.text(layOut(sortedDicts(value, rt), 0, 0, 1, rt));
}

/** By type and then by text where keys can not be compared. */
function sortedDicts(value: Value, rt: Runtime): Value {
  return rt.nested(() => {
    rt.charge(8);
    if (isList(value)) return value.map((item) => sortedDicts(item, rt));
    if (value instanceof Tuple) return new Tuple(value.items.map((item) => sortedDicts(item, rt)));
    if (!(value instanceof Dict)) return value;
    const entries = Array.from(value.entries.values());
    const types = new Set(entries.map(([key]) => typeName(key)));
    const key = (entry: readonly [Value, Value]): Value =>
      types.size > 1 ? new Tuple([typeName(entry[0]), repr(entry[0], rt)]) : entry[0];
    const dict = new Dict();
    for (const [name, item] of sorted(entries, key, false, rt)) dict.set(name, sortedDicts(item, rt));
    return dict;
  });
}

/** From column `indent` on, with `allowance` columns kept free behind it. */
function layOut(value: Value, indent: number, allowance: number, level: number, rt: Runtime): string {
  const line = repr(value, rt);
  if (lengthOf(line) <= WIDTH - indent - allowance) return line;
  if (typeof value === "string") return layOutText(value, indent, allowance, level, rt);
  const inner = indent + 1;
  const joint = `,\n${" ".repeat(inner)}`;
  if (value instanceof Dict && value.length > 0) {
    const entries = Array.from(value.entries.values());
    const parts = entries.map(([key, item], index) => {
      const name = `${repr(key, rt)}: `;
      const room = index === entries.length - 1 ? allowance + 1 : 1;
      return name + layOut(item, inner + lengthOf(name), room, level + 1, rt);
    });
    return `{${parts.join(joint)}}`;
  }
  const items = isList(value) ? value : value instanceof Tuple ? value.items : [];
  if (items.length === 0) return line;
  const [open, close] = isList(value) ? ["[", "]"] : ["(", items.length === 1 ? ",)" : ")"];
  const parts = items.map((item, index) => {
    const room = index === items.length - 1 ? allowance + close.length : 1;
    return layOut(item, inner, room, level + 1, rt);
  });
  return open + parts.join(joint) + close;
}

/** A long text as pieces that Python would join, in brackets at the outermost level. */
function layOutText(text: string, indent: number, allowance: number, level: number, rt: Runtime): string {
  const isOuter = level === 1;
  const [column, free] = isOuter ? [indent + 1, allowance + 1] : [indent, allowance];
  const width = WIDTH - column;
  const lines = splitLines(text, true);
  const pieces = lines.flatMap((line, index) => {
    const isLast = index === lines.length - 1;
    const shown = repr(line, rt);
    if (lengthOf(shown) <= width - (isLast ? free : 0)) return [shown];
    return brokenLine(line, width, isLast ? free : 0, rt);
  });
  if (pieces.length === 1) return repr(lines.at(-1) as string, rt);
  const joined = pieces.join(`\n${" ".repeat(column)}`);
  return isOuter ? `(${joined})` : joined;
}

function brokenLine(line: string, width: number, lastAllowance: number, rt: Runtime): string[] {
  const words = line.match(new RegExp(`[^${SPACES}]*[${SPACES}]*`, "g"))?.slice(0, -1) ?? [];
  const pieces: string[] = [];
  let current = "";
  words.forEach((word, index) => {
    const room = width - (index === words.length - 1 ? lastAllowance : 0);
    if (lengthOf(repr(current + word, rt)) <= room) current += word;
    else {
      if (current !== "") pieces.push(repr(current, rt));
      current = word;
    }
  });
  return current === "" ? pieces : [...pieces, repr(current, rt)];
}
