/** Where a session is written to and read from: a Blob, or what the platform calls a path. */
import { fileError } from "../../checkpoint/file-errors.ts";

export interface SessionOutput {
  /** Behind what was written before. @throws OUTPUT_FAILED */
  write(bytes: Uint8Array): Promise<void>;
  /** It is whole: from now on it is there. @throws OUTPUT_FAILED */
  finish(): Promise<void>;
  /** Nothing of it stays. */
  discard(): Promise<void>;
}

export interface SessionInput {
  readonly bytes: number;
  /** `count` bytes from `offset` on, or fewer where it ends before. @throws SESSION_INVALID when it can not be read */
  read(offset: number, count: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Files on a platform that has some. */
export interface SessionFiles {
  /** @throws OUTPUT_FAILED, OPTION_INVALID for what is no path */
  create(path: string | URL): Promise<SessionOutput>;
  /** @throws SESSION_INVALID, OPTION_INVALID for what is no path */
  open(path: string | URL): Promise<SessionInput>;
}

export class BlobOutput implements SessionOutput {
  #parts: Uint8Array<ArrayBuffer>[] = [];

  /** What was written. */
  get blob(): Blob {
    return new Blob(this.#parts, { type: "application/octet-stream" });
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#parts.push(bytes.slice());
  }

  async finish(): Promise<void> {}

  async discard(): Promise<void> {
    this.#parts = [];
  }
}

export function blobInput(blob: Blob): SessionInput {
  return {
    bytes: blob.size,
    async read(offset, count) {
      try {
        return new Uint8Array(await blob.slice(offset, offset + count).arrayBuffer());
      } catch (error) {
        // A picked file that was changed or removed meanwhile.
        throw fileError("The session", error, "SESSION_INVALID");
      }
    },
    async close() {},
  };
}
