/** What a model read of a region, as Markdown: the rules of the vendor's own formatter. */

import type { RegionLabel } from "../layout/classes.ts";
import { withoutLoops } from "./repetition.ts";

export interface ReadText {
  readonly text: string;
  /** Whether the answer was ended from outside: at its most tokens, or because it went round in a circle. */
  readonly isUnfinished: boolean;
}

export interface FormattedText {
  readonly content: string;
  /** Whether it repeated itself and was cut. */
  readonly isCut: boolean;
}

/** Of a page that was read whole: its text stays as it was read, line by line. */
export function formatPage(read: ReadText, task: Exclude<RegionLabel, "image">): FormattedText {
  if (task !== "text") return formatRegion(read, task, task);
  const { text, isCut } = cleaned(read.text, read.isUnfinished);
  return { content: text, isCut };
}

/** @param native the layout model's class, such as "doc_title" */
export function formatRegion(
  { text, isUnfinished }: ReadText,
  label: RegionLabel,
  native: string,
): FormattedText {
  const isWhole =
    (label === "table" && text.startsWith("<table") && text.endsWith("</table>")) ||
    (label === "formula" && text.startsWith("$$") && text.endsWith("$$"));
  const clean = isWhole ? { text: text.trim(), isCut: false } : cleaned(text, isUnfinished);
  return { content: marked(clean.text, label, native), isCut: clean.isCut };
}

/** Without what models write too much of. */
function cleaned(text: string, isUnfinished: boolean) {
  const { text: once, isCut } = withoutLoops(text, isUnfinished);
  const content = once
    .trim()
    .replace(/^(\\t)+|(\\t)+$/g, "")
    .trim()
    // Leaders of a table of contents, and lines to write on.
    .replace(/\.{4,}/g, "...")
    .replace(/·{4,}/g, "···")
    .replace(/_{4,}/g, "___")
    .replace(/(\\_){4,}/g, "\\_\\_\\_");
  return { text: content, isCut };
}

function marked(content: string, label: RegionLabel, native: string): string {
  if (content === "") return "";
  if (native === "doc_title") return paragraphs(`# ${withoutHeading(content)}`);
  if (native === "paragraph_title") {
    return paragraphs(`## ${withoutHeading(content.replace(/^[-*] +/, ""))}`);
  }
  if (label === "formula") return formula(content);
  return label === "text" ? paragraphs(listItem(withClosedCode(content))) : content;
}

function withoutHeading(content: string): string {
  return content.replace(/^#+\s*/, "").trimStart();
}

function formula(content: string): string {
  const inner = content.replace(/^(\$\$|\\\[|\\\()/, "").replace(/(\$\$|\\\]|\\\))$/, "");
  return `$$\n${inner.trim()}\n$$`;
}

function withClosedCode(content: string): string {
  return content.startsWith("```") && !content.endsWith("```") ? `${content}\n\`\`\`` : content;
}

/** Bullets and numbers as Markdown has them. */
function listItem(content: string): string {
  return content
    .replace(/^(?:[·•]|\* )\s*/, "- ")
    .replace(/^[(（](\d+|[A-Za-z])[)）][^\S\n]*/, "($1) ")
    .replace(
      /^(\d+(?=.(?!\d))|[A-Za-z](?=.(?!\p{Ll}|\p{L}\.)))([.)）])[^\S\n]*/u,
      (_, symbol: string, separator: string) => {
        return `${symbol}${separator === "）" ? ")" : separator} `;
      },
    );
}

/** A line of the page is a paragraph of Markdown, but not in code, nor in HTML and Markdown tables. */
function paragraphs(content: string): string {
  if (content.startsWith("```") || /<table|^\s*\|/m.test(content)) return content;
  return content.replace(/(?<!\n)\n(?!\n)/g, "\n\n");
}
