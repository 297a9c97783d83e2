/** Filters that make text. */
import { fixed } from "./decimals.ts";
import { Dict, DictView } from "./dict.ts";
import { type FunctionTable, flag, functions, integer, text, textOrNone } from "./functions.ts";
import { unescapeHtml } from "./html-entities.ts";
import { capitalize } from "./letters.ts";
import { lookUp } from "./lookups.ts";
import { escapeHtml, like } from "./markup.ts";
import { readFloat } from "./number-filters.ts";
import { binary } from "./operators.ts";
import { formatPercent } from "./percent.ts";
import { prettyPrint } from "./pretty-print.ts";
import { typeName, Undefined, type Value } from "./py-object.ts";
import { str } from "./repr.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { Markup, Tuple } from "./sequences.ts";
import { joinedBy, replaced, STR_METHODS } from "./str-methods.ts";
import { between, lengthOf, SPACES, splitLines, splitSpace } from "./strings.ts";
import { each, iteratorOf, lengthOfValue, listOf, textOf } from "./values.ts";
import { wrapLine } from "./word-wrap.ts";

/** What a text may be too long by before `truncate` cuts it. */
const LEEWAY = 5;

/** The value as text that is as safe as it was. */
function soft(value: Value, rt: Runtime): Value {
  return textOf(value) === undefined ? rt.text(str(value, rt)) : value;
}

const softText = (value: Value, rt: Runtime) => rt.text(textOf(soft(value, rt)) as string);

/** A filter that is a method of str. */
const method =
  (name: string) =>
  (rt: Runtime, value: Value, ...args: (Value | undefined)[]): Value => {
    const given = args.filter((arg) => arg !== undefined);
    return STR_METHODS.get(name)?.boundTo(soft(value, rt)).call(rt, given, new Map()) ?? null;
  };

export const TEXT_FILTERS: FunctionTable = functions(
  ["capitalize s", (rt, value: Value) => like(value, rt.text(capitalize(softText(value, rt))))],
  ["center value width?", (rt, value: Value, width: Value = 80n) => method("center")(rt, value, width)],
  ["lower s", method("lower")],
  ["upper s", method("upper")],
  ["trim value chars?", method("strip")],
  ["string value", (rt, value: Value) => soft(value, rt)],
  ["title s", (rt, value: Value) => rt.text(title(rt.characters(softText(value, rt))))],
  [
    "format value *args **kwargs",
    (rt, value: Value, args: Value, keywords: Value) => {
      const named = keywords as Dict;
      const positional = args as readonly Value[];
      if (named.length > 0 && positional.length > 0) {
        throw new TemplateFailure("can't handle positional and keyword arguments at the same time");
      }
      const values = named.length > 0 ? named : new Tuple(positional);
      return formatPercent(soft(value, rt), softText(value, rt), values, rt);
    },
  ],
  [
    "replace s old new count?",
    (rt, value: Value, old: Value, by: Value, count: Value = null) =>
      replaced(rt, rt.text(str(value, rt)), str(old, rt), str(by, rt), count === null ? -1 : integer(count)),
  ],
  [
    "indent s width? first? blank?",
    (rt, value: Value, width: Value = 4n, first?: Value, blank?: Value) => {
      const whole = text(binary("+", value, "\n", rt), "the text to indent");
      return like(value, indent(rt, whole, indention(width), flag(first), flag(blank)));
    },
  ],
  [
    "truncate s length? killwords? end? leeway?",
    (rt, value: Value, length: Value = 255n, kill?: Value, end: Value = "...", leeway: Value = null) => {
      const most = integer(length);
      const mark = text(end, "end");
      const room = leeway === null ? LEEWAY : integer(leeway);
      if (most < lengthOf(mark)) {
        throw new TemplateFailure(`expected length >= ${lengthOf(mark)}, got ${most}`);
      }
      if (room < 0) throw new TemplateFailure(`expected leeway >= 0, got ${room}`);
      if (lengthOfValue(value) <= most + room) return value;
      const whole = rt.text(text(value, "the text to truncate"));
      const kept = between(whole, 0, most - lengthOf(mark));
      if (flag(kill)) return like(value, kept + mark);
      const lastBlank = kept.lastIndexOf(" ");
      return like(value, (lastBlank < 0 ? kept : kept.slice(0, lastBlank)) + mark);
    },
  ],
  [
    "wordwrap s width? break_long_words? wrapstring? break_on_hyphens?",
    (rt, value: Value, width: Value = 79n, long?: Value, wrap: Value = null, hyphens?: Value) => {
      const columns = integer(width);
      if (columns <= 0) throw new TemplateFailure(`invalid width ${columns} (must be > 0)`);
      const whole = text(value, "the text to wrap");
      rt.charge(4 * whole.length);
      const options = {
        width: columns,
        breakLongWords: flag(long, true),
        breakOnHyphens: flag(hyphens, true),
      };
      const joint = textOrNone(wrap, "wrapstring") ?? "\n";
      const lines = splitLines(whole).map((line) => joinedBy(rt, joint, wrapLine(line, options)));
      return joinedBy(rt, joint, lines);
    },
  ],
  [
    "wordcount s",
    (rt, value: Value) => BigInt(rt.characters(softText(value, rt)).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0),
  ],
  [
    "join value d? attribute?",
    (rt, value: Value, separator: Value = "", attribute: Value = null) => {
      const get = attribute === null ? undefined : lookUp({ attribute }, rt);
      const parts: string[] = [];
      for (const item of each(value, rt)) parts.push(str(get === undefined ? item : get(item), rt));
      return joinedBy(rt, str(separator, rt), parts);
    },
  ],
  ["urlencode value", (rt, value: Value) => urlEncode(value, rt)],
  ["escape s", (rt, value: Value) => new Markup(escapeHtml(value, rt))],
  ["e s", (rt, value: Value) => new Markup(escapeHtml(value, rt))],
  ["forceescape value", (rt, value: Value) => new Markup(escapeHtml(str(value, rt), rt))],
  ["safe value", (rt, value: Value) => new Markup(rt.text(str(value, rt)))],
  ["striptags value", (rt, value: Value) => stripTags(str(value, rt), rt)],
  ["xmlattr d autospace?", (rt, value: Value, space?: Value) => attributesOf(value, flag(space, true), rt)],
  ["pprint value", (rt, value: Value) => prettyPrint(value, rt)],
  ["filesizeformat value binary?", (_rt, value: Value, binary?: Value) => fileSize(value, flag(binary))],
);

