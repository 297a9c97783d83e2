/** Where a checkpoint's bytes come from: a directory, a web address, or a set of blobs. */
import { GlimtError } from "../errors.ts";
import { parseJson } from "../json/plain.ts";

/** The files of a checkpoint, wherever they lie: what `openFiles` gives. */
export interface CheckpointFiles {
  /** Shown in messages: a path or an address, without passwords. */
  readonly location: string;
  /** Bytes of a file, or null when there is no such file. */
  size(name: string, signal?: AbortSignal): Promise<number | null>;
  /** A whole (small) file, or null when there is no such file. */
  readAll(name: string, signal?: AbortSignal): Promise<Uint8Array | null>;
  /** Fills `into` with the bytes from `offset` on, without a copy of them elsewhere where the source allows it. */
  readInto(name: string, offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void>;
  /** The one of its files that was given as the location, where that was a file. */
  readonly named?: string | undefined;
  /** Of a GGUF model: the file of its vision tower, where it was given. */
  readonly mmproj?: CheckpointFiles | undefined;
  /** Names of its files, where they can be listed. */
  list?(): Promise<readonly string[]>;
  /** Where small files are no bytes: the value that one has (of text a string, of JSON what it parses to), or null. */
  document?(name: string): unknown;
  /**
   * What `readInto` will be asked for, all of it and about in this order: a source far away fetches it ahead. An empty list
   * ends that.
   */
  expectReads?(reads: readonly FileRange[], signal?: AbortSignal): void;
  /** Brings whole files near before they are read, where there is a place to keep them. */
  bring?(names: readonly string[], signal?: AbortSignal): Promise<void>;
  /** Of a file that was said not to be there: a sentence on what is there in its place, if anything is. */
  absence?(name: string): string | null;
}

/** Bytes of a file. */
export interface FileRange {
  /** Its name. */
  readonly file: string;
  /** Where they begin. */
  readonly offset: number;
  /** How many. */
  readonly bytes: number;
}

/** The end of a message about a file that is not there. */
export function absenceOf(files: CheckpointFiles, name: string): string {
  const found = files.absence?.(name) ?? null;
  return found === null ? "" : ` ${found}`;
}

/** The file as UTF-8 text, or null when it is absent. @throws CHECKPOINT_INVALID when it is none */
export async function readText(
  files: CheckpointFiles,
  name: string,
  signal?: AbortSignal,
): Promise<string | null> {
  if (files.document) return files.document(name) as string | null;
  const bytes = await files.readAll(name, signal);
  if (bytes === null) return null;
  const invalid = (what: string) =>
    new GlimtError("CHECKPOINT_INVALID", `${name} in ${files.location} ${what}.`);
  if (isLfsPointer(bytes)) throw invalid("is a Git LFS pointer, not the file; fetch it with `git lfs pull`");
  const utf16 = utf16Encoding(bytes);
  if (utf16) throw invalid(`is ${utf16}; save it as UTF-8`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw invalid("is not valid UTF-8");
  }
}

/** The file parsed, or undefined when it is absent. @throws CHECKPOINT_INVALID when it is no JSON. */
export async function readJson(files: CheckpointFiles, name: string, signal?: AbortSignal): Promise<unknown> {
  if (files.document) return files.document(name) ?? undefined;
  const text = await readText(files, name, signal);
  if (text === null) return undefined;
  try {
    return parseJson(text);
  } catch (cause) {
    throw new GlimtError(
      "CHECKPOINT_INVALID",
      `${name} in ${files.location} is not valid JSON: ${(cause as Error).message}.`,
      { cause },
    );
  }
}

/** A read that met the end of a file: it is shorter than its own header or size said. */
export function truncated(location: string, name: string, offset: number, wanted: number): GlimtError {
  return new GlimtError(
    "CHECKPOINT_INVALID",
    `${name} in ${location} ends before byte ${offset + wanted}: the file is truncated or still being written.`,
  );
}

const LFS_POINTER = "version https://git-lfs.github.com/spec/";

/** Whether a file begins as what Git leaves in place of a large one until `git lfs pull`. */
export function isLfsPointer(start: Uint8Array): boolean {
  return startsWith(start, LFS_POINTER);
}

/** Its name, by the mark at the start, or by the zero byte that every ASCII character has there. */
function utf16Encoding([a, b]: Uint8Array): string | null {
  if ((a === 0xff && b === 0xfe) || (a !== 0 && b === 0)) return "UTF-16 (little-endian)";
  if ((a === 0xfe && b === 0xff) || (a === 0 && b !== 0 && b !== undefined)) return "UTF-16 (big-endian)";
  return null;
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return [...text].every((character, index) => bytes[index] === character.charCodeAt(0));
}
