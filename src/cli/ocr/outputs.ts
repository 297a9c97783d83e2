/** The files that reading a document gives. */
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { failing } from "../../checkpoint/write/output-files.node.ts";
import type { DocumentResult, PageImage } from "../../ocr.ts";

export type OutputFormat = "md" | "json" | "both";

/** Beside the document's Markdown. @param base its path without an extension */
export async function writeImages(base: string, images: readonly PageImage[]): Promise<void> {
  for (const { path, png } of images) await write(join(dirname(base), path), png);
}

/** @returns the paths, without those that the format leaves out */
export async function writeDocument(
  base: string,
  { markdown, json }: DocumentResult,
  format: OutputFormat,
): Promise<string[]> {
  const files: [path: string, text: string][] = [];
  if (format !== "json") files.push([`${base}.md`, markdown === "" ? "" : `${markdown}\n`]);
  if (format !== "md") files.push([`${base}.json`, `${JSON.stringify(json, null, 2)}\n`]);
  for (const [path, text] of files) await write(path, text);
  return files.map(([path]) => path);
}

/** Under another name first: no half of one is ever there. It is one command's at a time. @throws OUTPUT_FAILED */
async function write(path: string, content: string | Uint8Array): Promise<void> {
  const partial = `${path}.partial`;
  await failing(path, async () => {
    await mkdir(dirname(path), { recursive: true });
    try {
      await writeFile(partial, content);
      await rename(partial, path);
    } catch (error) {
      await rm(partial, { force: true }).catch(() => undefined);
      throw error;
    }
  });
}
