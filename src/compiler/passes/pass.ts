/** A pass turns a graph into an equivalent one. */
import type { Graph, Node, Value, ValueId } from "../../graph/graph.ts";
import { inferOutputs } from "../../graph/infer.ts";
import type { Supports } from "../../graph/node-query.ts";
import type { OpName } from "../../graph/ops.ts";
import type { WeightSpec } from "../../graph/weight-spec.ts";

export interface Pass {
  readonly name: string;
  /** It stands before a graph is partitioned: it changes what the model is, or which rows and nodes there are. */
  readonly ofWhole?: true;
  /** The same graph where nothing changes. `supports` says what may stand in the result; left out, every op may. */
  run(graph: Graph, supports?: Supports): Graph;
}

/** Copies a graph while nodes are replaced; values are only ever added. */
export class GraphRewriter {
  readonly values: Value[];
  readonly nodes: Node[] = [];
  readonly #graph: Graph;
  /** By name; listed when one is first asked for. */
  #weights: Map<string, ValueId> | undefined;

  constructor(graph: Graph) {
    this.#graph = graph;
    this.values = [...graph.values];
  }

  addValue(value: Omit<Value, "id">): Value {
    const added = { ...value, id: this.values.length };
    this.values.push(added);
    if (added.origin.kind === "weight") this.#weights?.set(added.name, added.id);
    return added;
  }

  /** The weight of the spec's name; it is added where there is none. */
  weight(spec: WeightSpec): ValueId {
    this.#weights ??= new Map(
      this.values.flatMap(({ id, name, origin }) => (origin.kind === "weight" ? [[name, id] as const] : [])),
    );
    const { name, shape, dtype } = spec;
    return (
      this.#weights.get(name) ?? this.addValue({ name, shape, dtype, origin: { kind: "weight", spec } }).id
    );
  }

  /** Appends a node whose outputs are new values or, where given, existing ones. */
  addNode(
    op: OpName,
    inputs: Readonly<Record<string, ValueId>>,
    attrs: Readonly<Record<string, number>>,
    scope: string,
    outputs: Readonly<Record<string, ValueId>> = {},
  ): Readonly<Record<string, ValueId>> {
    const types = Object.fromEntries(
      Object.entries(inputs).map(([name, id]) => [name, this.values[id] as Value]),
    );
    const results: Record<string, ValueId> = {};
    for (const [name, type] of Object.entries(inferOutputs(op, types, attrs, this.#graph.activationDType))) {
      results[name] =
        outputs[name] ?? this.addValue({ name: `${scope}.${op}`, ...type, origin: { kind: "computed" } }).id;
    }
    this.nodes.push({ op, inputs, attrs, outputs: results, scope });
    return results;
  }

  finish(): Graph {
    return { ...this.#graph, values: this.values, nodes: this.nodes };
  }
}
