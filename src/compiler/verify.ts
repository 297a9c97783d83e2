/** The rules every graph obeys; checked on what a model builds and again after each pass. */
import { GlimtError } from "../errors.ts";
import type { Graph, Node, Value, ValueId } from "../graph/graph.ts";
import { inferOutputs, type TensorType } from "../graph/infer.ts";
import type { OpDefinition } from "../graph/op-definition.ts";
import { OPS } from "../graph/ops.ts";
import { formatShape, shapesEqual } from "../tensor/dims.ts";

/**
 * @param from the verified graph that a pass made this one of: types of nodes that it has too, over the same values, are
 * not inferred again.
 * @throws GRAPH_INVALID when a value is used before it exists or after it was overwritten, computed twice, or
 * has another shape or dtype than its op gives.
 */
export function verifyGraph(graph: Graph, after: string, from?: Graph): void {
  new Verifier(graph, after, from).run();
}

/** What is known of a value while nodes are looked at in order. */
const [ABSENT, READY, OVERWRITTEN] = [0, 1, 2];

class Verifier {
  readonly #graph: Graph;
  readonly #after: string;
  /** Nodes whose types are known to fit. */
  readonly #typed: ReadonlySet<Node>;
  /** By value. */
  readonly #states: Uint8Array;

  constructor(graph: Graph, after: string, from: Graph | undefined) {
    this.#graph = graph;
    this.#after = after;
    this.#typed = new Set(from && keepsValues(from, graph) ? from.nodes : []);
    this.#states = new Uint8Array(graph.values.length);
  }

  run(): void {
    const { values, nodes, outputs } = this.#graph;
    for (let index = 0; index < values.length; index++) {
      const { id, origin } = values[index] as Value;
      if (id !== index) this.#fail(null, `value ${id} stands at ${index}`);
      if (origin.kind !== "computed") this.#states[index] = READY;
    }
    for (const node of nodes) {
      this.#checkOrder(node);
      if (!this.#typed.has(node)) this.#checkTypes(node);
    }
    for (const [name, id] of Object.entries(outputs)) {
      if (!this.#states[id]) this.#fail(null, `output "${name}" is never computed`);
    }
  }

  #checkOrder(node: Node): void {
    const { inputs, outputs, op } = node;
    const states = this.#states;
    for (const name in inputs) {
      const id = inputs[name] as ValueId;
      if (states[id] === READY) continue;
      this.#value(id, node);
      const isOverwritten = states[id] === OVERWRITTEN;
      this.#fail(
        node,
        `${name} is used ${isOverwritten ? "after it was overwritten in place" : "before it is computed"}`,
      );
    }
    for (const name in outputs) {
      const id = outputs[name] as ValueId;
      this.#value(id, node);
      if (states[id] !== ABSENT) this.#fail(node, `${name} is computed twice`);
      states[id] = READY;
    }
    const { alias }: OpDefinition = OPS[op];
    for (const output in alias) {
      if (output in outputs) states[inputs[alias[output] as string] as ValueId] = OVERWRITTEN;
    }
  }

  #checkTypes(node: Node): void {
    const types: Record<string, TensorType> = {};
    for (const [name, id] of Object.entries(node.inputs)) types[name] = this.#value(id, node);
    const expected = inferOutputs(node.op, types, node.attrs, this.#graph.activationDType);
    for (const [name, id] of Object.entries(node.outputs)) {
      const value = this.#value(id, node);
      const type = expected[name] ?? this.#fail(node, `there is no output "${name}"`);
      if (shapesEqual(type.shape, value.shape) && type.dtype === value.dtype) continue;
      this.#fail(
        node,
        `${name} is ${value.dtype}${formatShape(value.shape)}, the op gives ${type.dtype}${formatShape(type.shape)}`,
      );
    }
  }

  #value(id: ValueId, node: Node): Value {
    return this.#graph.values[id] ?? this.#fail(node, `value ${id} does not exist`);
  }

  #fail(node: Node | null, message: string): never {
    const where = node ? ` at ${node.scope}.${node.op}` : "";
    throw new GlimtError(
      "GRAPH_INVALID",
      `Graph "${this.#graph.name}" after ${this.#after}${where}: ${message}.`,
    );
  }
}

/** Whether a pass only added values, as it should. */
function keepsValues(from: Graph, graph: Graph): boolean {
  return (
    from.activationDType === graph.activationDType &&
    from.values.every((value, id) => graph.values[id] === value)
  );
}
