/** Python's str() and repr(). */
import { isList, PyObject, type Value } from "./py-object.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";

/** Python's str(). */
export function str(value: Value, rt: Runtime): string {
  if (typeof value === "string") return value;
  return value instanceof PyObject ? value.str(rt) : repr(value, rt);
}

/** Python's repr(). */
export function repr(value: Value, rt: Runtime): string {
  switch (typeof value) {
    case "string":
      return rt.text(quoted(rt.characters(value)));
    case "boolean":
      return value ? "True" : "False";
    case "bigint":
      return integerText(value);
    case "number":
      return floatText(value);
  }
  if (value === null) return "None";
  return isList(value) ? rt.text(`[${reprAll(value, rt).join(", ")}]`) : value.repr(rt);
}

export function reprAll(items: readonly Value[], rt: Runtime): string[] {
  return rt.nested(() => {
    rt.charge(items.length);
    return items.map((item) => repr(item, rt));
  });
}

/** A text as Python writes it in code. */
export function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(/[\\'"]|[^\P{C}]|[^\P{Z} ]/gu, (character) => {
    if (character === "'" || character === '"') return character === quote ? `\\${character}` : character;
    return ESCAPES[character] ?? numbered(character.codePointAt(0) as number);
  });
  return quote + escaped + quote;
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function numbered(code: number): string {
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

/** Python refuses to write longer ones too: it takes time that grows with the square. */
const MAX_DIGITS = 4300;

export function integerText(value: bigint): string {
  const isLong = value > 2n ** 53n || value < -(2n ** 53n);
  const text = isLong && value.toString(16).length > MAX_DIGITS ? undefined : value.toString();
  if (text !== undefined && (!isLong || text.replace("-", "").length <= MAX_DIGITS)) return text;
  throw new TemplateFailure(`a whole number has more than ${MAX_DIGITS} digits`);
}

/** The shortest digits that give the number back, as Python lays them out. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const [, sign = "", first = "", rest = "", power = ""] =
    /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(value.toExponential()) ?? [];
  const exponent = Number(power);
  const digits = first + rest;
  if (exponent < -4 || exponent >= 16) {
    const shown = String(Math.abs(exponent)).padStart(2, "0");
    return `${sign}${first}${rest === "" ? "" : `.${rest}`}e${exponent < 0 ? "-" : "+"}${shown}`;
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${sign}${whole}.${digits.slice(exponent + 1) || "0"}`;
}
