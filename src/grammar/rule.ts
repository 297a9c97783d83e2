/** What a text may look like, as a tree: what schemas, regular expressions and grammars are read to. */
import { ANY, type CodePoints } from "./code-points.ts";

export type Rule =
  | { readonly kind: "text"; readonly text: string }
  /** One character of a set. */
  | { readonly kind: "chars"; readonly chars: CodePoints }
  | { readonly kind: "sequence"; readonly items: readonly Rule[] }
  | { readonly kind: "choice"; readonly items: readonly Rule[] }
  /** `most` may be infinite. */
  | { readonly kind: "repeat"; readonly item: Rule; readonly least: number; readonly most: number }
  /** A rule by name: the way to recursion. */
  | { readonly kind: "named"; readonly name: string }
  /** A token that stands for itself, whatever it spells: the number of it that `Grammar.marks` has. */
  | { readonly kind: "mark"; readonly index: number };

/** Rules by name; a text is of the grammar when all of it is of the rule `root`. */
export interface Grammar {
  readonly root: string;
  readonly rules: ReadonlyMap<string, Rule>;
}

export const text = (value: string): Rule => ({ kind: "text", text: value });
export const chars = (set: CodePoints): Rule => ({ kind: "chars", chars: set });
export const sequence = (...items: readonly Rule[]): Rule => ({ kind: "sequence", items });
export const choice = (...items: readonly Rule[]): Rule => ({ kind: "choice", items });
export const repeat = (item: Rule, least: number, most: number): Rule => ({
  kind: "repeat",
  item,
  least,
  most,
});
export const optional = (item: Rule): Rule => repeat(item, 0, 1);
export const named = (name: string): Rule => ({ kind: "named", name });
export const mark = (index: number): Rule => ({ kind: "mark", index });

export const EMPTY: Rule = text("");
/** No text at all is of it. */
export const NEVER: Rule = choice();
export const ANY_CHARACTER: Rule = chars(ANY);

/** The same grammar with rules of other names, beside which those of another may stand. */
export function renamedRules({ root, rules }: Grammar, prefix: string): Grammar {
  const entries = Array.from(rules, ([name, rule]) => [`${prefix} ${name}`, renamed(rule, prefix)] as const);
  return { root: `${prefix} ${root}`, rules: new Map(entries) };
}

/** A rule that names those of `renamedRules`. */
export function renamed(rule: Rule, prefix: string): Rule {
  if (rule.kind === "named") return { kind: "named", name: `${prefix} ${rule.name}` };
  if (rule.kind === "repeat") return { ...rule, item: renamed(rule.item, prefix) };
  if (rule.kind === "sequence" || rule.kind === "choice") {
    return { ...rule, items: rule.items.map((item) => renamed(item, prefix)) };
  }
  return rule;
}
