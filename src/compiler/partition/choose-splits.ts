/**
 * How the ranks of a tensor group share a graph, from the op table's rules. Backwards it is found who would read which
 * value in parts; then, node by node, the first rule is taken that what is there fits.
 */
import { GlimtError } from "../../errors.ts";
import { consumers, type Graph, type Node, type Value, type ValueId } from "../../graph/graph.ts";
import { inferOutputs, type TensorType } from "../../graph/infer.ts";
import type { OpDefinition, SplitRule } from "../../graph/op-definition.ts";
import { OPS } from "../../graph/ops.ts";
import type { Dim } from "../../tensor/dims.ts";
import { blockCols, holdsColumns, isGroupedFormat } from "../../tensor/storage.ts";
import { type Held, isWhole, type Parts, partRange, partsComplaint, sameHeld, WHOLE } from "./held.ts";

/** A weight's parts on the ranks. */
export interface WeightParts extends Parts {
  readonly axis: "rows" | "columns";
}

export interface NodeSplit {
  /** What each input must be; those that are not named are whole. */
  readonly inputs: Readonly<Record<string, Held>>;
  readonly weights: Readonly<Record<string, WeightParts>>;
  readonly outputs: Readonly<Record<string, Held>>;
  /** Attribute -> what it is divided by in a part. */
  readonly counts: Readonly<Record<string, number>>;
  /** Attribute -> how many parts what it counts from is in, and the attribute that counts all of it. */
  readonly firsts: Readonly<Record<string, { readonly parts: number; readonly of: string }>>;
}

export interface Splits {
  readonly nodes: ReadonlyMap<Node, NodeSplit>;
  /** Values that are not whole. */
  readonly held: ReadonlyMap<ValueId, Held>;
}

const UNSPLIT: NodeSplit = { inputs: {}, weights: {}, outputs: {}, counts: {}, firsts: {} };

/** @throws OPTION_INVALID with every number that does not divide by the ranks */
export function chooseSplits(graph: Graph, ranks: number): Splits {
  return new SplitChoice(graph, ranks).run();
}

class SplitChoice {
  readonly #graph: Graph;
  readonly #ranks: number;
  /** Parts of their columns that all readers of values would rather have. */
  readonly #wishes: ReadonlyMap<ValueId, Parts>;
  readonly #held = new Map<ValueId, Held>();
  readonly #refusals = new Set<string>();

  constructor(graph: Graph, ranks: number) {
    this.#graph = graph;
    this.#ranks = ranks;
    this.#wishes = this.#findWishes();
  }

