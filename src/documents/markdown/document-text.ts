/** Pages as one text. */

import type { DocumentPage, DocumentRegion } from "../document-page.ts";

/** What stands for a picture in the text. @param number of its page, from 1 */
export type PictureText = (region: DocumentRegion, number: number) => string;

/** The regions of a page, a blank line between two. */
export function pageMarkdown(
  regions: readonly DocumentRegion[],
  number: number,
  picture: PictureText = linked,
): string {
  return regions
    .map((region) => {
      if (region.label === "error") return `<!-- Page ${number} could not be read. -->`;
      return region.label === "image" ? picture(region, number) : region.content;
    })
    .filter((block) => block !== "")
    .join("\n\n");
}

function linked({ image_path: path, index }: DocumentRegion, number: number): string {
  return path === undefined ? "" : `![Image ${number - 1}-${index}](${asLink(path)})`;
}

/** Spaces and brackets would end it. */
function asLink(path: string): string {
  return encodeURI(path).replace(/[()#?]/g, (letter) => `%${letter.charCodeAt(0).toString(16)}`);
}

/** Whole pages stand between rules; where there are regions, the text goes on from page to page. */
export function documentMarkdown(pages: readonly DocumentPage[]): string {
  const hasRegions = pages.some(({ regions }) => regions.some(({ bbox_2d: box }) => box !== null));
  const texts = pages.map(({ markdown }) => markdown);
  return hasRegions ? texts.filter((text) => text !== "").join("\n\n") : texts.join("\n\n---\n\n");
}

/** A list of regions for each page: GLM-OCR's own JSON. */
export function documentJson(pages: readonly DocumentPage[]): DocumentRegion[][] {
  return pages.map(({ regions }) => [...regions]);
}
