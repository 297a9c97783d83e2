/** Blobs while they are downloaded, and what downloads that were cut off left of them. */
import { randomBytes } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { BlobLock } from "./blob-lock.node.ts";
import { type HubFile, PART_BYTES, type PartialFile, partsOf } from "./cache.ts";
import { absentAsNull, writing } from "./cache-access.node.ts";

/**
 * The parts of a blob, each at its place. Behind them lies a byte a part, which says whether it is there: so that what a
 * download that was cut off left can be told from holes.
 */
export class PartialBlob implements PartialFile {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #blob: string;
  readonly #size: number;
  readonly #has: Uint8Array;
  readonly #lock: BlobLock;
  readonly #link: (isNew: boolean) => Promise<void>;
  #isOpen = true;

  private constructor(
    file: FileHandle,
    path: string,
    blob: string,
    size: number,
    has: Uint8Array,
    lock: BlobLock,
    link: (isNew: boolean) => Promise<void>,
  ) {
    this.#file = file;
    this.#path = path;
    this.#blob = blob;
    this.#size = size;
    this.#has = has;
    this.#lock = lock;
    this.#link = link;
  }

  static async open(
    blob: string,
    size: number,
    lock: BlobLock,
    link: (isNew: boolean) => Promise<void>,
  ): Promise<PartialBlob> {
    // A name of this process's own: Python too has HASH.RANDOM.incomplete, and counts and removes these.
    const path = `${blob}.${randomBytes(4).toString("hex")}.glimt.incomplete`;
    const has = new Uint8Array(partsOf(size));
    const left = (await readdir(dirname(blob))).filter((name) => isPartial(name, basename(blob)));
    for (const name of left) {
      const old = join(dirname(blob), name);
      const isWhole = (await absentAsNull(stat(old)))?.size === size + has.length;
      if (!isWhole) {
        await rm(old, { force: true });
        continue;
      }
      // Of several that want it, one succeeds.
      const isTaken = await rename(old, path).then(
        () => true,
        () => false,
      );
      if (!isTaken) continue;
      const file = await open(path, "r+");
      await orShut(file, file.read(has, 0, has.length, size));
      return new PartialBlob(file, path, blob, size, has, lock, link);
    }
    const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o666);
    await orShut(file, file.write(has, 0, has.length, size));
    return new PartialBlob(file, path, blob, size, has, lock, link);
  }

  has(part: number): boolean {
    return this.#has[part] === 1;
  }

  write(_part: number, at: number, bytes: Uint8Array): Promise<void> {
    return writing(this.#path, async () => {
      for (let done = 0; done < bytes.length; ) {
        done += (await this.#file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
      }
    });
  }

  keep(part: number): Promise<void> {
    return writing(this.#path, async () => {
      this.#has[part] = 1;
      await this.#file.write(this.#has, part, 1, this.#size + part);
    });
  }

  read(part: number, at: number, bytes: number): Promise<Uint8Array> {
    return writing(this.#path, async () => {
      const end = Math.min(at + bytes, (part + 1) * PART_BYTES, this.#size);
      const into = new Uint8Array(end - at);
      for (let done = 0; done < into.length; ) {
        const { bytesRead } = await this.#file.read(into, done, into.length - done, at + done);
        if (bytesRead === 0) throw new Error("it became shorter");
        done += bytesRead;
      }
      return into;
    });
  }

  finish(): Promise<void> {
    return writing(this.#blob, async () => {
      await this.#file.truncate(this.#size);
      // A name that says what the content is must not survive content that was not yet written.
      await this.#file.datasync();
      await this.#shut();
      await rename(this.#path, this.#blob).catch(async (error) => {
        // Who slept for long may find that another took it over, and is done.
        if ((await absentAsNull(stat(this.#blob)))?.size !== this.#size) throw error;
      });
      await this.#link(true);
    });
  }

  async discard(): Promise<void> {
    await this.#shut();
    await rm(this.#path, { force: true });
  }

  async close(): Promise<void> {
    const isEmpty = this.#isOpen && !this.#has.includes(1);
    await this.#shut();
    if (isEmpty) await rm(this.#path, { force: true }).catch(() => undefined);
    await this.#lock.release();
  }

  async #shut(): Promise<void> {
    if (this.#isOpen) await this.#file.close();
    this.#isOpen = false;
  }
}

async function orShut<T>(file: FileHandle, task: Promise<T>): Promise<T> {
  return task.catch(async (error) => {
    await file.close();
    throw error;
  });
}

/** Bytes that are still to be written: some files are there for another commit, of some a download that was cut off left parts. */
export async function missingBytes(blobs: string, files: readonly HubFile[]): Promise<number> {
  const there = await readdir(blobs);
  let missing = 0;
  for (const { etag, size } of new Map(files.map((file) => [file.etag, file])).values()) {
    if ((await absentAsNull(stat(join(blobs, etag))))?.size === size) continue;
    const partial = there.find((name) => isPartial(name, etag));
    const found = partial === undefined ? null : await absentAsNull(stat(join(blobs, partial)));
    missing += Math.max(0, size - (found ? writtenBytes(found) : 0));
  }
  return missing;
}

/** Whether a file in `blobs` is one of an unfinished download of glimt's. */
function isPartial(name: string, etag: string): boolean {
  return name.startsWith(`${etag}.`) && name.endsWith(".glimt.incomplete");
}

/** Without the holes of a file that came in parts. Not all systems tell. */
export function writtenBytes({ size, blocks }: Stats): number {
  return blocks === undefined ? size : 512 * blocks;
}
