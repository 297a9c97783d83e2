/**
 * Shape inference from the op table's patterns. A pattern is dimensions separated by spaces; a dimension is a
 * product, quotient or sum of integers, attribute names and letters ("numHeads*headDim", "m/factor", "s+1").
 */
import { GlimtError } from "../errors.ts";
import {
  type Dim,
  dimsEqual,
  divideDim,
  formatShape,
  offsetDim,
  type Shape,
  scaleDim,
} from "../tensor/dims.ts";
import type { DType } from "../tensor/dtype.ts";
import type { OpDefinition, OperandKind } from "./op-definition.ts";
import { OPS, type OpName } from "./ops.ts";

export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

type Attrs = Readonly<Record<string, number>>;

/**
 * Types of an op's outputs, after checking its inputs.
 * @throws GRAPH_INVALID naming the op, the operand, and the expected and found shape or dtype.
 */
export function inferOutputs(
  op: OpName,
  inputs: Readonly<Record<string, TensorType>>,
  attrs: Attrs,
  activationDType: DType,
): Record<string, TensorType> {
  const definition: OpDefinition = OPS[op];
  const dims: Record<string, Dim> = {};
  for (const [name, spec] of Object.entries(definition.inputs)) {
    const input = inputs[name];
    if (!input) throw new GlimtError("GRAPH_INVALID", `${op}: input "${name}" is missing.`);
    checkDType(op, name, spec.kind, input.dtype, activationDType);
    unify(op, name, spec.shape, input.shape, dims, attrs, inputs);
  }
  const complaint = definition.check?.({ dims, attrs });
  if (complaint) throw new GlimtError("GRAPH_INVALID", `${op}: ${complaint}.`);

  const outputs: Record<string, TensorType> = {};
  for (const [name, spec] of Object.entries(definition.outputs)) {
    const shape = spec.shape.split(" ").map((term) => known(op, term, dims, attrs));
    const dtype = "dtype" in spec ? spec.dtype : (inputs[spec.like]?.dtype ?? activationDType);
    outputs[name] = { shape, dtype };
  }
  return outputs;
}

const KIND_DTYPES: Readonly<Record<Exclude<OperandKind, "activation" | "state">, readonly DType[]>> = {
  matrix: ["f32", "bf16", "f16"],
  rows: ["f32", "bf16", "f16"],
  vector: ["f32"],
  table: ["f32"],
  index: ["i32"],
};

function checkDType(op: OpName, name: string, kind: OperandKind, found: DType, activation: DType): void {
  const allowed = kind === "activation" || kind === "state" ? [activation] : KIND_DTYPES[kind];
  if (!allowed.includes(found)) {
    throw new GlimtError(
      "GRAPH_INVALID",
      `${op}: ${name} is ${found}, expected ${allowed.join(" or ")} (${kind}).`,
    );
  }
}

function unify(
  op: OpName,
  name: string,
  pattern: string,
  shape: Shape,
  dims: Record<string, Dim>,
  attrs: Attrs,
  inputs: Readonly<Record<string, TensorType>>,
): void {
  const terms = pattern.split(" ");
  const mismatch = () => {
    const others = Object.entries(inputs)
      .filter(([other]) => other !== name)
      .map(([other, type]) => `${other} ${formatShape(type.shape)}`);
    return new GlimtError(
      "GRAPH_INVALID",
      `${op}: ${name} has shape ${formatShape(shape)}, expected [${terms.join(", ")}]${others.length ? ` with ${others.join(", ")}` : ""}.`,
    );
  };
  if (terms.length !== shape.length) throw mismatch();
  terms.forEach((term, axis) => {
    const found = shape[axis] as Dim;
    const value = evaluate(term, dims, attrs);
    if (value !== null) {
      if (!dimsEqual(value, found)) throw mismatch();
      return;
    }
    const bound = solve(term, found);
    if (!bound)
      throw new GlimtError("GRAPH_INVALID", `${op}: the pattern "${term}" of ${name} can not be solved.`);
    dims[bound.letter] = bound.value;
  });
}

/** Binds the letter of "s" or "s+1" to the dimension found. */
function solve(term: string, found: Dim): { letter: string; value: Dim } | null {
  const [letter, add] = term.split("+");
  if (!letter || /[*/]/.test(letter)) return null;
  return { letter, value: offsetDim(found, -Number(add ?? 0)) };
}

function known(op: OpName, term: string, dims: Record<string, Dim>, attrs: Attrs): Dim {
  const value = evaluate(term, dims, attrs);
  if (value === null) throw new GlimtError("GRAPH_INVALID", `${op}: "${term}" has no value.`);
  return value;
}

/** The value of a term, or null while a letter in it is not bound. */
function evaluate(term: string, dims: Record<string, Dim>, attrs: Attrs): Dim | null {
  const [product, add] = term.split("+");
  let value: Dim = 1;
  for (const factor of (product as string).match(/[*/]?[^*/]+/g) ?? []) {
    const divides = factor.startsWith("/");
    const word = factor.replace(/^[*/]/, "");
    const operand = /^\d+$/.test(word) ? Number(word) : (attrs[word] ?? dims[word]);
    if (operand === undefined) return null;
    if (typeof operand === "number") value = divides ? divideDim(value, operand) : scaleDim(value, operand);
    else if (typeof value === "number" && !divides) value = scaleDim(operand, value);
    else return null;
  }
  return offsetDim(value, Number(add ?? 0));
}
