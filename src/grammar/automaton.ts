/**
 * A grammar as an automaton over bytes that can call itself: nodes with edges, an automaton a rule. Plain arrays, so that
 * it goes from the worker that made it to the thread that uses it.
 */

/** An edge is four numbers: its kind, two that say what it takes, and the node behind it. */
export const EDGE = 4;
/** Takes a byte of a range: low, high. */
export const BYTE = 0;
/** Takes nothing. */
export const FREE = 1;
/** Takes what the automaton takes that begins at a node: the node, 0. */
export const CALL = 2;

/** This byte and those behind it, which UTF-8 has not, stand for tokens that are no text: for each one a mark. */
export const FIRST_MARK = 0xf8;

export interface Automaton {
  readonly start: number;
  /** The numbers of node n's edges: those from edgesFrom[n] to edgesFrom[n + 1]. */
  readonly edgesFrom: Int32Array;
  readonly edges: Int32Array;
  /** 1 where the automaton of a rule ends. */
  readonly isEnd: Uint8Array;
  /** Bytes that no edge tells apart have one number. */
  readonly classOf: Uint8Array;
  /** A byte of each. */
  readonly byteOfClass: Uint8Array;
}
