/** A batch file is read once before anything is asked: what would be found too late otherwise. */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import type { AnsweredLines } from "./answered-lines.ts";
import { KnownTexts } from "./known-texts.ts";
import { lineKey, readLines } from "./lines.node.ts";
import { readLine } from "./request-line.ts";

/**
 * @param asked what is asked beside the lines
 * @returns the number of lines that are not blank
 * @throws INPUT_INVALID for two lines of one custom_id, for lines that are others than those answered, for UTF-16
 */
export async function checkInput(
  path: string,
  file: FileHandle,
  answered: AnsweredLines,
  asked: string,
  signal: AbortSignal | undefined,
): Promise<number> {
  const invalid = (problem: string) => new GlimtError("INPUT_INVALID", `${path} ${problem}.`);
  await checkEncoding(file, invalid);
  const ids = new KnownTexts((text) => createHash("sha256").update(text).digest());
  let lines = 0;
  let known = 0;
  for await (const { number, bytes } of readLines(file, signal)) {
    lines++;
    const key = answered.key(number);
    if (key !== null && key !== lineKey(asked, bytes)) {
      throw invalid(
        `line ${number} is not the one that was answered, or not for this model: write the answers to another file`,
      );
    }
    if (key !== null) known++;
    const { customId } = readLine(bytes);
    const first = customId === null ? null : ids.add(customId, number);
    if (first === null) continue;
    throw invalid(
      `lines ${first} and ${number} have one custom_id, ${shown(customId)}: answers could not be told apart`,
    );
  }
  if (known < answered.count) {
    throw invalid(
      `has fewer lines than were answered (${answered.count}): write the answers to another file`,
    );
  }
  return lines;
}

/** JSON in UTF-16 or UTF-32 has zeros among its first bytes. */
async function checkEncoding(file: FileHandle, invalid: (problem: string) => Error): Promise<void> {
  const { bytesRead, buffer } = await file.read(new Uint8Array(4), 0, 4, 0);
  const [first, second] = buffer;
  const hasMark = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  if (bytesRead > 1 && (hasMark || buffer.subarray(0, bytesRead).includes(0))) {
    throw invalid("can not be read: it is UTF-16 or UTF-32; save it as UTF-8");
  }
}
