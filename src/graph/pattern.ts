/**
 * The op table's little language. A term is a product or quotient of integers, attribute names and letters, plus an
 * integer or a name ("numHeads*headDim", "m/factor", "s+1"); a pattern is the terms of a shape, separated by spaces.
 */

export interface Term {
  readonly text: string;
  /** Nothing but a letter or an attribute's name, as most are. */
  readonly isName: boolean;
  readonly factors: readonly { readonly word: string | number; readonly divides: boolean }[];
  readonly add: string | number;
}

export function parsePattern(pattern: string): Term[] {
  return pattern.split(" ").map(parseTerm);
}

export function parseTerm(text: string): Term {
  const [product, add = "0"] = text.split("+");
  const factors = ((product as string).match(/[*/]?[^*/]+/g) ?? []).map((factor) => ({
    word: wordOf(factor.replace(/^[*/]/, "")),
    divides: factor.startsWith("/"),
  }));
  return { text, isName: /^[a-z]+$/i.test(text), factors, add: wordOf(add) };
}

function wordOf(text: string): string | number {
  return /^\d+$/.test(text) ? Number(text) : text;
}
