/** str.format and str.format_map, as the sandbox has them: fields go through Jinja's own attributes and items. */
import { formatValue } from "./format-spec.ts";
import { escapeHtml, like } from "./markup.ts";
import { getAttribute, getItem } from "./operators.ts";
import type { Value } from "./py-object.ts";
import { quoted, repr, str } from "./repr.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { Markup } from "./sequences.ts";
import { textOf } from "./values.ts";

/** A field's format may hold fields itself, and so may theirs. */
const MAX_DEPTH = 2;

export function formatText(
  rt: Runtime,
  self: Value,
  args: readonly Value[],
  named: (name: string) => Value | undefined,
): Value {
  const formatter = new Formatter(rt, args, named, self instanceof Markup);
  return like(self, formatter.format(textOf(self) as string, MAX_DEPTH));
}

class Formatter {
  readonly #rt: Runtime;
  readonly #args: readonly Value[];
  readonly #named: (name: string) => Value | undefined;
  readonly #escapes: boolean;
  /** The next field without a number; null once a field had one. */
  #next: number | null | undefined;

  constructor(
    rt: Runtime,
    args: readonly Value[],
    named: (name: string) => Value | undefined,
    escapes: boolean,
  ) {
    this.#rt = rt;
    this.#args = args;
    this.#named = named;
    this.#escapes = escapes;
  }

  format(pattern: string, depth: number): string {
    if (depth < 0) throw new TemplateFailure("Max string recursion exceeded");
    let result = "";
    for (let at = 0; at < pattern.length; ) {
      const character = pattern[at] as string;
      if (character !== "{" && character !== "}") {
        const end = pattern.slice(at).search(/[{}]/);
        const literal = end < 0 ? pattern.slice(at) : pattern.slice(at, at + end);
        result += literal;
        at += literal.length;
      } else if (pattern[at + 1] === character) {
        result += character;
        at += 2;
      } else if (character === "}") {
        throw new TemplateFailure("Single '}' encountered in format string");
      } else {
        const end = fieldEnd(pattern, at + 1);
        result += this.#field(pattern.slice(at + 1, end), depth);
        at = end + 1;
      }
      this.#rt.joined(result.length);
      this.#rt.charge(1);
    }
    return this.#rt.text(result);
  }

  #field(field: string, depth: number): string {
    const [, name = "", conversion, , spec = ""] =
      /^((?:\[[^\]]*\]|[^!:[])*)(?:!([^:]*))?(:(.*))?$/s.exec(field) ?? [];
    const value = this.#converted(this.#valueOf(name), conversion);
    const format = this.format(spec, depth - 1);
    if (!this.#escapes) return formatValue(this.#rt, value, format);
    if (value instanceof Markup && format !== "") {
      throw new TemplateFailure("Unsupported format specification for Markup.");
    }
    return escapeHtml(value instanceof Markup ? value : formatValue(this.#rt, value, format), this.#rt);
  }

  #converted(value: Value, conversion: string | undefined): Value {
    switch (conversion) {
      case undefined:
        return value;
      case "s":
        return str(value, this.#rt);
      case "r":
        return repr(value, this.#rt);
      case "a":
        return ascii(repr(value, this.#rt));
      default:
        throw new TemplateFailure(`Unknown conversion specifier ${quoted(conversion)}`);
    }
  }

  #valueOf(name: string): Value {
    const [first = ""] = /^[^.[]*/.exec(name) ?? [];
    let value = this.#first(first);
    const rest = name.slice(first.length);
    const steps = [...rest.matchAll(/\.([^.[]+)|\[([^\]]+)\]/gy)];
    if (steps.map(([step]) => step).join("") !== rest) {
      throw new TemplateFailure("Empty attribute in format string");
    }
    for (const [, attribute, item = ""] of steps) {
      value =
        attribute === undefined
          ? getItem(value, /^\d+$/.test(item) ? BigInt(item) : item, this.#rt)
          : getAttribute(value, attribute, this.#rt);
    }
    return value;
  }

  #first(name: string): Value {
    if (name !== "" && !/^\d+$/.test(name)) {
      const value = this.#named(name);
      if (value === undefined) throw new TemplateFailure(`no value for the field ${quoted(name)}`);
      return value;
    }
    const index = this.#index(name);
    const value = this.#args[index];
    if (value !== undefined) return value;
    throw new TemplateFailure(`Replacement index ${index} out of range for positional args tuple`);
  }

  #index(name: string): number {
    if (name === "") {
      if (this.#next === null) {
        throw new TemplateFailure(
          "cannot switch from manual field specification to automatic field numbering",
        );
      }
      const index = this.#next ?? 0;
      this.#next = index + 1;
      return index;
    }
    if (typeof this.#next === "number") {
      throw new TemplateFailure("cannot switch from automatic field numbering to manual field specification");
    }
    this.#next = null;
    return Number(name);
  }
}

/** Where the field that begins at `from` ends; fields in its format may nest. */
function fieldEnd(pattern: string, from: number): number {
  let depth = 1;
  for (let at = from; at < pattern.length; at++) {
    if (pattern[at] === "{") depth += 1;
    if (pattern[at] === "}") depth -= 1;
    if (depth === 0) return at;
  }
  throw new TemplateFailure(
    from === pattern.length ? "Single '{' encountered in format string" : "expected '}' before end of string",
  );
}

/** Python's ascii() of a repr. */
export function ascii(shown: string): string {
  return shown.replace(/[^\0-\x7f]/gu, (character) => {
    const hex = (character.codePointAt(0) as number).toString(16);
    if (hex.length <= 2) return `\\x${hex.padStart(2, "0")}`;
    return hex.length <= 4 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
  });
}
