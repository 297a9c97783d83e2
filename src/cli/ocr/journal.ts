/**
 * What was read of a document so far: a file beside its outputs, a line a page. A command that was stopped goes on behind
 * them; a line that a kill has cut off is not one.
 */
import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { lockFile } from "../../batch/file-lock.node.ts";
import { failing } from "../../checkpoint/write/output-files.node.ts";
import type { DocumentPage } from "../../ocr.ts";

export interface JournalHead {
  /** Of the document. */
  readonly source: string;
  /** Of all that the answers depend on beside it. */
  readonly asked: string;
}

const VERSION = 1;

/** Hexadecimal, of SHA-256. */
export function digest(parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest("hex");
}

export class Journal {
  readonly #path: string;
  readonly #head: string;
  readonly #unlock: () => Promise<void>;
  /** Bytes of it that are gone on behind. */
  readonly #whole: number;
  #file: FileHandle | null = null;
  /** By number; of those that could not be read none. */
  readonly pages: ReadonlyMap<number, DocumentPage>;
  /** Whether there is one of another document, or of other questions, which `begin` drops. */
  readonly isRenewed: boolean;

  private constructor(path: string, head: string, text: string, unlock: () => Promise<void>) {
    // What follows the last line's end was being written.
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    const [first, ...lines] = whole.split("\n").slice(0, -1);
    const isSame = first === head;
    const pages = isSame ? lines.map(parsed).filter((page) => page !== null) : [];
    this.#path = path;
    this.#head = head;
    this.#unlock = unlock;
    this.#whole = isSame ? Buffer.byteLength(whole) : 0;
    this.pages = new Map(pages.map((page) => [page.number, page]));
    this.isRenewed = text !== "" && !isSame;
  }

  /**
   * Nothing of it is changed so far: what reads pages may not be there.
   *
   * @throws OUTPUT_FAILED, also when another process has it
   */
  static async open(path: string, { source, asked }: JournalHead): Promise<Journal> {
    await failing(path, () => mkdir(dirname(path), { recursive: true }));
    const unlock = await lockFile(path);
    const text = await readFile(path, "utf8").catch(() => "");
    return new Journal(path, JSON.stringify({ version: VERSION, source, asked }), text, unlock);
  }

  /** Before pages are added. @throws OUTPUT_FAILED */
  async begin(): Promise<void> {
    await failing(this.#path, async () => {
      const file = await open(this.#path, "a");
      this.#file = file;
      await file.truncate(this.#whole);
      if (this.#whole === 0) await file.appendFile(`${this.#head}\n`);
    });
  }

  /** On the disk when it resolves. A page that could not be read is tried again another time. @throws OUTPUT_FAILED */
  async add(page: DocumentPage): Promise<void> {
    if (page.error) return;
    await failing(this.#path, async () => {
      await this.#file?.appendFile(`${JSON.stringify({ ...page, images: [] })}\n`);
      await this.#file?.datasync();
    });
  }

  async close(): Promise<void> {
    await this.#file?.close();
    await this.#unlock();
  }
}

/** Null for what a broken disk has left of a line. */
function parsed(line: string): DocumentPage | null {
  try {
    const page = JSON.parse(line) as DocumentPage | null;
    return Number.isInteger(page?.number) ? page : null;
  } catch {
    return null;
  }
}
