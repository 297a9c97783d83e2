/**
 * A graph for the ranks of a device group: rank = stage * tensor + rank in the tensor group, and behind these the ranks that
 * encode. Each rank's graph has the parts of weights and states that it needs, and the collective ops between.
 */
import { GlimtError } from "../../errors.ts";
import type { Graph, Node, Value, ValueId } from "../../graph/graph.ts";
import type { OpDefinition } from "../../graph/op-definition.ts";
import { OPS } from "../../graph/ops.ts";
import { type WeightSpec, weightOfRank, weightPart } from "../../graph/weight-spec.ts";
import { dimsEqual, formatDim, type Shape } from "../../tensor/dims.ts";
import { GraphRewriter } from "../passes/pass.ts";
import { chooseSplits, type NodeSplit, partAttrs, type Splits, type WeightParts } from "./choose-splits.ts";
import { type Held, isWhole, type Parts, partRange, sameHeld, WHOLE } from "./held.ts";
import { narrowSlices } from "./narrow-slices.ts";
import { checkCuts, nodeStages } from "./pipeline-stages.ts";

export interface Partition {
  /** Ranks that share each layer. */
  readonly tensor: number;
  /** The first decoder layer of each pipeline stage but the first; none for one stage. */
  readonly cuts: readonly number[];
  /** Ranks behind those of the stages, which encode and do nothing else; default 0. */
  readonly encoders?: number;
  /**
   * For an encoder whose items are dealt: each rank that encodes has a whole copy, or where there is none every rank of the
   * first stage.
   */
  readonly copies?: boolean;
}

/**
 * @returns a graph a rank; one that has nothing to do is empty.
 * @throws OPTION_INVALID with the numbers that do not divide
 */
export function partitionGraph(graph: Graph, partition: Partition): Graph[] {
  const { tensor, cuts, encoders = 0, copies = false } = partition;
  const narrowed = tensor > 1 && !copies ? narrowSlices.run(graph) : graph;
  const splits: Splits =
    tensor > 1 && !copies ? chooseSplits(narrowed, tensor) : { nodes: new Map(), held: new Map() };
  // A copy is whole.
  const own = copies ? { ...partition, cuts: [] } : partition;
  const stages = nodeStages(narrowed, own.cuts);
  if (stages.size > 0 && Math.max(...stages.values()) > 0) checkCuts(graph, cuts);
  const ofStages = tensor * (cuts.length + 1);
  const stageOf = (rank: number) => {
    if (rank >= ofStages) return copies ? 0 : null;
    return copies && encoders > 0 ? null : Math.floor(rank / tensor);
  };
  return Array.from({ length: ofStages + encoders }, (_, rank) => {
    const stage = stageOf(rank);
    if (stage === null) return { ...graph, nodes: [], values: [], outputs: {} };
    return new RankGraph(narrowed, splits, stages, { rank, stage }, own).build();
  });
}

/** A value in a rank's graph, and how its group holds it. */
interface LocalValue {
  readonly held: Held;
  readonly id: ValueId;
}

class RankGraph {
  readonly #graph: Graph;
  readonly #splits: Splits;
  readonly #stages: ReadonlyMap<Node, number>;
  readonly #rank: number;
  readonly #tensor: number;
  readonly #stage: number;
  readonly #lastStage: number;
  readonly #rewriter: GraphRewriter;
  /** What this rank has of the graph's values: as it came to be first. */
  readonly #local = new Map<ValueId, LocalValue[]>();

  constructor(
    graph: Graph,
    splits: Splits,
    stages: ReadonlyMap<Node, number>,
    { rank, stage }: { readonly rank: number; readonly stage: number },
    { tensor, cuts }: Partition,
  ) {
    this.#graph = graph;
    this.#splits = splits;
    this.#stages = stages;
    this.#rank = rank;
    this.#tensor = tensor;
    this.#stage = stage;
    this.#lastStage = cuts.length;
    this.#rewriter = new GraphRewriter({ ...graph, values: [] });
  }

