/** Servers of pages answer an absent file with a page of theirs: no file of a checkpoint begins like one. */

/** Enough for what may come before it. */
export const PAGE_START_BYTES = 512;

const PAGE_START = /^\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b/is;

/** Whether the first bytes of a file (PAGE_START_BYTES of them, if it has so many) are those of a web page. */
export function isWebPage(start: Uint8Array): boolean {
  return PAGE_START.test(new TextDecoder().decode(start.subarray(0, PAGE_START_BYTES)));
}
