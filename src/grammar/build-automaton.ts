/** Rules to an automaton. */
import { GlimtError } from "../errors.ts";
import { type Automaton, BYTE, CALL, EDGE, FIRST_MARK, FREE } from "./automaton.ts";
import { checkRecursion, withoutDeadEnds } from "./check-automaton.ts";
import { type ByteRange, utf8Sequences } from "./code-points.ts";
import type { Grammar, Rule } from "./rule.ts";

/** Nodes of an automaton: counts and long lists of names take most. */
const MOST_NODES = 400_000;
/** A repeated item of more bytes than this is called, so that a count costs two nodes. */
const MOST_COPIED = 2;
/** Sets of characters that take more sequences of bytes than this are called too. */
const MOST_SPELLED = 4;

/** @throws OPTION_INVALID for a grammar that is too large, that begins with itself, or that no text is of */
export function buildAutomaton(grammar: Grammar): Automaton {
  return new Builder(grammar).build();
}

class Builder {
  readonly #grammar: Grammar;
  /** A list of edges a node, four numbers each. */
  readonly #edges: number[][] = [];
  readonly #ends = new Set<number>();
  /** Where the automaton of a rule begins, by the rule's name or by what it stands for. */
  readonly #starts = new Map<string, number>();
  readonly #named = new Map<number, string>();
  /** Automata that are asked for and not yet made. */
  readonly #pending: (() => void)[] = [];

  constructor(grammar: Grammar) {
    this.#grammar = grammar;
  }

  build(): Automaton {
    const start = this.#startOf(this.#grammar.root);
    for (let make = this.#pending.pop(); make; make = this.#pending.pop()) make();
    const automaton = this.#packed(start);
    checkRecursion(automaton, [...this.#starts.values()], this.#named);
    return withoutDeadEnds(automaton);
  }

  #startOf(name: string): number {
    const rule = this.#grammar.rules.get(name);
    if (!rule) throw new Error(`there is no rule "${name}"`);
    const start = this.#automatonOf(`rule ${name}`, (from, to) => this.#add(rule, from, to));
    this.#named.set(start, name);
    return start;
  }

  #automatonOf(key: string, fill: (from: number, to: number) => void): number {
    const known = this.#starts.get(key);
    if (known !== undefined) return known;
    const start = this.#node();
    const end = this.#node();
    this.#ends.add(end);
    this.#starts.set(key, start);
    this.#pending.push(() => fill(start, end));
    return start;
  }

  #node(): number {
    if (this.#edges.length === MOST_NODES) {
      throw new GlimtError(
        "OPTION_INVALID",
        `structured is too large: it takes more than ${MOST_NODES} states. Lower its counts, or say less exactly what is asked for.`,
      );
    }
    return this.#edges.push([]) - 1;
  }

  #edge(from: number, kind: number, a: number, b: number, to: number): void {
    (this.#edges[from] as number[]).push(kind, a, b, to);
  }

