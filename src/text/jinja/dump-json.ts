/** `tojson` as transformers defines it: Python's json.dumps. */

import { Dict } from "./dict.ts";
import { sorted } from "./operators.ts";
import { isList, typeName, type Value } from "./py-object.ts";
import { floatText, integerText } from "./repr.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { Tuple } from "./sequences.ts";
import { textOf } from "./values.ts";

export interface DumpOptions {
  readonly ensureAscii: boolean;
  /** What one level is indented by; null: all on one line. */
  readonly indent: string | null;
  readonly separators: readonly [item: string, key: string];
  readonly sortKeys: boolean;
}

export function dumpJson(value: Value, options: DumpOptions, rt: Runtime): string {
  return rt.text(dumped(value, "\n", options, rt));
}

function dumped(value: Value, newLine: string, options: DumpOptions, rt: Runtime): string {
  rt.charge(1);
  const scalar = scalarJson(value, options, rt);
  if (scalar !== undefined) return scalar;
  const [separator, colon] = options.separators;
  const inner = options.indent === null ? newLine : newLine + options.indent;
  const wrapped = (open: string, parts: readonly string[], close: string): string => {
    if (parts.length === 0) return open + close;
    if (options.indent === null) return open + parts.join(separator) + close;
    return open + inner + parts.join(separator + inner) + newLine + close;
  };
  return rt.nested(() => {
    const items = isList(value) ? value : value instanceof Tuple ? value.items : undefined;
    if (items !== undefined) {
      return rt.text(
        wrapped(
          "[",
          items.map((item) => dumped(item, inner, options, rt)),
          "]",
        ),
      );
    }
    if (!(value instanceof Dict)) {
      throw new TemplateFailure(`Object of type ${typeName(value)} is not JSON serializable`);
    }
    const entries = Array.from(value.entries.values());
    const ordered = options.sortKeys ? sorted(entries, ([key]) => key, false, rt) : entries;
    const parts = ordered.map(
      ([key, item]) => quotedJson(keyText(key), options, rt) + colon + dumped(item, inner, options, rt),
    );
    return rt.text(wrapped("{", parts, "}"));
  });
}

function scalarJson(value: Value, options: DumpOptions, rt: Runtime): string | undefined {
  const text = textOf(value);
  if (text !== undefined) return quotedJson(text, options, rt);
  if (value === null) return "null";
  if (typeof value === "boolean") return value ? "true" : "false";
  if (typeof value === "bigint") return integerText(value);
  return typeof value === "number" ? floatJson(value) : undefined;
}

function floatJson(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "Infinity" : "-Infinity";
  return floatText(value);
}

function keyText(key: Value): string {
  const text = textOf(key);
  if (text !== undefined) return text;
  if (key === null) return "null";
  if (typeof key === "boolean") return key ? "true" : "false";
  if (typeof key === "bigint") return integerText(key);
  if (typeof key === "number") return floatJson(key);
  throw new TemplateFailure(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\f": "\\f",
  "\b": "\\b",
};

function quotedJson(text: string, { ensureAscii }: DumpOptions, rt: Runtime): string {
  const escaped = rt.characters(text).replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is escaped
    ensureAscii ? /["\\]|[^ -~]/g : /["\\\0-\x1f]/g,
    (character) => SHORT[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return rt.text(`"${escaped}"`);
}