/** Words begin behind blanks, hyphens and opening brackets. */
function title(whole: string): string {
  return whole
    .split(new RegExp(`([-${SPACES}({\\[<]+)`))
    .map((word) => {
      const [first = ""] = word;
      return first.toUpperCase() + word.slice(first.length).toLowerCase();
    })
    .join("");
}

function indention(width: Value): string {
  return textOf(width) ?? " ".repeat(Math.max(0, integer(width)));
}

function indent(rt: Runtime, whole: string, by: string, first: boolean, blank: boolean): string {
  const lines = splitLines(rt.text(whole));
  rt.charge(lines.length);
  rt.chargeText(whole.length + by.length * lines.length);
  const indented = lines.map((line, index) => (index > 0 && (blank || line !== "") ? by + line : line));
  return (first ? by : "") + indented.join("\n");
}

function urlEncode(value: Value, rt: Runtime): string {
  if (textOf(value) !== undefined || iteratorOf(value, rt) === undefined) {
    return quoteUrl(str(value, rt), "/", rt);
  }
  const pairs = value instanceof Dict ? new DictView(value, "items") : value;
  const quote = (part: Value) => quoteUrl(str(part, rt), "", rt).replaceAll("%20", "+");
  const parts: string[] = [];
  for (const pair of each(pairs, rt)) {
    const items = listOf(pair, rt);
    if (items.length !== 2) throw new TemplateFailure("urlencode takes pairs of key and value");
    parts.push(`${quote(items[0] as Value)}=${quote(items[1] as Value)}`);
  }
  return parts.join("&");
}

function quoteUrl(whole: string, safe: string, rt: Runtime): string {
  if (!isWellFormed(whole)) throw new TemplateFailure("surrogates not allowed");
  const quoted = encodeURIComponent(whole).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return rt.text(safe === "/" ? quoted.replaceAll("%2F", "/") : quoted);
}

function isWellFormed(whole: string): boolean {
  return !/[\ud800-\udfff]/u.test(whole);
}

function stripTags(whole: string, rt: Runtime): string {
  const untagged = without(without(rt.text(whole), "<!--", "-->"), "<", ">");
  return rt.text(unescapeHtml(splitSpace(untagged, -1).join(" ")));
}

/** Drops what stands between the two, and them, from the left. */
function without(whole: string, open: string, close: string): string {
  let [kept, at] = ["", 0];
  for (;;) {
    const start = whole.indexOf(open, at);
    const end = start < 0 ? -1 : whole.indexOf(close, start);
    if (end < 0) return kept + whole.slice(at);
    kept += whole.slice(at, start);
    at = end + close.length;
  }
}

function attributesOf(value: Value, space: boolean, rt: Runtime): string {
  if (value instanceof Undefined) value.fail();
  if (!(value instanceof Dict)) {
    throw new TemplateFailure(`'${typeName(value)}' object has no attribute 'items'`);
  }
  const parts: string[] = [];
  for (const [key, item] of value.entries.values()) {
    if (item === null || item instanceof Undefined) continue;
    const name = text(key, "an attribute's name");
    if (/[ \t\n\r\f\v/>=]/.test(name)) {
      throw new TemplateFailure(`Invalid character in attribute name: '${name}'`);
    }
    parts.push(`${escapeHtml(key, rt)}="${escapeHtml(item, rt)}"`);
  }
  return (space && parts.length > 0 ? " " : "") + parts.join(" ");
}

const SIZES = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];

function fileSize(value: Value, isBinary: boolean): string {
  const bytes = readFloat(value);
  const base = isBinary ? 1024 : 1000;
  if (bytes === 1) return "1 Byte";
  if (bytes < base) return `${Math.trunc(bytes)} Bytes`;
  let step = 1;
  while (step < SIZES.length - 1 && bytes >= base ** (step + 1)) step += 1;
  const name = SIZES[step] as string;
  const unit = base ** (step + 1);
  return `${fixed((base * bytes) / unit, 1)} ${isBinary ? `${name[0]?.toUpperCase()}iB` : name}`;
}
