/** A chain of SHA-256: each digest is of the one before and of some bytes. */
import { sha256InTurns } from "../../checkpoint/hub/sha256.ts";

export const DIGEST_BYTES = 32;

export class DigestChain {
  #last = new Uint8Array(0);

  async next(bytes: Uint8Array): Promise<Uint8Array> {
    const all = new Uint8Array(this.#last.length + bytes.length);
    all.set(this.#last);
    all.set(bytes, this.#last.length);
    this.#last = await sha256(all);
    return this.#last;
  }
}

/** Pages that are not secure have no digest of the host's. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const subtle = globalThis.crypto?.subtle;
  if (subtle) return new Uint8Array(await subtle.digest("SHA-256", bytes));
  const digits = await sha256InTurns(bytes);
  return Uint8Array.from({ length: DIGEST_BYTES }, (_, at) =>
    Number.parseInt(digits.slice(2 * at, 2 * at + 2), 16),
  );
}
