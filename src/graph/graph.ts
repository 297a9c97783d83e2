/** The graph: values, and nodes in execution order. Plain data; passes copy it instead of changing it. */

import type { Shape } from "../tensor/dims.ts";
import type { DType } from "../tensor/dtype.ts";
import type { StorageFormat } from "../tensor/storage.ts";
import type { OpName } from "./ops.ts";
import type { WeightSpec } from "./weight-spec.ts";

export type ValueId = number;

export type ValueOrigin =
  | { readonly kind: "input" }
  | { readonly kind: "state" }
  | { readonly kind: "weight"; readonly spec: WeightSpec }
  | { readonly kind: "computed" };

export interface Value {
  readonly id: ValueId;
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: StorageFormat;
  readonly origin: ValueOrigin;
}

export interface Node {
  readonly op: OpName;
  /** In the op table's order. */
  readonly inputs: Readonly<Record<string, ValueId>>;
  /** In the op table's order; named choices are stored as their index. */
  readonly attrs: Readonly<Record<string, number>>;
  readonly outputs: Readonly<Record<string, ValueId>>;
  /** Where in the model it stands, for messages and listings, e.g. "layers.3.attention". */
  readonly scope: string;
}

export interface Graph {
  readonly name: string;
  /** Type of every activation; of states too where no other is asked for. */
  readonly activationDType: DType;
  readonly values: readonly Value[];
  readonly nodes: readonly Node[];
  /** Output name -> value. */
  readonly outputs: Readonly<Record<string, ValueId>>;
}

/** Which nodes read each value (graph outputs are not counted). */
export function consumers(graph: Graph): Map<ValueId, Node[]> {
  const readers = new Map<ValueId, Node[]>();
  for (const node of graph.nodes) {
    for (const name in node.inputs) {
      const id = node.inputs[name] as ValueId;
      const list = readers.get(id);
      if (list) list.push(node);
      else readers.set(id, [node]);
    }
  }
  return readers;
}