  build(): Graph {
    const { nodes, outputs } = this.#graph;
    const own = nodes.filter((node) => this.#stages.get(node) === this.#stage);
    if (this.#stage > 0) for (const id of this.#crossing(this.#stage)) this.#receive(id, own);
    for (const node of own) this.#add(node);
    const produced = new Map(own.flatMap((node) => Object.values(node.outputs).map((id) => [id, node])));
    const results = Object.entries(outputs)
      .filter(([, id]) => produced.has(id))
      .map(([name, id]) => [name, this.#as(id, WHOLE, (produced.get(id) as Node).scope)] as const);
    if (this.#stage < this.#lastStage) for (const id of this.#crossing(this.#stage + 1)) this.#send(id);
    return { ...this.#rewriter.finish(), outputs: Object.fromEntries(results) };
  }

  #add(node: Node): void {
    const split = this.#splits.nodes.get(node);
    const inputs = Object.entries(node.inputs).map(([name, id]) => {
      const { origin } = this.#value(id);
      if (origin.kind === "weight") return [name, this.#weight(id, split?.weights[name])] as const;
      return [name, this.#as(id, split?.inputs[name] ?? WHOLE, node.scope)] as const;
    });
    const attrs = split ? this.#attrsOf(node, split) : node.attrs;
    const outputs = this.#rewriter.addNode(node.op, Object.fromEntries(inputs), attrs, node.scope);
    const { alias = {} }: OpDefinition = OPS[node.op];
    for (const [name, id] of Object.entries(node.outputs)) {
      // What was made of the memory that is overwritten is not what it is now.
      if (name in alias) this.#local.delete(node.inputs[alias[name] as string] as ValueId);
      this.#local.set(id, [{ held: split?.outputs[name] ?? WHOLE, id: outputs[name] as ValueId }]);
    }
  }

  #attrsOf(node: Node, split: NodeSplit): Record<string, number> {
    const attrs = partAttrs(node, split);
    for (const [name, { parts, of }] of Object.entries(split.firsts)) {
      const { first } = partRange(node.attrs[of] as number, { parts, unit: 1 }, this.#part(parts));
      attrs[name] = (attrs[name] as number) + first;
    }
    return attrs;
  }

  #weight(id: ValueId, split: WeightParts | undefined): ValueId {
    const { origin, shape } = this.#value(id);
    if (origin.kind !== "weight") throw new TypeError(`value ${id} is no weight`);
    return this.#rewriter.weight(weightOfRank(this.#partOf(origin.spec, shape, split), this.#rank));
  }

  #partOf(spec: WeightSpec, shape: Shape, split: WeightParts = { axis: "rows", ...WHOLE }): WeightSpec {
    if (isWhole(split)) return spec;
    const size = shape[split.axis === "rows" ? 0 : 1] as number;
    const range = partRange(size, split, this.#part(split.parts));
    return weightPart(spec, split.axis === "rows" ? { rows: range } : { cols: range });
  }

  /** The value as it is asked for, made of what is there. */
  #as(id: ValueId, wanted: Held, scope: string): ValueId {
    const known = this.#local.get(id) ?? this.#declare(id);
    const found = known.find(({ held }) => sameHeld(held, wanted));
    if (found) return found.id;
    const made = { held: wanted, id: this.#convert(known[0] as LocalValue, wanted, scope) };
    known.push(made);
    return made.id;
  }

  #convert({ id: x, held }: LocalValue, wanted: Held, scope: string): ValueId {
    const ranks = this.#tensor;
    const even: Parts = { parts: ranks, unit: 1 };
    const one = (op: Parameters<GraphRewriter["addNode"]>[0], attrs: Record<string, number>) =>
      this.#rewriter.addNode(op, { x }, attrs, scope).y as ValueId;
    if (wanted !== "partial") {
      if (held === "partial" && isWhole(wanted)) return one("all_reduce", {});
      if (held === "partial" && sameHeld(wanted, even)) return one("reduce_scatter", { ranks });
      if (sameHeld(held, even) && isWhole(wanted)) return one("all_gather", { ranks, stretches: 1 });
      if (isWhole(held)) {
        const cols = this.#rewriter.values[x]?.shape[1] as number;
        const { first, count } = partRange(cols, wanted, this.#part(wanted.parts));
        return one("slice", { start: first, length: count });
      }
    }
    throw new GlimtError(
      "GRAPH_INVALID",
      `${scope}: what ${ranks} ranks hold as ${heldText(held)} can not become ${heldText(wanted)}.`,
    );
  }

  /** An input or a state of the graph, or this rank's columns of it. */
  #declare(id: ValueId): LocalValue[] {
    const { name, shape, dtype, origin } = this.#value(id);
    if (origin.kind === "computed") throw new TypeError(`value ${id} is not of stage ${this.#stage}`);
    const held = this.#splits.held.get(id) ?? WHOLE;
    const local = this.#rewriter.addValue({ name, shape: this.#partShape(shape, held), dtype, origin });
    const known = [{ held, id: local.id }];
    this.#local.set(id, known);
    return known;
  }

  /** Computed values that this stage or a later one reads, and an earlier one makes. */
  #crossing(stage: number): ValueId[] {
    const made = new Set<ValueId>();
    const read = new Set<ValueId>();
    for (const [node, of] of this.#stages) {
      for (const id of Object.values(of < stage ? node.outputs : node.inputs))
        (of < stage ? made : read).add(id);
    }
    return [...made].filter((id) => read.has(id));
  }

  /** Values cross as they are held first: each rank sends to the one that has its place in the next stage. */
  #send(id: ValueId): void {
    const [{ id: x }] = this.#local.get(id) as [LocalValue];
    this.#rewriter.addNode("send", { x }, { peer: this.#rank + this.#tensor }, "pipeline");
  }

  #receive(id: ValueId, readers: readonly Node[]): void {
    const value = this.#value(id);
    const held = this.#splits.held.get(id) ?? WHOLE;
    const shape = this.#partShape(value.shape, held);
    const rows = this.#as(this.#indexOfRows(value, readers), WHOLE, "pipeline");
    const attrs = { peer: this.#rank - this.#tensor, cols: shape[1] as number };
    const { y } = this.#rewriter.addNode("receive", { rows }, attrs, "pipeline");
    this.#local.set(id, [{ held, id: y as ValueId }]);
  }

  /** An index input with as many rows as the value: best one that the stage reads anyway. */
  #indexOfRows({ name, shape: [rows] }: Value, readers: readonly Node[]): ValueId {
    const fits = (id: ValueId) => {
      const { origin, dtype, shape } = this.#value(id);
      const [length] = shape;
      return (
        origin.kind === "input" &&
        dtype === "i32" &&
        shape.length === 1 &&
        length !== undefined &&
        rows !== undefined &&
        dimsEqual(length, rows)
      );
    };
    const read = readers.flatMap(({ inputs }) => Object.values(inputs));
    const all = this.#graph.values.map(({ id }) => id);
    const found = [...read, ...all].find(fits);
    if (found !== undefined) return found;
    throw new GlimtError(
      "GRAPH_INVALID",
      `"${this.#graph.name}": no index input has the ${rows === undefined ? 0 : formatDim(rows)} rows of ${name}, which crosses stages.`,
    );
  }

  #partShape(shape: Shape, held: Held): Shape {
    if (held === "partial") return shape;
    return shape.map((dim, axis) =>
      axis === 1 && typeof dim === "number" ? partRange(dim, held, this.#part(held.parts)).count : dim,
    );
  }

  /** Which of so many parts is this rank's. */
  #part(parts: number): number {
    return Math.floor(((this.#rank % this.#tensor) * parts) / this.#tensor);
  }

  #value(id: ValueId): Value {
    return this.#graph.values[id] as Value;
  }
}

function heldText(held: Held): string {
  if (held === "partial") return "summands";
  return isWhole(held) ? "a whole" : `${held.parts} parts of columns`;
}
