/** The tokens of a vocabulary by their bytes, as a tree in arrays: what they have in common is read once. */
import { tokenBytes } from "../text/byte-level.ts";
import { FIRST_MARK } from "./automaton.ts";

export interface TokenTrie {
  /** Nodes in the order of a walk, each before those below it; the root is not among them. */
  readonly bytes: Uint8Array;
  /** 1 for those below the root. */
  readonly depths: Uint16Array;
  /** The first node that is not below this one. */
  readonly behind: Int32Array;
  /** Tokens that end at node n: ids[idsFrom[n]] to ids[idsFrom[n + 1]]. */
  readonly idsFrom: Int32Array;
  readonly ids: Int32Array;
  readonly deepest: number;
}

/** @param tokens by id, as the vocabulary writes them; null for those that no text has */
export function buildTokenTrie(tokens: readonly (string | null)[]): TokenTrie {
  // A character a byte: such strings are in the order of their bytes.
  const listed = tokens.flatMap((token, id) => {
    const bytes = token === null ? NO_BYTES : tokenBytes(token);
    return isText(bytes) ? [{ spelled: String.fromCharCode(...bytes), id }] : [];
  });
  listed.sort((a, b) => (a.spelled < b.spelled ? -1 : a.spelled > b.spelled ? 1 : a.id - b.id));
  const bytes: number[] = [];
  const depths: number[] = [];
  const idsFrom: number[] = [];
  const ids: number[] = [];
  let before = "";
  for (const { spelled, id } of listed) {
    let common = 0;
    while (common < before.length && before[common] === spelled[common]) common++;
    for (let depth = common; depth < spelled.length; depth++) {
      bytes.push(spelled.charCodeAt(depth));
      depths.push(depth + 1);
      idsFrom.push(ids.length);
    }
    ids.push(id);
    before = spelled;
  }
  idsFrom.push(ids.length);
  return {
    bytes: Uint8Array.from(bytes),
    depths: Uint16Array.from(depths),
    behind: behindOf(depths),
    idsFrom: Int32Array.from(idsFrom),
    ids: Int32Array.from(ids),
    deepest: depths.reduce((deepest, depth) => Math.max(deepest, depth), 0),
  };
}

function behindOf(depths: readonly number[]): Int32Array {
  const behind = new Int32Array(depths.length).fill(depths.length);
  const open: number[] = [];
  for (const [node, depth] of depths.entries()) {
    while (open.length >= depth) behind[open.pop() as number] = node;
    open.push(node);
  }
  return behind;
}

const NO_BYTES = new Uint8Array(0);

/** Whether a token may be a part of text: vocabularies have each byte as a token, of which UTF-8 has not all. */
export function isText(bytes: Uint8Array): boolean {
  return bytes.length > 0 && bytes.every((byte) => byte < FIRST_MARK);
}
