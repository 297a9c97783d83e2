/** The syntax tree of a template. */
import type { BinaryOperator, Comparison } from "./operators.ts";
import type { Value } from "./py-object.ts";

/** What names in a target or a parameter list are for. */
export type NameUse = "load" | "store" | "param";

export interface Name {
  readonly kind: "Name";
  readonly name: string;
  readonly use: NameUse;
  readonly line: number;
}

export interface CallArguments {
  readonly args: readonly Expr[];
  readonly keywords: readonly (readonly [name: string, value: Expr])[];
  readonly moreArgs: Expr | null;
  readonly moreKeywords: Expr | null;
}

export type Target = Name | NamespaceTarget | TupleTarget;

export interface NamespaceTarget {
  readonly kind: "NamespaceTarget";
  readonly name: string;
  readonly attribute: string;
}

export interface TupleTarget {
  readonly kind: "TupleTarget";
  readonly items: readonly Target[];
}

export interface SliceBounds {
  readonly kind: "Slice";
  readonly bounds: readonly [start: Expr | null, stop: Expr | null, step: Expr | null];
}

export interface Filter extends CallArguments {
  readonly kind: "Filter" | "Test";
  /** Null: the text of the block that is filtered. */
  readonly value: Expr | null;
  readonly name: string;
  readonly line: number;
}

export interface Call extends CallArguments {
  readonly kind: "Call";
  readonly callee: Expr;
}

export type Expr =
  | { readonly kind: "Const"; readonly value: Value }
  | Name
  | { readonly kind: "Tuple" | "List"; readonly items: readonly Expr[] }
  | { readonly kind: "Dict"; readonly pairs: readonly (readonly [key: Expr, value: Expr])[] }
  | {
      readonly kind: "Conditional";
      readonly test: Expr;
      readonly chosen: Expr;
      readonly otherwise: Expr | null;
      readonly line: number;
    }
  | { readonly kind: "And" | "Or"; readonly left: Expr; readonly right: Expr }
  | { readonly kind: "Not"; readonly value: Expr }
  | { readonly kind: "Sign"; readonly operator: "+" | "-"; readonly value: Expr }
  | { readonly kind: "Binary"; readonly operator: BinaryOperator; readonly left: Expr; readonly right: Expr }
  | { readonly kind: "Concat"; readonly parts: readonly Expr[] }
  | {
      readonly kind: "Compare";
      readonly first: Expr;
      readonly rest: readonly (readonly [operator: Comparison, value: Expr])[];
    }
  | { readonly kind: "Attribute"; readonly value: Expr; readonly name: string }
  | { readonly kind: "Item"; readonly value: Expr; readonly key: Expr | SliceBounds }
  | Call
  | Filter;

export interface Signature {
  readonly parameters: readonly Name[];
  /** Of the last parameters. */
  readonly defaults: readonly Expr[];
  readonly body: readonly Statement[];
  readonly line: number;
}

export interface MacroStatement extends Signature {
  readonly kind: "Macro";
  readonly name: string;
}

export interface CallStatement extends Signature {
  readonly kind: "CallBlock";
  readonly call: Call;
}

export interface ForStatement {
  readonly kind: "For";
  readonly target: Target;
  readonly items: Expr;
  readonly test: Expr | null;
  readonly isRecursive: boolean;
  readonly body: readonly Statement[];
  readonly otherwise: readonly Statement[];
  readonly line: number;
}

export interface IfBranch {
  readonly test: Expr;
  readonly body: readonly Statement[];
  readonly line: number;
}

export interface BlockStatement {
  readonly kind: "Block";
  readonly name: string;
  readonly isScoped: boolean;
  readonly isRequired: boolean;
  readonly body: readonly Statement[];
  readonly line: number;
}

export type Statement =
  | { readonly kind: "Data"; readonly text: string }
  | { readonly kind: "Print"; readonly value: Expr; readonly line: number }
  | {
      readonly kind: "If";
      readonly branches: readonly IfBranch[];
      readonly otherwise: readonly Statement[];
    }
  | ForStatement
  | MacroStatement
  | CallStatement
  | BlockStatement
  | {
      readonly kind: "FilterBlock";
      readonly filter: Filter;
      readonly body: readonly Statement[];
      readonly line: number;
    }
  | {
      readonly kind: "With";
      readonly pairs: readonly (readonly [target: Target, value: Expr])[];
      readonly body: readonly Statement[];
      readonly line: number;
    }
  | { readonly kind: "Set"; readonly target: Target; readonly value: Expr; readonly line: number }
  | {
      readonly kind: "SetBlock";
      readonly target: Target;
      readonly filter: Filter | null;
      readonly body: readonly Statement[];
      readonly line: number;
    }
  /** `{% generation %}` marks what the assistant says; nothing else comes of it here. */
  | { readonly kind: "Generation"; readonly body: readonly Statement[]; readonly line: number }
  | {
      readonly kind: "Autoescape";
      readonly value: Expr;
      readonly body: readonly Statement[];
      readonly line: number;
    }
  /** include, import, from and extends: there are no other templates to read. */
  | {
      readonly kind: "OtherTemplate";
      readonly keyword: string;
      readonly template: Expr;
      readonly names: readonly string[];
      readonly line: number;
    }
  | { readonly kind: "Break" | "Continue"; readonly line: number };
