/** The classes of PP-DocLayoutV3, and what becomes of a region of each. */

/** What a region is in the JSON. */
export type RegionLabel = "text" | "table" | "formula" | "image";

/** What is done with a region: read by one of the tasks, kept as a picture, or left out. */
export type RegionUse = "text" | "table" | "formula" | "skip" | "abandon";

/** By the model's number of the class. */
const CLASSES: readonly (readonly [name: string, use: RegionUse])[] = [
  ["abstract", "text"],
  ["algorithm", "text"],
  ["aside_text", "abandon"],
  ["chart", "skip"],
  ["content", "text"],
  ["display_formula", "formula"],
  ["doc_title", "text"],
  ["figure_title", "text"],
  ["footer", "abandon"],
  ["footer_image", "abandon"],
  ["footnote", "abandon"],
  ["formula_number", "text"],
  ["header", "abandon"],
  ["header_image", "abandon"],
  ["image", "skip"],
  ["inline_formula", "formula"],
  ["number", "abandon"],
  ["paragraph_title", "text"],
  ["reference", "abandon"],
  ["reference_content", "text"],
  ["seal", "text"],
  ["table", "table"],
  ["text", "text"],
  ["vertical_text", "text"],
  ["vision_footnote", "text"],
];

export const NUM_CLASSES = CLASSES.length;

export function classNumber(name: string): number {
  return CLASSES.findIndex(([known]) => known === name);
}

/** Undefined for a number that is no class's. */
export function classOf(number: number): { readonly name: string; readonly use: RegionUse } | undefined {
  const found = CLASSES[number];
  return found && { name: found[0], use: found[1] };
}