  run(): Splits {
    const nodes = new Map<Node, NodeSplit>();
    for (const node of this.#graph.nodes) {
      const split = this.#choose(node);
      nodes.set(node, split);
      for (const [name, held] of Object.entries(split.outputs)) {
        this.#held.set(node.outputs[name] as ValueId, held);
      }
      for (const [name, held] of Object.entries(split.inputs)) {
        const id = node.inputs[name] as ValueId;
        if (this.#value(id).origin.kind === "state") this.#held.set(id, held);
      }
    }
    if (this.#refusals.size > 0) {
      throw new GlimtError(
        "OPTION_INVALID",
        `"${this.#graph.name}" can not be split over ${this.#ranks} tensor-parallel ranks: ${[...this.#refusals].join("; ")}.`,
      );
    }
    return { nodes, held: this.#held };
  }

  #findWishes(): Map<ValueId, Parts> {
    const readers = consumers(this.#graph);
    const wishes = new Map<ValueId, Parts>();
    for (const node of this.#graph.nodes.toReversed()) {
      for (const id of Object.values(node.outputs)) {
        const wanted = (readers.get(id) ?? [])
          .flatMap((reader) =>
            Object.keys(reader.inputs)
              .filter((name) => reader.inputs[name] === id)
              .map((name) => this.#wishOf(reader, name, wishes)),
          )
          .filter((wish) => wish !== "any");
        const [first] = wanted;
        if (first && wanted.every((parts) => parts && sameHeld(parts, first))) wishes.set(id, first);
      }
    }
    return wishes;
  }

  /** The parts in which a reader would rather have an operand; undefined for all of it. */
  #wishOf(reader: Node, name: string, wishes: ReadonlyMap<ValueId, Parts>): Parts | "any" | undefined {
    const { gathered, splits = [] }: OpDefinition = OPS[reader.op];
    if (gathered?.includes(name)) return this.#ofAllRanks;
    for (const rule of splits) {
      const wished = wishedParts(reader, rule, wishes);
      if (wished === undefined) continue;
      if (rule.inputs[name] !== "columns") return undefined;
      const split = this.#split(reader, rule, wished ?? this.#partsOfBlocks(reader, rule));
      if (!split || !this.#fits(reader, split)) return undefined;
      if (!this.#isWorthwhile(reader, split)) return "any";
      const uncounted = this.#uncounted(reader, split);
      for (const complaint of uncounted) this.#refusals.add(complaint);
      return uncounted.length === 0 ? (split.inputs[name] as Parts) : undefined;
    }
    return undefined;
  }

  /** An adapter's columns between A and B are few: to share them would save nothing, and cost a sum. */
  #isWorthwhile(node: Node, { weights }: NodeSplit): boolean {
    return Object.entries(weights).every(([name, { axis }]) => {
      const { origin } = this.#value(node.inputs[name] as ValueId);
      return axis === "rows" || origin.kind !== "weight" || origin.spec.origin === undefined;
    });
  }

  get #ofAllRanks(): Parts {
    return { parts: this.#ranks, unit: 1 };
  }

  /** A part a rank; where a weight is cut between columns and they would be no whole blocks, parts of blocks. */
  #partsOfBlocks(node: Node, rule: SplitRule): Parts {
    for (const [name, split] of Object.entries(rule.inputs)) {
      if (split !== "columns" || !this.#isWeight(node, name)) continue;
      const { shape, dtype } = this.#value(node.inputs[name] as ValueId);
      if (!isGroupedFormat(dtype) || holdsColumns(dtype, (shape[1] as number) / this.#ranks)) continue;
      return { parts: this.#ranks, unit: blockCols(dtype) };
    }
    return this.#ofAllRanks;
  }

  #choose(node: Node): NodeSplit {
    const { splits = [] }: OpDefinition = OPS[node.op];
    // What is there as it is; parts of what is whole, which cost nothing; all of it whole.
    return (
      this.#firstRule(node, splits, (id, wanted) => sameHeld(this.#heldOf(id, wanted), wanted), true) ??
      this.#firstRule(node, splits, (id, wanted) => this.#canTake(id, wanted)) ??
      this.#firstRule(node, splits, (_, wanted) => isWhole(wanted)) ??
      UNSPLIT
    );
  }

  #firstRule(
    node: Node,
    rules: readonly SplitRule[],
    isThere: (id: ValueId, wanted: Held) => boolean,
    isExact = false,
  ): NodeSplit | undefined {
    const operands = Object.keys(node.inputs).filter((name) => !this.#isWeight(node, name));
    const has = (split: NodeSplit) =>
      operands.every((name) => isThere(node.inputs[name] as ValueId, split.inputs[name] ?? WHOLE));
    for (const rule of rules) {
      const parts = this.#partsOf(node, rule);
      const split = parts && this.#split(node, rule, parts);
      if (!split || !has(split) || this.#wastes(node, split, isExact) || !this.#fits(node, split)) continue;
      return this.#complaints(node, split) ? UNSPLIT : split;
    }
    return has(UNSPLIT) ? UNSPLIT : undefined;
  }

  /**
   * Whether it gives summands where others would rather have columns, which a weight can give: that is as well where its
   * columns are shared, by an operand that is in parts already.
   */
  #wastes(node: Node, split: NodeSplit, isThere: boolean): boolean {
    if (!Object.keys(node.inputs).some((name) => this.#isWeight(node, name))) return false;
    if (isThere && Object.keys(split.weights).length > 0) return false;
    return Object.entries(split.outputs).some(
      ([name, held]) => held === "partial" && this.#wishes.has(node.outputs[name] as ValueId),
    );
  }

  /** Columns that are there decide, or who reads the result; nobody makes columns that are not wished. */
  #partsOf(node: Node, rule: SplitRule): Parts | undefined {
    for (const [name, split] of Object.entries(rule.inputs)) {
      if (split !== "columns" || this.#isWeight(node, name) || rule.shared?.includes(name)) continue;
      const held = this.#held.get(node.inputs[name] as ValueId);
      if (held && held !== "partial" && !isWhole(held)) return held;
    }
    const wished = wishedParts(node, rule, this.#wishes);
    return wished === null ? this.#partsOfBlocks(node, rule) : wished;
  }

  /** The rule with its numbers; undefined where it says nothing of such parts. */
  #split(node: Node, rule: SplitRule, wanted: Parts): NodeSplit | undefined {
    // Heads and experts are counted, and have the same number on each rank.
    const parts = rule.counts ? { ...wanted, unit: 1 } : wanted;
    const partsOf = (name: string): Parts => {
      if (!rule.shared?.includes(name)) return parts;
      const counter = Object.entries(rule.counts ?? {}).find(([, counted]) => counted === name)?.[0];
      return this.#sharedParts(node.attrs[counter as string] as number);
    };
    const outputs: Record<string, Held> = {};
    for (const [name, split] of Object.entries(rule.outputs)) {
      // Ranks that hold the same would count twice.
      if (split === "partial" && parts.parts !== this.#ranks) return undefined;
      outputs[name] = split === "partial" ? "partial" : parts;
    }
    const inputs: Record<string, Held> = {};
    const weights: Record<string, WeightParts> = {};
    for (const [name, split] of Object.entries(rule.inputs)) {
      if (split === undefined) continue;
      if (!this.#isWeight(node, name)) inputs[name] = split === "partial" ? "partial" : partsOf(name);
      else if (split !== "partial") weights[name] = { axis: split, ...partsOf(name) };
    }
    const counts = Object.entries(rule.counts ?? {}).map(([attr, counted]) => {
      return [attr, partsOf(counted as string).parts] as const;
    });
    const firsts = Object.entries(rule.firsts ?? {}).map(([attr, of]) => {
      return [attr, { parts: parts.parts, of: of as string }] as const;
    });
    return {
      inputs,
      weights,
      outputs,
      counts: Object.fromEntries(counts),
      firsts: Object.fromEntries(firsts),
    };
  }

  /** As many as there are ranks; where there are fewer things than ranks, as many as things. */
  #sharedParts(count: number): Parts {
    const isFewer = count < this.#ranks && this.#ranks % count === 0;
    return { parts: isFewer ? count : this.#ranks, unit: 1 };
  }

  /** Whether the op's rules hold for the parts, as far as these are whole numbers: what does not divide is refused later. */
  #fits(node: Node, split: NodeSplit): boolean {
    if (this.#undivided(node, split).length > 0) return true;
    const types = Object.fromEntries(
      Object.entries(node.inputs).map(([name, id]) => [name, this.#partType(id, name, split)]),
    );
    try {
      inferOutputs(node.op, types, partAttrs(node, split), this.#graph.activationDType);
      return true;
    } catch {
      return false;
    }
  }

  #partType(id: ValueId, name: string, { inputs, weights }: NodeSplit): TensorType {
    const { shape, dtype } = this.#value(id);
    const weight = weights[name];
    const held = weight ?? inputs[name] ?? WHOLE;
    const cut = weight?.axis === "rows" ? 0 : 1;
    const part = (dim: Dim, axis: number): Dim =>
      axis === cut && typeof dim === "number" && held !== "partial" ? partRange(dim, held, 0).count : dim;
    return { dtype, shape: shape.map(part) };
  }

  /** Remembers what is wrong with a split. @returns whether anything is */
  #complaints(node: Node, split: NodeSplit): boolean {
    const found = [...this.#undivided(node, split), ...this.#brokenBlocks(node, split)];
    for (const complaint of found) this.#refusals.add(complaint);
    return found.length > 0;
  }

  /** Heads and experts that do not divide. */
  #uncounted({ op, attrs }: Node, { counts }: NodeSplit): string[] {
    return Object.entries(counts).flatMap(([attr, parts]) => {
      const count = attrs[attr] as number;
      return count % parts === 0 ? [] : [`${attr} ${count} (${op}) is not a multiple of ${parts}`];
    });
  }

  #undivided(node: Node, split: NodeSplit): string[] {
    const { inputs, weights } = split;
    const uncounted = this.#uncounted(node, split);
    if (uncounted.length > 0) return uncounted;
    const cut = [
      ...Object.entries(weights).map(([name, parts]) => ({ name, parts, axis: parts.axis })),
      ...Object.entries(inputs).map(([name, parts]) => ({ name, parts, axis: "columns" as const })),
    ];
    return cut.flatMap(({ name, parts, axis }) => {
      const value = this.#value(node.inputs[name] as ValueId);
      const size = value.shape[axis === "rows" ? 0 : 1] as number;
      const complaint = parts === "partial" ? null : partsComplaint(size, parts);
      const shown = value.origin.kind === "weight" ? inAnyLayer(value.name) : `${name} of ${node.op}`;
      return complaint ? [`${shown} has ${size} ${axis}, ${complaint}`] : [];
    });
  }

  #brokenBlocks(node: Node, { weights }: NodeSplit): string[] {
    return Object.entries(weights).flatMap(([name, { axis, parts, unit }]) => {
      const { name: weight, shape, dtype } = this.#value(node.inputs[name] as ValueId);
      if (axis === "rows" || !isGroupedFormat(dtype)) return [];
      const cols = (shape[1] as number) / parts;
      if (holdsColumns(dtype, unit) || holdsColumns(dtype, cols)) return [];
      return [
        `${inAnyLayer(weight)} has ${shape[1]} columns, of which a rank's ${cols} are no whole blocks of ${blockCols(dtype)} (${dtype})`,
      ];
    });
  }

  #heldOf(id: ValueId, wanted: Held): Held {
    const known = this.#held.get(id);
    if (known !== undefined) return known;
    // A state is what who reads it first needs.
    return this.#value(id).origin.kind === "state" ? wanted : WHOLE;
  }

  /** Whether what is there becomes the wanted columns without a word to other ranks, or by summing just these. */
  #canTake(id: ValueId, wanted: Held): boolean {
    const held = this.#heldOf(id, wanted);
    if (sameHeld(held, wanted)) return true;
    if (wanted === "partial" || isWhole(wanted)) return false;
    return held === "partial" ? sameHeld(wanted, this.#ofAllRanks) : isWhole(held);
  }

  #isWeight(node: Node, name: string): boolean {
    return this.#value(node.inputs[name] as ValueId).origin.kind === "weight";
  }

  #value(id: ValueId): Value {
    return this.#graph.values[id] as Value;
  }
}

/** Attributes of a part, but for where it begins. */
export function partAttrs(
  { attrs }: Pick<Node, "attrs">,
  { counts }: Pick<NodeSplit, "counts">,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(attrs).map(([name, value]) => [name, value / (counts[name] ?? 1)]),
  );
}

/** The parts of a rule's columns that are wished; null where it makes none, undefined where they are not wished. */
function wishedParts(
  node: Node,
  rule: SplitRule,
  wishes: ReadonlyMap<ValueId, Parts>,
): Parts | null | undefined {
  const columns = Object.entries(rule.outputs).filter(([, split]) => split === "columns");
  if (columns.length === 0) return null;
  const [first, ...others] = columns.map(([name]) => wishes.get(node.outputs[name] as ValueId));
  return first && others.every((other) => other && sameHeld(other, first)) ? first : undefined;
}

/** One complaint stands for all layers. */
function inAnyLayer(name: string): string {
  return name.replace(/\.(layers|blocks)\.\d+\./, ".$1.N.").replace(/\.experts\.\d+\./, ".experts.E.");
}
