/** A WebAssembly module as the package has it: much smaller, and text, which a page can hand on without reading it. */
import { checkedInflate } from "./inflate.ts";

export interface PackedWasm {
  /** A zlib stream in base64. */
  readonly text: string;
  /** Bytes of the module. */
  readonly size: number;
}

export function unpackWasm({ text, size }: PackedWasm): Uint8Array<ArrayBuffer> {
  const letters = atob(text);
  const packed = new Uint8Array(letters.length);
  for (let i = 0; i < packed.length; i++) packed[i] = letters.charCodeAt(i);
  return checkedInflate(packed, size) as Uint8Array<ArrayBuffer>;
}
