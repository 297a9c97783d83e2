/** Builds a graph: declares inputs, weights and states, and has one checked method for each op of the table. */

import { GlimtError } from "../errors.ts";
import { formatShape, type Shape, type SymbolicDim, symbolDim } from "../tensor/dims.ts";
import type { CacheDType, DType } from "../tensor/dtype.ts";
import { blockCols, holdsColumns, isGroupedFormat, type WeightFormat } from "../tensor/storage.ts";
import type { Graph, Node, Value, ValueId, ValueOrigin } from "./graph.ts";
import { inferOutputs, type TensorType } from "./infer.ts";
import type { AttrSpec, AttrValue, OpDefinition } from "./op-definition.ts";
import { OP_NAMES, OPS, type OpName } from "./ops.ts";
import type { WeightSource } from "./weight-spec.ts";

/** Storage of a matrix of so many columns, given the checkpoint tensors that it is made of. */
export type ChooseWeightFormat = (tensors: readonly string[], cols: number) => WeightFormat;

export interface GraphOptions {
  readonly name: string;
  readonly activationDType: DType;
  /** Vectors are f32 whatever it says. */
  readonly weightDType: ChooseWeightFormat;
  /** What states (the KV cache) are stored in; default: the activation type. */
  readonly kvCacheDType?: CacheDType | undefined;
}

export interface WeightOptions {
  readonly layout?: WeightSource["layout"];
  /** The tensor's shape in the checkpoint, where it is not the weight's own. */
  readonly tensorShape?: readonly number[];
  /** Several tensors stacked by rows, instead of the one called like the weight. */
  readonly sources?: readonly WeightSource[];
}

type Inputs<N extends OpName> = { readonly [K in keyof (typeof OPS)[N]["inputs"]]: Value };
type Attrs<N extends OpName> = {
  readonly [K in keyof (typeof OPS)[N]["attrs"]]: (typeof OPS)[N]["attrs"][K] extends AttrSpec
    ? AttrValue<(typeof OPS)[N]["attrs"][K]>
    : never;
};
type Outputs<N extends OpName> = keyof (typeof OPS)[N]["outputs"] extends infer K
  ? [K] extends [never]
    ? undefined
    : IsUnion<K> extends true
      ? { readonly [P in keyof (typeof OPS)[N]["outputs"]]: Value }
      : Value
  : never;
type IsUnion<T, U = T> = [T] extends [never] ? false : T extends U ? ([U] extends [T] ? false : true) : never;
type OpMethod<N extends OpName> = keyof (typeof OPS)[N]["attrs"] extends never
  ? (inputs: Inputs<N>) => Outputs<N>
  : (inputs: Inputs<N>, attrs: Attrs<N>) => Outputs<N>;

/** One method an op; an op with one output returns it, others return them by name, and one without returns nothing. */
export type OpMethods = { readonly [N in OpName]: OpMethod<N> };

export interface BuilderCore {
  symbol(name: string): SymbolicDim;
  input(name: string, shape: Shape, dtype: DType): Value;
  /** Memory that outlives a run: the KV cache. */
  state(name: string, shape: Shape): Value;
  weight(name: string, shape: readonly number[], options?: WeightOptions): Value;
  /** Runs `body` with a name that prefixes the scope of its nodes. */
  scope<T>(name: string, body: () => T): T;
  finish(outputs: Readonly<Record<string, Value>>): Graph;
}

export type GraphBuilder = BuilderCore & OpMethods;

