/** The one-op graph of a case, with what its op needs around it. */
import { createGraphBuilder } from "../graph/builder.ts";
import type { Graph, Value } from "../graph/graph.ts";
import type { OpDefinition } from "../graph/op-definition.ts";
import { OPS } from "../graph/ops.ts";
import type { DType } from "../tensor/dtype.ts";
import { holdsColumns } from "../tensor/storage.ts";
import { caseName, type OpCase, type Operand } from "./case.ts";

type AnyOp = (
  inputs: Record<string, Value>,
  attrs: Readonly<Record<string, number | string>>,
) => Value | Record<string, Value>;

/** Name of a weight that is all zeros; every other weight is called like its operand. */
export const ZEROS = "zeros";

/**
 * Operands become inputs, weights and states of their own name; results become outputs of theirs. Adding a
 * zero bias makes a copy: before the op of an operand that will be overwritten, after it of a result that
 * must not be an output of the program (a view, or a value that shares its input's memory).
 */
export function caseGraph(test: OpCase, activation: DType): Graph {
  const definition: OpDefinition = OPS[test.op];
  const builder = createGraphBuilder({
    name: caseName(test),
    activationDType: activation,
    weightDType: (_, cols) => (holdsColumns(test.weight, cols) ? test.weight : "f32"),
    kvCacheDType: test.cache,
  });
  const copy = (x: Value) => {
    const cols = x.shape[1] as number;
    return builder.add_bias({ x, bias: builder.weight(`${ZEROS}${cols}`, [cols]) });
  };
  const overwritten = [
    ...Object.values(definition.alias ?? {}),
    ...(test.inPlace ? Object.values(definition.inPlace ?? {}) : []),
  ];

  const inputs: Record<string, Value> = {};
  for (const [name, { kind }] of Object.entries(definition.inputs)) {
    const operand = test.operands[name] as Operand;
    if (kind === "matrix" || kind === "rows" || kind === "vector") {
      inputs[name] = builder.weight(name, operand.shape as readonly number[]);
    } else if (kind === "state") {
      inputs[name] = builder.state(name, operand.shape);
    } else {
      const value = inputValue(operand, (shape) =>
        builder.input(name, shape, kind === "index" ? "i32" : kind === "table" ? "f32" : activation),
      );
      inputs[name] = overwritten.includes(name) ? copy(value) : value;
    }
  }
  function inputValue({ shape, padding }: Operand, declare: (shape: Operand["shape"]) => Value): Value {
    if (!padding) return declare(shape);
    const [before, after] = padding;
    const [rows, cols] = shape as [Operand["shape"][0], number];
    return builder.slice({ x: declare([rows, before + cols + after]) }, { start: before, length: cols });
  }

  const results = (builder[test.op] as unknown as AnyOp)(inputs, test.attrs);
  const names = Object.keys(definition.outputs);
  const byName =
    names.length === 1 ? { [names[0] as string]: results as Value } : (results as Record<string, Value>);
  const isState = (name: string) => definition.inputs[definition.alias?.[name] ?? ""]?.kind === "state";
  return builder.finish(
    Object.fromEntries(
      Object.entries(byName)
        .filter(([name]) => !isState(name))
        .map(([name, value]) => [name, definition.view || test.inPlace ? copy(value) : value]),
    ),
  );
}
