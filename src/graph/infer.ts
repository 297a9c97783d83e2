/** Shape inference from the op table's patterns: inputs are unified with them, and outputs follow. */
import { GlimtError } from "../errors.ts";
import {
  type Dim,
  dimsEqual,
  divideDim,
  formatDim,
  formatShape,
  offsetDim,
  type Shape,
  scaleDim,
} from "../tensor/dims.ts";
import { CACHE_DTYPES, type DType } from "../tensor/dtype.ts";
import {
  blockCols,
  holdsColumns,
  isBlockFormat,
  type StorageFormat,
  WEIGHT_FORMATS,
} from "../tensor/storage.ts";
import type { OpDefinition, OperandKind, OutputSpec, Relation } from "./op-definition.ts";
import { OPS, type OpName } from "./ops.ts";
import { parsePattern, parseTerm, type Term } from "./pattern.ts";

export interface TensorType {
  readonly shape: Shape;
  readonly dtype: StorageFormat;
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
  const { inputRules, outputRules, conditions } = ruleOf(op);
  const dims: Record<string, Dim> = {};
  for (const rule of inputRules) {
    const input = inputs[rule.name];
    if (!input) throw new GlimtError("GRAPH_INVALID", `${op}: input "${rule.name}" is missing.`);
    checkDType(op, rule, input.dtype, activationDType);
    checkBlocks(op, rule, input.dtype, attrs);
    unify(op, rule, input.shape, dims, attrs, inputs);
  }
  for (const condition of conditions) checkCondition(op, condition, dims, attrs);

  const outputs: Record<string, TensorType> = {};
  for (const { name, spec, terms } of outputRules) {
    const shape = terms.map((term) => known(op, term, dims, attrs));
    const dtype = "dtype" in spec ? spec.dtype : (inputs[spec.like]?.dtype ?? activationDType);
    outputs[name] = { shape, dtype };
  }
  return outputs;
}

/** An op's entry with its patterns parsed. */
interface Rule {
  readonly inputRules: readonly InputRule[];
  readonly outputRules: readonly {
    readonly name: string;
    readonly spec: OutputSpec;
    readonly terms: Term[];
  }[];
  readonly conditions: readonly { left: Term; relation: Relation; right: Term }[];
}

interface InputRule {
  readonly name: string;
  readonly kind: OperandKind;
  readonly terms: readonly Term[];
}

const rules = new Map<OpName, Rule>();

/** Graphs have thousands of nodes of a few ops: each op's patterns are parsed once. */
function ruleOf(op: OpName): Rule {
  let rule = rules.get(op);
  if (!rule) {
    const definition: OpDefinition = OPS[op];
    rule = {
      inputRules: Object.entries(definition.inputs).map(([name, { kind, shape }]) => ({
        name,
        kind,
        terms: parsePattern(shape),
      })),
      outputRules: Object.entries(definition.outputs).map(([name, spec]) => ({
        name,
        spec,
        terms: parsePattern(spec.shape),
      })),
      conditions: (definition.conditions ?? []).map(([left, relation, right]) => ({
        left: parseTerm(left),
        relation,
        right: parseTerm(right),
      })),
    };
    rules.set(op, rule);
  }
  return rule;
}

/** Types of operands that depend on no activation type. */
export const KIND_DTYPES: Readonly<
  Record<Exclude<OperandKind, "activation" | "state">, readonly StorageFormat[]>
> = {
  matrix: WEIGHT_FORMATS,
  rows: WEIGHT_FORMATS,
  vector: ["f32"],
  table: ["f32"],
  index: ["i32"],
};

function checkDType(op: OpName, { name, kind }: InputRule, found: StorageFormat, activation: DType): void {
  const allowed = allowedDTypes(kind, activation);
  if (allowed.includes(found)) return;
  throw new GlimtError(
    "GRAPH_INVALID",
    `${op}: ${name} is ${found}, expected ${allowed.join(" or ")} (${kind}).`,
  );
}

/** The rows of a state are keys or values of a head: those of a block format are whole blocks. */
function checkBlocks(
  op: OpName,
  { name, kind }: InputRule,
  found: StorageFormat,
  { headDim = 0 }: Attrs,
): void {
  if (kind !== "state" || !isBlockFormat(found) || holdsColumns(found, headDim)) return;
  throw new GlimtError(
    "GRAPH_INVALID",
    `${op}: ${name} is ${found}, which has whole blocks of ${blockCols(found)}, and headDim is ${headDim}.`,
  );
}