export function createGraphBuilder(options: GraphOptions): GraphBuilder {
  const values: Value[] = [];
  const nodes: Node[] = [];
  const declared = new Map<string, Value>();
  const scopes: string[] = [];

  const newValue = (name: string, type: TensorType, origin: ValueOrigin): Value => {
    const value: Value = { id: values.length, name, ...type, origin };
    values.push(value);
    return value;
  };
  const declare = (name: string, type: TensorType, origin: ValueOrigin): Value => {
    if (declared.has(name)) throw new GlimtError("GRAPH_INVALID", `"${name}" is declared twice.`);
    const value = newValue(name, type, origin);
    declared.set(name, value);
    return value;
  };

  const core: BuilderCore = {
    symbol: symbolDim,
    input: (name, shape, dtype) => declare(name, { shape, dtype }, { kind: "input" }),
    state: (name, shape) =>
      declare(name, { shape, dtype: options.kvCacheDType ?? options.activationDType }, { kind: "state" }),
    weight(name, shape, { layout = "rows", tensorShape = shape, sources } = {}) {
      const used = declared.get(name);
      if (used?.origin.kind === "weight") {
        if (formatShape(used.shape) !== formatShape(shape)) {
          throw new GlimtError(
            "GRAPH_INVALID",
            `Weight "${name}" is used as ${formatShape(used.shape)} and ${formatShape(shape)}.`,
          );
        }
        return used;
      }
      const from = sources ?? [{ tensor: name, shape: tensorShape, layout }];
      const cols = shape.slice(1).reduce((product, size) => product * size, 1);
      const tensors = from.map((source) => source.tensor);
      const dtype = shape.length === 1 ? "f32" : options.weightDType(tensors, cols);
      if (isGroupedFormat(dtype) && !holdsColumns(dtype, cols)) {
        throw new GlimtError(
          "GRAPH_INVALID",
          `Weight "${name}" is ${formatShape(shape)}; ${dtype} has whole blocks of ${blockCols(dtype)} columns.`,
        );
      }
      return declare(name, { shape, dtype }, { kind: "weight", spec: { name, shape, dtype, sources: from } });
    },
    scope(name, body) {
      scopes.push(name);
      try {
        return body();
      } finally {
        scopes.pop();
      }
    },
    finish: (outputs) => ({
      name: options.name,
      activationDType: options.activationDType,
      values,
      nodes,
      outputs: Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, value.id])),
    }),
  };

  const append = (op: OpName, inputs: Record<string, Value>, attrs: Record<string, number | string>) => {
    const definition: OpDefinition = OPS[op];
    const encoded = encodeAttrs(op, attrs);
    const types = inferOutputs(op, inputs, encoded, options.activationDType);
    const scope = scopes.join(".");
    const outputs = Object.entries(types).map(([name, type]) => {
      return [name, newValue(scope ? `${scope}.${op}` : op, type, { kind: "computed" })] as const;
    });
    nodes.push({
      op,
      inputs: pick(Object.keys(definition.inputs), (name) => (inputs[name] as Value).id),
      attrs: encoded,
      outputs: Object.fromEntries(outputs.map(([name, value]) => [name, value.id])),
      scope,
    });
    return outputs.length < 2 ? outputs[0]?.[1] : Object.fromEntries(outputs);
  };
  const methods = Object.fromEntries(
    OP_NAMES.map((op) => [op, (inputs: Record<string, Value>, attrs = {}) => append(op, inputs, attrs)]),
  );
  return { ...core, ...methods } as GraphBuilder;
}

/** Attributes in the table's order, named choices as their index. */
function encodeAttrs(op: OpName, attrs: Readonly<Record<string, number | string>>): Record<string, number> {
  const specs: Readonly<Record<string, AttrSpec>> = OPS[op].attrs;
  for (const name of Object.keys(attrs)) {
    if (!(name in specs)) throw new GlimtError("GRAPH_INVALID", `${op} has no attribute "${name}".`);
  }
  return Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => {
      const value = attrs[name];
      const encoded = typeof spec === "string" ? value : spec.indexOf(String(value));
      const valid =
        typeof encoded === "number" &&
        (spec === "f32" ? Number.isFinite(encoded) : Number.isInteger(encoded) && encoded >= 0);
      if (!valid) {
        const expected = typeof spec === "string" ? spec : spec.join(" or ");
        throw new GlimtError(
          "GRAPH_INVALID",
          `${op}: attribute "${name}" is ${value}, expected ${expected}.`,
        );
      }
      return [name, encoded];
    }),
  );
}

function pick(names: readonly string[], id: (name: string) => ValueId): Record<string, ValueId> {
  return Object.fromEntries(names.map((name) => [name, id(name)]));
}
