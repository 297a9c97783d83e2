/** What an entry of the op table says, and the types derived from it. */
import type { DType } from "../tensor/dtype.ts";

/**
 * activation: the graph's activation type. matrix: a weight used as a linear map.
 * rows: a weight read by row. vector: f32 parameters. table: f32 data. index: i32. state: persistent, activation type.
 */
export type OperandKind = "activation" | "matrix" | "rows" | "vector" | "table" | "index" | "state";

export interface InputSpec {
  readonly kind: OperandKind;
  readonly shape: string;
}

export type OutputSpec = ({ readonly like: string } | { readonly dtype: DType }) & { readonly shape: string };

/**
 * A number as u32 or f32, or one of a list of names, stored as its index. A u32 is a size or a count and so not 0; an
 * "index" is a u32 that may be.
 */
export type AttrSpec = "u32" | "index" | "f32" | readonly string[];
export type AttrValue<S> = S extends readonly (infer Name)[] ? Name : number;

export type Relation = "at most" | "less than" | "a multiple of";

/** What the patterns can not say: how one term of attributes, dimensions and integers relates to another. */
export type Condition = readonly [left: string, relation: Relation, right: string];

/**
 * One op of a composition. Its operands and attributes are the fused op's of the same name, where `names` says nothing
 * else: another name of the fused op's, a value that later steps read under that name, or, for an attribute, a number.
 */
export interface CompositionStep {
  readonly op: string;
  readonly names?: Readonly<Record<string, string | number>>;
}

/** Equal parts of an operand's columns or rows, one a rank in the ranks' order, or a summand on each. */
export type Split = "columns" | "rows" | "partial";

/**
 * A way to compute an op on the ranks of a tensor group, each with its part. Operands that are not named are whole on every
 * rank, as are results. The op's own rules and conditions hold for the parts too.
 */
export interface SplitRule<I extends string = string, A extends string = string, O extends string = string> {
  readonly inputs: Readonly<Partial<Record<I, Split>>>;
  readonly outputs: Readonly<Partial<Record<O, Exclude<Split, "rows">>>>;
  /** Attribute -> the operand whose parts have so many fewer of what it counts. */
  readonly counts?: Readonly<Partial<Record<A, I>>>;
  /** Attribute -> the one that counts all of which it says the first that a part has. */
  readonly firsts?: Readonly<Partial<Record<A, A>>>;
  /** Operands in as many parts as there are ranks, or as their count has, if that is less: several ranks then hold the same. */
  readonly shared?: readonly I[];
}

export interface OpDefinition {
  /** Stable number in the program encoding. */
  readonly code: number;
  readonly doc: string;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly attrs: Readonly<Record<string, AttrSpec>>;
  readonly outputs: Readonly<Record<string, OutputSpec>>;
  /** A view names part of its input; no instruction is emitted. */
  readonly view?: true | undefined;
  /** Ranks of a group do it together, each at the same place of its own program; no engine has a kernel of it. */
  readonly collective?: true | undefined;
  /**
   * Operands that are read row by row: row i of every output depends on row i of these, and on no other of their rows.
   * The other operands are read as a whole. Absent where rows of the result depend on several rows.
   */
  readonly rowwise?: readonly string[];
  /** Outputs that are their input's memory (the input must not be used afterwards). */
  readonly alias?: Readonly<Record<string, string>>;
  /** Outputs that may reuse their input's memory when nobody else needs it; kernels must allow it. */
  readonly inPlace?: Readonly<Record<string, string>>;
  /** The simpler ops a fused op stands for, in order: its specification and what it expands to. */
  readonly composition?: readonly CompositionStep[] | undefined;
  readonly conditions?: readonly Condition[];
  /** In order of preference; a fused op is split as the ops it stands for, before these are fused. */
  readonly splits?: readonly SplitRule[];
  /** Operands that are read whole, and yet are worth making in parts that are then gathered. */
  readonly gathered?: readonly string[];
}

/** Keeps the literal types of an entry, so that builder methods and tables of kernels can be derived from it. */
export function defineOp<
  const I extends Record<string, InputSpec>,
  const A extends Record<string, AttrSpec>,
  const O extends Record<string, OutputSpec>,
  const V extends true | undefined = undefined,
  const G extends true | undefined = undefined,
  const C extends readonly CompositionStep[] | undefined = undefined,
>(definition: {
  code: number;
  doc: string;
  inputs: I;
  attrs: A;
  outputs: O;
  view?: V;
  collective?: G;
  rowwise?: readonly (keyof I & string)[];
  alias?: Partial<Record<keyof O & string, keyof I & string>>;
  inPlace?: Partial<Record<keyof O & string, keyof I & string>>;
  composition?: C;
  conditions?: readonly Condition[];
  splits?: readonly SplitRule<keyof I & string, keyof A & string, keyof O & string>[];
  gathered?: readonly (keyof I & string)[];
}) {
  return definition;
}
