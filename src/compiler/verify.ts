/** The rules every graph obeys; checked on what a model builds and again after each pass. */
import { GlimtError } from "../errors.ts";
import type { consumers, Graph, Node, Value, ValueId } from "../graph/graph.ts";
import { inferOutputs, type TensorType } from "../graph/infer.ts";
import type { OpDefinition } from "../graph/op-definition.ts";
import { OPS } from "../graph/ops.ts";
import { formatShape, shapesEqual } from "../tensor/dims.ts";

/**
 * @throws GRAPH_INVALID when a value is used before it exists or after it was overwritten, computed twice, or
 * has another shape or dtype than its op gives.
 */
export function verifyGraph(graph: Graph, after: string): void {
  const fail = (node: Node | null, message: string): never => {
    const where = node ? ` at ${node.scope}.${node.op}` : "";
    throw new GlimtError("GRAPH_INVALID", `Graph "${graph.name}" after ${after}${where}: ${message}.`);
  };
  const valueById = (id: ValueId, node: Node | null): Value =>
    graph.values[id] ?? fail(node, `value ${id} does not exist`);
  const ready = new Set<ValueId>();
  const overwritten = new Set<ValueId>();
  graph.values.forEach((value, index) => {
    if (value.id !== index) fail(null, `value ${value.id} stands at ${index}`);
    if (value.origin.kind !== "computed") ready.add(value.id);
  });

  for (const node of graph.nodes) {
    const definition: OpDefinition = OPS[node.op];
    const types: Record<string, TensorType> = {};
    for (const [name, id] of Object.entries(node.inputs)) {
      types[name] = valueById(id, node);
      if (!ready.has(id)) fail(node, `${name} is used before it is computed`);
      if (overwritten.has(id)) fail(node, `${name} is used after it was overwritten in place`);
    }
    const expected = inferOutputs(node.op, types, node.attrs, graph.activationDType);
    for (const [name, id] of Object.entries(node.outputs)) {
      const value = valueById(id, node);
      const type = expected[name] ?? fail(node, `there is no output "${name}"`);
      if (ready.has(id)) fail(node, `${name} is computed twice`);
      if (!shapesEqual(type.shape, value.shape) || type.dtype !== value.dtype) {
        fail(
          node,
          `${name} is ${value.dtype}${formatShape(value.shape)}, the op gives ${type.dtype}${formatShape(type.shape)}`,
        );
      }
      ready.add(id);
      const aliased = definition.alias?.[name];
      if (aliased) overwritten.add(node.inputs[aliased] as ValueId);
    }
  }
  for (const [name, id] of Object.entries(graph.outputs)) {
    if (!ready.has(id)) fail(null, `output "${name}" is never computed`);
  }
}

/** Nodes whose results nobody needs, states apart. */
export function isDead(graph: Graph, node: Node, readers: ReturnType<typeof consumers>): boolean {
  const definition: OpDefinition = OPS[node.op];
  const outputs = Object.values(node.outputs);
  const writesState = Object.values(definition.alias ?? {}).some((input) => {
    const id = node.inputs[input];
    return id !== undefined && graph.values[id]?.origin.kind === "state";
  });
  const isOutput = outputs.some((id) => Object.values(graph.outputs).includes(id));
  return !writesState && !isOutput && outputs.every((id) => !readers.has(id));
}
