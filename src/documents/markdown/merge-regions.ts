/** What regions of a page say together: numbers of formulas, words that a line's end divides, bullets that were missed. */

import type { DocumentRegion } from "../document-page.ts";

/** The same page, its regions numbered anew. */
export function mergedRegions(regions: readonly DocumentRegion[]): DocumentRegion[] {
  const merged = withBullets(withJoinedWords(withFormulaNumbers(regions)));
  return merged.map((region, index) => ({ ...region, index }));
}

/** The number beside a formula becomes its tag; a number alone says nothing. */
function withFormulaNumbers(regions: readonly DocumentRegion[]): DocumentRegion[] {
  const taken = new Set<number>();
  return regions.flatMap((region, index) => {
    if (taken.has(index)) return [];
    const [previous, next] = [regions[index - 1], regions[index + 1]];
    if (region.native_label === "formula_number") {
      // It belongs to the formula in front of it, unless that has one.
      if (previous?.label === "formula" && !taken.has(index - 1)) return [];
      if (next?.label !== "formula") return [];
      taken.add(index + 1);
      return [tagged(next, region.content)];
    }
    if (region.label !== "formula" || next?.native_label !== "formula_number") return [region];
    taken.add(index + 1);
    return [tagged(region, next.content)];
  });
}

function tagged(formula: DocumentRegion, number: string): DocumentRegion {
  const plain = number.trim().replace(/^[(（]\s*|\s*[)）]$/g, "");
  const isOpen = formula.content.endsWith("\n$$") && !formula.content.includes("\\tag{");
  if (plain === "" || !isOpen) return formula;
  return { ...formula, content: `${formula.content.slice(0, -"\n$$".length)} \\tag{${plain}}\n$$` };
}

/** A text that ends in a hyphen goes on in the next one, where both parts look like one word. */
function withJoinedWords(regions: readonly DocumentRegion[]): DocumentRegion[] {
  const taken = new Set<number>();
  return regions.flatMap((region, index) => {
    if (taken.has(index)) return [];
    if (region.label !== "text") return [region];
    let joined = region;
    // The next may end in a hyphen too.
    for (let from = index; ; ) {
      const at = regions.findIndex(({ label }, other) => other > from && label === "text");
      const next = at < 0 ? undefined : regions[at];
      const content = next && joinedText(joined.content, next.content);
      if (content === undefined) return [joined];
      joined = { ...joined, content };
      taken.add(at);
      from = at;
    }
  });
}

function joinedText(before: string, after: string): string | undefined {
  const [, start, beginning] = /^(.*?)([\p{L}']+)-$/su.exec(before.trimEnd()) ?? [];
  const rest = after.trimStart();
  const ending = /^\p{Ll}[\p{L}']*/u.exec(rest)?.[0];
  if (start === undefined || beginning === undefined || ending === undefined) return undefined;
  return `${start}${beginning}${rest}`;
}

/** Thousandths of the page's width. */
const ALIGNED = 10;

/** A text between two points of a list, as far to the left as they, is one too. */
function withBullets(regions: readonly DocumentRegion[]): DocumentRegion[] {
  const result = [...regions];
  for (let index = 1; index < result.length - 1; index++) {
    const [previous, region, next] = result.slice(index - 1, index + 2) as [
      DocumentRegion,
      DocumentRegion,
      DocumentRegion,
    ];
    const isText = [previous, region, next].every(({ native_label: native }) => native === "text");
    const isBetween = previous.content.startsWith("- ") && next.content.startsWith("- ");
    const left = region.bbox_2d?.[0];
    const isAligned = [previous, next].every(({ bbox_2d: box }) => {
      return box && left !== undefined && Math.abs(box[0] - left) <= ALIGNED;
    });
    if (isText && isBetween && isAligned && !region.content.startsWith("- ")) {
      result[index] = { ...region, content: `- ${region.content}` };
    }
  }
  return result;
}
