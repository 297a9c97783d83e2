/** The entities of HTML that `striptags` reads: those that escaping makes, the basic ones and numbers. */
import { TemplateFailure } from "./runtime.ts";

const NAMED: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
  ["nbsp", "\u00a0"],
]);

/** @throws for an entity of another name, of which HTML has thousands */
export function unescapeHtml(text: string): string {
  return text.replace(/&(?:#(\d+);?|#[xX]([0-9a-fA-F]+);?|([a-zA-Z]\w*);?)/g, (whole, decimal, hex, name) => {
    if (name === undefined)
      return character(Number.parseInt(decimal ?? hex, decimal === undefined ? 16 : 10));
    const known = whole.endsWith(";") ? NAMED.get(name as string) : undefined;
    if (known !== undefined) return known;
    throw new TemplateFailure(`striptags meets ${whole}, an entity that is not read here`);
  });
}

function character(code: number): string {
  const isCharacter = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  return isCharacter ? String.fromCodePoint(code) : "\ufffd";
}
