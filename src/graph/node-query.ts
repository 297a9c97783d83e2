/** What is asked before a backend is given a node: whether it can run it with operands stored as they are. */
import type { DType } from "../tensor/dtype.ts";
import type { StorageFormat } from "../tensor/storage.ts";
import type { Graph, Node, Value } from "./graph.ts";
import type { OpName } from "./ops.ts";

export interface NodeQuery {
  readonly op: OpName;
  /** As nodes have them: named choices as their index. */
  readonly attrs: Readonly<Record<string, number>>;
  readonly activation: DType;
  /** Storage format of each input, by name in the op table's order. */
  readonly formats: Readonly<Record<string, StorageFormat>>;
}

/** Whether a node can be run as it is. */
export type Supports = (query: NodeQuery) => boolean;

export function nodeQuery(
  { activationDType, values }: Pick<Graph, "activationDType" | "values">,
  { op, attrs, inputs }: Pick<Node, "op" | "attrs" | "inputs">,
): NodeQuery {
  const formats = Object.entries(inputs).map(([name, id]) => [name, (values[id] as Value).dtype]);
  return { op, attrs, activation: activationDType, formats: Object.fromEntries(formats) };
}
