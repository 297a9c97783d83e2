/**
 * Which variable a name stands for, as Jinja's compiler decides it: blocks have scopes of their own, an `if` has not,
 * and what a loop sets is gone in its next turn.
 */
import type { Expr, ForStatement, Signature, Statement, Target } from "./nodes.ts";
import { TemplateFailure } from "./runtime.ts";
import { type Access, accessTo, type FunctionScope } from "./scopes.ts";
import { namesIn } from "./walk.ts";

/** A variable: the depth of the scope that made it, and its name. */
export interface Variable {
  readonly level: number;
  readonly name: string;
}

/** What a variable holds when its scope is entered. */
export type Load =
  | { readonly from: "parameter" }
  | { readonly from: "context" }
  | { readonly from: "nothing" }
  | { readonly from: "outer"; readonly variable: Variable };

export class Symbols {
  readonly level: number;
  readonly #parent: Symbols | null;
  readonly #refs: Map<string, Variable>;
  /** By variable; each is one object in its scope. */
  readonly loads: Map<Variable, Load>;
  readonly #stores: Set<string>;

  constructor(parent: Symbols | null, of?: Symbols) {
    this.#parent = parent;
    this.level = of?.level ?? (parent === null ? 0 : parent.level + 1);
    this.#refs = new Map(of === undefined ? [] : of.#refs);
    this.loads = new Map(of?.loads);
    this.#stores = new Set(of === undefined ? [] : of.#stores);
  }

  ref(name: string): Variable {
    const variable = this.#find(name);
    if (variable === undefined) throw new TemplateFailure(`the name '${name}' can not stand here`);
    return variable;
  }

  #find(name: string): Variable | undefined {
    return this.#refs.get(name) ?? this.#outer(name);
  }

  #outer(name: string): Variable | undefined {
    return this.#parent === null ? undefined : this.#parent.#find(name);
  }

  #define(name: string, load: Load): Variable {
    const variable = this.#refs.get(name) ?? { level: this.level, name };
    this.#refs.set(name, variable);
    this.loads.set(variable, load);
    return variable;
  }

  declareParameter(name: string): Variable {
    this.#stores.add(name);
    return this.#define(name, { from: "parameter" });
  }

  #store(name: string): void {
    this.#stores.add(name);
    if (this.#refs.has(name)) return;
    const outer = this.#outer(name);
    this.#define(name, outer === undefined ? { from: "nothing" } : { from: "outer", variable: outer });
  }

  #load(name: string): void {
    if (this.#find(name) === undefined) this.#define(name, { from: "context" });
  }

  /** What is set in one branch only may be what it was outside. */
  #mergeBranches(branches: readonly Symbols[]): void {
    const stores = new Set(branches.flatMap((branch) => [...branch.#stores]));
    for (const name of this.#stores) stores.delete(name);
    for (const branch of branches) {
      for (const [name, variable] of branch.#refs) this.#adopt(name, variable, branch);
      for (const name of branch.#stores) this.#stores.add(name);
    }
    for (const name of stores) {
      const outer = this.#outer(name);
      this.loads.set(
        this.ref(name),
        outer === undefined ? { from: "context" } : { from: "outer", variable: outer },
      );
    }
  }

  /** Two branches may have made a variable of one name each; they are one. */
  #adopt(name: string, variable: Variable, branch: Symbols): void {
    const own = this.#refs.get(name) ?? variable;
    this.#refs.set(name, own);
    const load = branch.loads.get(variable);
    if (load !== undefined) this.loads.set(own, load);
  }

  /** What is set here or around, for blocks that see it. */
  visible(scope: FunctionScope): Map<string, Access> {
    const found = this.#parent?.visible(scope) ?? new Map<string, Access>();
    for (const name of this.#stores) found.set(name, accessTo(this.ref(name), scope));
    return found;
  }

  readonly #visitName = (name: string, use: "load" | "store" | "param"): void => {
    if (use === "param") this.declareParameter(name);
    else if (use === "store") this.#store(name);
    else this.#load(name);
  };

  expression(expr: Expr | null): void {
    if (expr !== null) namesIn(expr, this.#visitName);
  }

  target(target: Target, isParameter = false): void {
    if (target.kind === "TupleTarget") for (const item of target.items) this.target(item, isParameter);
    else if (target.kind === "NamespaceTarget") this.#load(target.name);
    else this.#visitName(target.name, isParameter ? "param" : target.use);
  }

  statements(statements: readonly Statement[]): void {
    for (const statement of statements) this.#statement(statement);
  }

  /** Scopes of their own inside are left out, but for what of them is read or set here. */
  #statement(statement: Statement): void {
    switch (statement.kind) {
      case "Print":
        this.expression(statement.value);
        return;
      case "If":
        this.#if(statement);
        return;
      case "For":
        this.expression(statement.items);
        return;
      case "Macro":
        this.#store(statement.name);
        return;
      case "CallBlock":
        this.expression(statement.call);
        return;
      case "FilterBlock":
        this.expression(statement.filter);
        return;
      case "With":
        for (const [, value] of statement.pairs) this.expression(value);
        return;
      case "Set":
        this.expression(statement.value);
        this.target(statement.target);
        return;
      case "SetBlock":
        this.target(statement.target);
        return;
      case "OtherTemplate":
        this.expression(statement.template);
        for (const name of statement.names) this.#store(name);
        return;
    }
  }

  #if({ branches, otherwise }: Extract<Statement, { kind: "If" }>): void {
    const [first, ...others] = branches;
    if (first === undefined) return;
    this.expression(first.test);
    const visited = (visit: (symbols: Symbols) => void): Symbols => {
      const copy = new Symbols(this.#parent, this);
      visit(copy);
      return copy;
    };
    this.#mergeBranches([
      visited((symbols) => symbols.statements(first.body)),
      visited((symbols) => {
        for (const branch of others) symbols.#if({ kind: "If", branches: [branch], otherwise: [] });
      }),
      visited((symbols) => symbols.statements(otherwise)),
    ]);
  }

  signature({ parameters, defaults, body }: Signature): void {
    for (const parameter of parameters) this.target(parameter);
    for (const value of defaults) this.expression(value);
    this.statements(body);
  }

  loop({ target, body, otherwise, test }: ForStatement, part: "body" | "else" | "test"): void {
    if (part === "else") {
      this.statements(otherwise);
      return;
    }
    this.target(target, true);
    if (part === "body") this.statements(body);
    else this.expression(test);
  }
}