function allowedDTypes(kind: OperandKind, activation: DType): readonly StorageFormat[] {
  if (kind === "activation") return [activation];
  return kind === "state" ? [...new Set([activation, ...CACHE_DTYPES])] : KIND_DTYPES[kind];
}

function unify(
  op: OpName,
  rule: InputRule,
  shape: Shape,
  dims: Record<string, Dim>,
  attrs: Attrs,
  inputs: Readonly<Record<string, TensorType>>,
): void {
  const { name, terms } = rule;
  if (terms.length !== shape.length) throw mismatch(op, rule, shape, inputs);
  for (let axis = 0; axis < terms.length; axis++) {
    const term = terms[axis] as Term;
    const found = shape[axis] as Dim;
    const value = evaluate(term, dims, attrs);
    if (value === null) bind(op, name, term, found, dims);
    else if (value !== found && !dimsEqual(value, found)) throw mismatch(op, rule, shape, inputs);
  }
}

function mismatch(
  op: OpName,
  { name, terms }: InputRule,
  shape: Shape,
  inputs: Readonly<Record<string, TensorType>>,
): GlimtError {
  const others = Object.entries(inputs)
    .filter(([other]) => other !== name)
    .map(([other, type]) => `${other} ${formatShape(type.shape)}`);
  const pattern = terms.map(({ text }) => text).join(", ");
  return new GlimtError(
    "GRAPH_INVALID",
    `${op}: ${name} has shape ${formatShape(shape)}, expected [${pattern}]${others.length ? ` with ${others.join(", ")}` : ""}.`,
  );
}

function checkCondition(
  op: OpName,
  { left, relation, right }: Rule["conditions"][number],
  dims: Record<string, Dim>,
  attrs: Attrs,
): void {
  const [a, b] = [known(op, left, dims, attrs), known(op, right, dims, attrs)];
  if (typeof a === "number" && typeof b === "number" && RELATIONS[relation](a, b)) return;
  const side = ({ text }: Term, value: Dim) =>
    text === String(value) ? text : `${text} = ${typeof value === "number" ? value : formatDim(value)}`;
  throw new GlimtError("GRAPH_INVALID", `${op}: ${side(left, a)} is not ${relation} ${side(right, b)}.`);
}

const RELATIONS: Readonly<Record<Relation, (left: number, right: number) => boolean>> = {
  "at most": (left, right) => left <= right,
  "less than": (left, right) => left < right,
  "a multiple of": (left, right) => left % right === 0,
};

/** Binds the letter of "s" or "s+1" to the dimension found. */
function bind(op: OpName, name: string, term: Term, found: Dim, dims: Record<string, Dim>): void {
  const [factor, ...others] = term.factors;
  if (
    typeof factor?.word !== "string" ||
    factor.divides ||
    others.length > 0 ||
    typeof term.add === "string"
  ) {
    throw new GlimtError("GRAPH_INVALID", `${op}: the pattern "${term.text}" of ${name} can not be solved.`);
  }
  dims[factor.word] = term.add === 0 ? found : offsetDim(found, -term.add);
}

function known(op: OpName, term: Term, dims: Record<string, Dim>, attrs: Attrs): Dim {
  const value = evaluate(term, dims, attrs);
  if (value === null) throw new GlimtError("GRAPH_INVALID", `${op}: "${term.text}" has no value.`);
  return value;
}

/** The value of a term, or null while a letter in it is not bound. */
function evaluate({ text, isName, factors, add }: Term, dims: Record<string, Dim>, attrs: Attrs): Dim | null {
  if (isName) return attrs[text] ?? dims[text] ?? null;
  let value: Dim = 1;
  for (const { word, divides } of factors) {
    const operand = typeof word === "number" ? word : (attrs[word] ?? dims[word]);
    if (operand === undefined) return null;
    if (value === 1 && !divides) value = operand;
    else if (typeof operand === "number")
      value = divides ? divideDim(value, operand) : scaleDim(value, operand);
    else if (typeof value === "number" && !divides) value = scaleDim(operand, value);
    else return null;
  }
  const addend = typeof add === "number" ? add : attrs[add];
  if (addend === undefined) return null;
  return addend === 0 ? value : offsetDim(value, addend);
}
