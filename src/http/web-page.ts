/** Servers of pages answer an absent file with a page of theirs, and the address of a page is easily taken for a file's. */

/** Enough for what may come before it. */
export const PAGE_START_BYTES = 512;

/** Whether the first bytes of a file (PAGE_START_BYTES of them, if it has so many) are those of a web page. */
export function isWebPage(start: Uint8Array): boolean {
  let text = new TextDecoder().decode(start.subarray(0, PAGE_START_BYTES)).trimStart();
  // By hand: a regular expression that looks for comments can be kept busy for ever by a server.
  while (text.startsWith("<!--") && text.includes("-->")) {
    text = text.slice(text.indexOf("-->") + "-->".length).trimStart();
  }
  return /^<(!doctype\s+html|html|head|body)\b/i.test(text);
}
