/**
 * A session file: pages of the KV cache that hold the beginning of a prompt, and what they are found by. Little-endian:
 * 8 bytes of magic, version (u32), bytes of the header (u32), the header (JSON), its digest; then blocks of pages: the
 * numbers of their rows (i32), their bytes in all layers, and the block's digest. A digest is the SHA-256 of the one before
 * and of what lies between, so that nothing can be exchanged or left out.
 */
import { GlimtError } from "../../errors.ts";
import { parseJson } from "../../json/plain.ts";
import type { KvPool } from "../../runtime/kv-pool.ts";
import { bytesOfPage } from "../../runtime/page-bytes.ts";
import { ROW_NUMBERS } from "../page-content.ts";
import { DIGEST_BYTES } from "./digest.ts";

const MAGIC = "GLIMTKV\n";
const VERSION = 1;
/** Magic, version and the header's length. */
export const START_BYTES = MAGIC.length + 8;
/** A salt and some thousand pictures are far less. */
const MOST_HEADER_BYTES = 2 ** 24;
/** Of a block's pages; one page may be more. */
const BLOCK_BYTES = 2 ** 22;

/** What keys and values are a function of beside the rows, and how they are stored. */
export interface SessionModel {
  /** Of the configuration, and of the weights. */
  readonly config: string;
  readonly weights: string;
  readonly dtype: string;
  readonly pageSize: number;
  readonly pageElements: number;
  readonly layers: number;
}

export interface SessionHeader extends SessionModel {
  readonly pages: number;
  readonly salt: string;
  readonly withDrafter: boolean;
  readonly media: readonly string[];
}

/** How a session's pages lie in its file. */
export interface SessionBlocks {
  readonly numbersBytes: number;
  readonly pageBytes: number;
  /** Pages of each block; the last may have fewer. */
  readonly blockPages: number;
}

export function sessionBlocks(pool: Pick<KvPool, "layout">, layers: number): SessionBlocks {
  const numbersBytes = pool.layout.pageSize * ROW_NUMBERS * Int32Array.BYTES_PER_ELEMENT;
  const pageBytes = bytesOfPage(pool, layers);
  return {
    numbersBytes,
    pageBytes,
    blockPages: Math.max(1, Math.floor(BLOCK_BYTES / (numbersBytes + pageBytes))),
  };
}

/** Of the whole file. */
export function sessionBytes(headerBytes: number, pages: number, blocks: SessionBlocks): number {
  const { numbersBytes, pageBytes, blockPages } = blocks;
  const digests = 1 + Math.ceil(pages / blockPages);
  return START_BYTES + headerBytes + digests * DIGEST_BYTES + pages * (numbersBytes + pageBytes);
}

/** The start of a file, and its header. */
export function encodeHeader(header: SessionHeader): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(header));
  if (json.length > MOST_HEADER_BYTES) {
    throw new GlimtError(
      "OPTION_INVALID",
      `cacheSalt is too long to be saved: the header has ${json.length} bytes.`,
    );
  }
  const bytes = new Uint8Array(START_BYTES + json.length);
  bytes.set(new TextEncoder().encode(MAGIC));
  const view = new DataView(bytes.buffer);
  view.setUint32(MAGIC.length, VERSION, true);
  view.setUint32(MAGIC.length + 4, json.length, true);
  bytes.set(json, START_BYTES);
  return bytes;
}

/** @returns the header's bytes. @throws SESSION_INVALID for what is no session, or one of another version */
export function parseStart(start: Uint8Array): number {
  if (start.length < START_BYTES || new TextDecoder().decode(start.subarray(0, MAGIC.length)) !== MAGIC) {
    throw invalid("it is no session");
  }
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const version = view.getUint32(MAGIC.length, true);
  if (version !== VERSION) {
    throw invalid(`it is of version ${version}, and this glimt reads version ${VERSION}`);
  }
  const bytes = view.getUint32(MAGIC.length + 4, true);
  if (bytes > MOST_HEADER_BYTES) throw invalid(`its header claims ${bytes} bytes`);
  return bytes;
}

/** @throws SESSION_INVALID */
export function parseHeader(bytes: Uint8Array): SessionHeader {
  let json: unknown;
  try {
    json = parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid(`its header is no JSON (${(cause as Error).message})`, cause);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw invalid("its header is no object");
  const fields = json as Record<string, unknown>;
  const field = <T>(name: keyof SessionHeader, is: (value: unknown) => boolean): T => {
    if (!Object.hasOwn(fields, name) || !is(fields[name]))
      throw invalid(`its header has no ${name} that can be`);
    return fields[name] as T;
  };
  return {
    config: field("config", isText),
    weights: field("weights", isText),
    dtype: field("dtype", isText),
    pageSize: field("pageSize", isCount),
    pageElements: field("pageElements", isCount),
    layers: field("layers", isCount),
    pages: field("pages", isCount),
    salt: field("salt", isText),
    withDrafter: field("withDrafter", (value) => typeof value === "boolean"),
    media: field("media", (value) => Array.isArray(value) && value.every(isText)),
  };
}

const isText = (value: unknown) => typeof value === "string";
const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;

export function invalid(what: string, cause?: unknown): GlimtError {
  return new GlimtError("SESSION_INVALID", `The session can not be restored: ${what}.`, { cause });
}
