/**
 * Restores a session: its pages become pages that were kept, found by requests that begin with the same rows. Nothing of
 * it is found before all of it was read and checked.
 */
import { turnWhenDue } from "../../event-loop.ts";
import { NO_CONTENT } from "../../runtime/page-book.ts";
import { writePages } from "../../runtime/page-bytes.ts";
import { countNotFiniteRows } from "../../tensor/rows.ts";
import type { WeightFormat } from "../../tensor/storage.ts";
import type { ModelCore } from "../model-core.ts";
import { contentText, ROW_NUMBERS } from "../page-content.ts";
import { DIGEST_BYTES, DigestChain } from "./digest.ts";
import {
  invalid,
  parseHeader,
  parseStart,
  type SessionHeader,
  START_BYTES,
  sessionBlocks,
  sessionBytes,
} from "./layout.ts";
import { checkModel } from "./model.ts";
import type { RestoreSessionOptions, SessionFacts } from "./session.ts";
import type { SessionInput } from "./storage.ts";

/** @throws SESSION_INVALID, OUT_OF_MEMORY, ABORTED, DISPOSED; nothing is restored then */
export async function restoreSession(
  core: ModelCore,
  input: SessionInput,
  options: RestoreSessionOptions,
): Promise<SessionFacts> {
  const { signal, leave } = core.enter(options.signal);
  try {
    return await core.runWithMemory(() => readSession(core, input, { ...options, signal }));
  } catch (error) {
    core.throwIfDisposed();
    throw error;
  } finally {
    leave();
  }
}

/** While nothing else uses the engine: nobody lacks the pages that are being filled. */
async function readSession(
  { parts }: ModelCore,
  input: SessionInput,
  { signal, onProgress }: RestoreSessionOptions,
): Promise<SessionFacts> {
  const { engine, pool } = parts;
  const reader = new SessionReader(input);
  const header = await reader.header();
  await checkModel(header, parts);
  const blocks = sessionBlocks(pool, header.layers);
  reader.checkEnd(header.pages, blocks);
  const { numbersBytes, pageBytes, blockPages } = blocks;
  const pages = pool.take(header.pages);
  const texts: string[] = [];
  try {
    for (let first = 0; first < pages.length; first += blockPages) {
      await turnWhenDue(signal);
      const some = pages.slice(first, first + blockPages);
      const block = await reader.next(some.length * (numbersBytes + pageBytes));
      const bytes = block.subarray(some.length * numbersBytes);
      if (countNotFiniteRows(pool.layout.dtype as WeightFormat, bytes) > 0) {
        throw invalid("it holds values that are no numbers");
      }
      for (let page = 0; page < some.length; page++) {
        texts.push(
          textOf(block.subarray(page * numbersBytes, (page + 1) * numbersBytes), header, texts.length),
        );
      }
      writePages(engine, pool, some, header.layers, bytes);
      onProgress?.({ stage: "session", share: (first + some.length) / pages.length });
    }
  } catch (error) {
    // A model that was disposed meanwhile frees all of it.
    pool.giveBack(pages);
    throw error;
  }
  let before = NO_CONTENT;
  const known = pages.map((page, index) => {
    const { page: kept, content } = pool.publish(page, before, texts[index] as string);
    before = content;
    return kept;
  });
  pool.giveBack(known.reverse());
  return { tokens: pages.length * pool.layout.pageSize, bytes: input.bytes };
}

/** What its page is found by. Only requests without adapters are saved. */
function textOf(bytes: Uint8Array, { salt, withDrafter, media }: SessionHeader, page: number): string {
  const numbers = new Int32Array(bytes.slice().buffer);
  for (let at = 0; at < numbers.length; at += ROW_NUMBERS) {
    if (-1 - (numbers[at] as number) >= media.length)
      throw invalid("a row is of a picture that it does not have");
  }
  return contentText(numbers, media, page === 0 ? { adapters: "", salt, withDrafter } : null);
}

/** Reads it from the front; what it hands out is what was written. */
class SessionReader {
  readonly #input: SessionInput;
  readonly #chain = new DigestChain();
  #offset = 0;

  constructor(input: SessionInput) {
    this.#input = input;
  }

  async header(): Promise<SessionHeader> {
    const length = parseStart(await this.#input.read(0, START_BYTES));
    if (START_BYTES + length > this.#input.bytes) throw this.#truncated();
    return parseHeader((await this.next(START_BYTES + length)).subarray(START_BYTES));
  }

  /** Behind the header: whether there is as much as it says, before memory is taken for it. */
  checkEnd(pages: number, blocks: ReturnType<typeof sessionBlocks>): void {
    const headerBytes = this.#offset - START_BYTES - DIGEST_BYTES;
    const expected = sessionBytes(headerBytes, pages, blocks);
    if (this.#input.bytes < expected) throw this.#truncated();
    if (this.#input.bytes > expected)
      throw invalid(`it has ${this.#input.bytes} bytes, expected ${expected}`);
  }

  /** The next bytes, whose digest is behind them. */
  async next(count: number): Promise<Uint8Array> {
    const bytes = await this.#input.read(this.#offset, count + DIGEST_BYTES);
    if (bytes.length < count + DIGEST_BYTES) throw this.#truncated();
    this.#offset += bytes.length;
    const found = bytes.subarray(0, count);
    const digest = await this.#chain.next(found);
    if (digest.some((byte, at) => byte !== bytes[count + at])) {
      throw invalid("it is damaged: its digest is not that of its bytes");
    }
    return found;
  }

  #truncated() {
    return invalid(`it is truncated: it ends at byte ${this.#input.bytes}`);
  }
}
