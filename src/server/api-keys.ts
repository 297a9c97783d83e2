/** Who may ask: whoever shows a key. */

/** Compares in a time that says nothing of the keys: hashes of one length, to the last byte, with each of them. */
export class ApiKeys {
  readonly #hashes: Promise<readonly Uint8Array[]>;
  readonly #isOpen: boolean;

  /** @param keys none: everybody may ask */
  constructor(keys: readonly string[]) {
    this.#isOpen = keys.length === 0;
    this.#hashes = Promise.all(keys.map(hashOf));
  }

  async allow(headers: Headers): Promise<boolean> {
    if (this.#isOpen) return true;
    const bearer = /^Bearer +(\S+) *$/i.exec(headers.get("authorization") ?? "")?.[1];
    const key = bearer ?? headers.get("x-api-key");
    if (!key) return false;
    const given = await hashOf(key);
    let isKnown = false;
    for (const hash of await this.#hashes) isKnown = areEqual(hash, given) || isKnown;
    return isKnown;
  }
}

async function hashOf(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= (a[at] as number) ^ (b[at] as number);
  return difference === 0;
}
