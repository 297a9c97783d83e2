/**
 * Byte-level BPE vocabularies (GPT-2's scheme, which all GLM tokenizers use) write each byte as one printable
 * character. Bytes that are printable in Latin-1 stand for themselves, the others are numbered from U+0100 on.
 */
const BYTE_OF: ReadonlyMap<string, number> = byteTable();

function byteTable(): Map<string, number> {
  const table = new Map<string, number>();
  let stranger = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    table.set(String.fromCharCode(printable ? byte : stranger++), byte);
  }
  return table;
}

/** The character of each byte. */
export function byteCharacters(): string[] {
  const characters: string[] = [];
  for (const [character, byte] of BYTE_OF) characters[byte] = character;
  return characters;
}

/** The bytes a vocabulary entry stands for; one with a character outside the alphabet is taken as plain UTF-8. */
export function tokenBytes(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = BYTE_OF.get(character);
    if (byte === undefined) return new TextEncoder().encode(token);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** UTF-8 as Rust's `from_utf8_lossy` reads it: what is broken becomes U+FFFD, a byte order mark stays. */
export function lossyUtf8(): TextDecoder {
  return new TextDecoder("utf-8", { ignoreBOM: true });
}
