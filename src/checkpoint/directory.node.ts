/** A checkpoint in a directory, read at given positions. A file is open only while it is read, or reads of it are expected. */
import { constants, type Stats } from "node:fs";
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type ErrorCode, GlimtError, throwIfAborted } from "../errors.ts";
import { fileError } from "./file-errors.ts";
import { type CheckpointFiles, type FileRange, truncated } from "./files.ts";
import { checkSmall } from "./small-files.ts";

/** @throws CHECKPOINT_NOT_FOUND when `directory` is none, or can not be looked at. */
export async function openDirectory(directory: string): Promise<CheckpointFiles> {
  const found = await absentAsNull(directory, () => stat(directory), "CHECKPOINT_NOT_FOUND");
  if (!found?.isDirectory()) throw noDirectory(directory, found);
  return new DirectoryFiles(directory);
}

/** A read is no larger than this, so that an abort is seen. */
const PIECE = 8 << 20;
const LOOK_AGAIN_MS = 20;

interface HeldFile {
  readonly file: FileHandle;
  /** By `performance.now()`. */
  lookedAt: number;
}

export class DirectoryFiles implements CheckpointFiles {
  readonly location: string;
  readonly #absences = new Map<string, string>();
  /** How each weight file was when it was first seen: all its parts must be of one. */
  readonly #seen = new Map<string, Stats>();

  /** Files that stay open, once they are. */
  #expected: ReadonlySet<string> = new Set();
  readonly #held = new Map<string, HeldFile>();

  constructor(directory: string) {
    this.location = directory;
  }

  absence(name: string): string | null {
    return this.#absences.get(name) ?? null;
  }

  async list(): Promise<readonly string[]> {
    return (await absentAsNull(this.location, () => readdir(this.location))) ?? [];
  }

  async size(name: string, signal?: AbortSignal): Promise<number | null> {
    throwIfAborted(signal);
    const path = join(this.location, name);
    const found = await absentAsNull(path, () => stat(path));
    if (!found || this.#isDirectory(name, found)) return null;
    requireRegular(path, found);
    this.#requireSame(name, found);
    return found.size;
  }

  async readAll(name: string, signal?: AbortSignal): Promise<Uint8Array | null> {
    throwIfAborted(signal);
    return this.#open(name, async (file, found) => {
      if (this.#isDirectory(name, found)) return null;
      requireRegular(join(this.location, name), found);
      checkSmall(this.location, name, found.size);
      // It may be longer by now, or tell no size (as files of /proc): read until it ends.
      const pieces: Uint8Array[] = [];
      for (let bytes = 0, length = found.size + 1; ; length = PIECE) {
        throwIfAborted(signal);
        const piece = new Uint8Array(Math.min(length, PIECE));
        const { bytesRead } = await file.read(piece, 0, piece.length, bytes);
        if (bytesRead === 0) break;
        bytes += bytesRead;
        checkSmall(this.location, name, bytes);
        pieces.push(piece.subarray(0, bytesRead));
      }
      return new Uint8Array(Buffer.concat(pieces));
    });
  }

  expectReads(reads: readonly FileRange[]): void {
    this.#expected = new Set(reads.map(({ file }) => file));
    for (const [name, { file }] of this.#held) {
      if (this.#expected.has(name)) continue;
      this.#held.delete(name);
      // Only read from: nothing can be lost.
      file.close().catch(() => undefined);
    }
  }

  async readInto(name: string, offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    const held = this.#held.get(name);
    if (held) return this.#readHeld(held, name, offset, into, signal);
    const read = await this.#open(name, async (file, found) => {
      requireRegular(join(this.location, name), found);
      this.#requireSame(name, found);
      await this.#fill(file, name, offset, into, signal);
      if (this.#expected.has(name) && !this.#held.has(name)) {
        this.#held.set(name, { file, lookedAt: performance.now() });
      }
      return true;
    });
    if (!read) throw new GlimtError("CHECKPOINT_NOT_FOUND", `${this.location} has no ${name}.`);
  }

  /** Whether the file is still the same is looked at now and then: that costs as much as a small read. */
  async #readHeld(
    held: HeldFile,
    name: string,
    offset: number,
    into: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { file, lookedAt } = held;
    const isDue = performance.now() - lookedAt >= LOOK_AGAIN_MS;
    if (isDue) held.lookedAt = performance.now();
    try {
      const read = this.#fill(file, name, offset, into, signal);
      const [found] = await Promise.all([isDue ? file.stat() : null, read]);
      if (found) this.#requireSame(name, found);
    } catch (error) {
      throw fileError(join(this.location, name), error);
    }
  }

  async #fill(
    file: FileHandle,
    name: string,
    offset: number,
    into: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    for (let done = 0; done < into.length; ) {
      throwIfAborted(signal);
      const length = Math.min(PIECE, into.length - done);
      const { bytesRead } = await file.read(into, done, length, offset + done);
      if (bytesRead === 0) throw truncated(this.location, name, offset, into.length);
      done += bytesRead;
    }
  }

  /** Null when there is no such file. A pipe is opened without waiting for who writes into it. */
  async #open<T>(name: string, use: (file: FileHandle, found: Stats) => Promise<T>): Promise<T | null> {
    const path = join(this.location, name);
    // Not on Windows, where it does not exist.
    const nonBlocking = constants.O_NONBLOCK ?? 0;
    const file = await absentAsNull(path, () => open(path, constants.O_RDONLY | nonBlocking));
    if (!file) return null;
    try {
      return await use(file, await file.stat());
    } catch (error) {
      throw fileError(path, error);
    } finally {
      if (this.#held.get(name)?.file !== file) await file.close();
    }
  }

  #isDirectory(name: string, found: Stats): boolean {
    if (!found.isDirectory()) return false;
    this.#absences.set(name, `${join(this.location, name)} is a directory.`);
    return true;
  }

  #requireSame(name: string, found: Stats): void {
    const before = this.#seen.get(name) ?? found;
    this.#seen.set(name, before);
    if (before.size === found.size && before.mtimeMs === found.mtimeMs && before.ino === found.ino) return;
    throw new GlimtError(
      "CHECKPOINT_INVALID",
      `${name} in ${this.location} changed while it was read. Load it again.`,
    );
  }
}

function requireRegular(path: string, found: Stats): void {
  if (found.isFile()) return;
  throw new GlimtError("CHECKPOINT_INVALID", `${path} is no file but a pipe, a socket or a device.`);
}

function noDirectory(directory: string, found: Stats | null): GlimtError {
  const problem = `${directory} is ${found ? "not a directory" : "not there"}`;
  return new GlimtError(
    "CHECKPOINT_NOT_FOUND",
    `${problem}; give the directory that holds config.json (of an adapter: adapter_config.json), a GGUF file, or the name of a model of the Hub (ORG/NAME).`,
  );
}

async function absentAsNull<T>(path: string, result: () => Promise<T>, code?: ErrorCode): Promise<T | null> {
  try {
    return await result();
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw fileError(path, error, code);
  }
}