  #add(rule: Rule, from: number, to: number): void {
    if (rule.kind === "text") this.#addBytes(new TextEncoder().encode(rule.text), from, to);
    else if (rule.kind === "chars") this.#addSequences(utf8Sequences(rule.chars), from, to);
    else if (rule.kind === "sequence") this.#addSequence(rule.items, from, to);
    else if (rule.kind === "choice") for (const item of rule.items) this.#add(item, from, to);
    else if (rule.kind === "repeat") this.#addRepeat(rule, from, to);
    else if (rule.kind === "named") this.#edge(from, CALL, this.#startOf(rule.name), 0, to);
    else this.#edge(from, BYTE, FIRST_MARK + rule.index, FIRST_MARK + rule.index, to);
  }

  #addBytes(bytes: Uint8Array, from: number, to: number): void {
    if (bytes.length === 0) this.#edge(from, FREE, 0, 0, to);
    let at = from;
    for (const [index, byte] of bytes.entries()) {
      const next = index === bytes.length - 1 ? to : this.#node();
      this.#edge(at, BYTE, byte, byte, next);
      at = next;
    }
  }

  #addSequences(sequences: readonly ByteRange[][], from: number, to: number): void {
    if (sequences.length > MOST_SPELLED) {
      const start = this.#automatonOf(`bytes ${JSON.stringify(sequences)}`, (first, last) =>
        this.#spell(sequences, first, last),
      );
      this.#edge(from, CALL, start, 0, to);
    } else {
      this.#spell(sequences, from, to);
    }
  }

  #spell(sequences: readonly ByteRange[][], from: number, to: number): void {
    for (const bytes of sequences) {
      let at = from;
      for (const [index, [low, high]] of bytes.entries()) {
        const next = index === bytes.length - 1 ? to : this.#node();
        this.#edge(at, BYTE, low, high, next);
        at = next;
      }
    }
  }

  #addSequence(items: readonly Rule[], from: number, to: number): void {
    if (items.length === 0) this.#edge(from, FREE, 0, 0, to);
    let at = from;
    for (const [index, item] of items.entries()) {
      const next = index === items.length - 1 ? to : this.#node();
      this.#add(item, at, next);
      at = next;
    }
  }

  #addRepeat({ item, least, most }: Rule & { kind: "repeat" }, from: number, to: number): void {
    // A node of its own: what comes from elsewhere to `from` or `to` must not loop.
    const add = this.#itemAdder(item, least, most);
    let at = this.#node();
    this.#edge(from, FREE, 0, 0, at);
    for (let count = 0; count < least; count++) {
      const next = this.#node();
      add(at, next);
      at = next;
    }
    if (most === Number.POSITIVE_INFINITY) {
      add(at, at);
    }
    const copies = most === Number.POSITIVE_INFINITY ? least : most;
    for (let count = least; count < copies; count++) {
      this.#edge(at, FREE, 0, 0, to);
      const next = this.#node();
      add(at, next);
      at = next;
    }
    this.#edge(at, FREE, 0, 0, to);
  }

  #itemAdder(item: Rule, least: number, most: number): (from: number, to: number) => void {
    const copies = most === Number.POSITIVE_INFINITY ? least + 1 : most;
    if (copies <= MOST_COPIED || item.kind === "named") return (from, to) => this.#add(item, from, to);
    const start = this.#automatonOf(`item ${this.#starts.size}`, (from, to) => this.#add(item, from, to));
    return (from, to) => this.#edge(from, CALL, start, 0, to);
  }

  #packed(start: number): Automaton {
    const edgesFrom = new Int32Array(this.#edges.length + 1);
    for (const [node, list] of this.#edges.entries()) {
      edgesFrom[node + 1] = (edgesFrom[node] as number) + list.length;
    }
    const edges = new Int32Array(edgesFrom.at(-1) as number);
    for (const [node, list] of this.#edges.entries()) edges.set(list, edgesFrom[node]);
    const isEnd = new Uint8Array(this.#edges.length);
    for (const end of this.#ends) isEnd[end] = 1;
    return { start, edgesFrom, edges, isEnd, ...byteClasses(edges) };
  }
}

/** Bytes between the same bounds of ranges are never told apart. */
function byteClasses(edges: Int32Array): Pick<Automaton, "classOf" | "byteOfClass"> {
  const begins = new Uint8Array(257);
  begins[0] = 1;
  for (let at = 0; at < edges.length; at += EDGE) {
    if (edges[at] !== BYTE) continue;
    begins[edges[at + 1] as number] = 1;
    begins[(edges[at + 2] as number) + 1] = 1;
  }
  const classOf = new Uint8Array(256);
  const byteOfClass: number[] = [];
  for (let byte = 0; byte < 256; byte++) {
    if (begins[byte]) byteOfClass.push(byte);
    classOf[byte] = byteOfClass.length - 1;
  }
  return { classOf, byteOfClass: Uint8Array.from(byteOfClass) };
}
