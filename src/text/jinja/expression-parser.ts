/** Expressions, with Jinja's own precedence: unary minus binds before `**`, `~` before `+`. */
import type { Token, TokenType } from "./lexer.ts";
import type { CallArguments, Expr, Filter, NameUse, SliceBounds, Target } from "./nodes.ts";
import type { BinaryOperator, Comparison } from "./operators.ts";
import { TemplateFailure } from "./runtime.ts";

/** Brackets and blocks inside each other, beyond what Python itself compiles. */
const MAX_DEPTH = 200;

const COMPARISONS = new Set(["==", "!=", "<", "<=", ">", ">="]);
const CONSTANTS: ReadonlyMap<string, boolean | null> = new Map([
  ["true", true],
  ["True", true],
  ["false", false],
  ["False", false],
  ["none", null],
  ["None", null],
]);
const NO_ARGUMENTS: CallArguments = { args: [], keywords: [], moreArgs: null, moreKeywords: null };

export class ExpressionParser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get current(): Token {
    return this.#tokens[this.#at] as Token;
  }

  get #following(): Token {
    return this.#tokens[Math.min(this.#at + 1, this.#tokens.length - 1)] as Token;
  }

  /** Goes on, except at the end. @returns what was there */
  next(): Token {
    const { current } = this;
    if (current.type !== "eof") this.#at += 1;
    return current;
  }

  isOperator(operator: string): boolean {
    return this.current.type === "operator" && this.current.value === operator;
  }

  isName(name: string): boolean {
    return this.current.type === "name" && this.current.value === name;
  }

  takeOperator(operator: string): boolean {
    const isThere = this.isOperator(operator);
    if (isThere) this.next();
    return isThere;
  }

  takeName(name: string): boolean {
    const isThere = this.isName(name);
    if (isThere) this.next();
    return isThere;
  }

  expectOperator(operator: string): void {
    if (!this.takeOperator(operator)) throw this.#unexpected(operator);
  }

  expectName(name: string): void {
    if (!this.takeName(name)) throw this.#unexpected(name);
  }

  expectType(type: TokenType): Token {
    if (this.current.type !== type) throw this.#unexpected(described(type));
    return this.next();
  }

  #unexpected(wanted: string): TemplateFailure {
    if (this.current.type === "eof") {
      return this.error(`unexpected end of template, expected '${wanted}'.`);
    }
    return this.error(`expected token '${wanted}', got '${this.#shown()}'`);
  }

  #shown(): string {
    const { type, value } = this.current;
    return type === "name" || type === "operator" ? value : described(type);
  }

  error(problem: string, line: number = this.current.line): TemplateFailure {
    return new TemplateFailure(problem, line);
  }

  nested<T>(read: () => T): T {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw this.error("it is nested too deeply");
    const result = read();
    this.#depth -= 1;
    return result;
  }

  expression(withConditional = true): Expr {
    return this.nested(() => (withConditional ? this.#conditional() : this.#or()));
  }

  #conditional(): Expr {
    let { line } = this.current;
    let expr = this.#or();
    while (this.takeName("if")) {
      const test = this.#or();
      const otherwise = this.takeName("else") ? this.expression() : null;
      expr = { kind: "Conditional", test, chosen: expr, otherwise, line };
      line = this.current.line;
    }
    return expr;
  }

  #or(): Expr {
    let left = this.#and();
    while (this.takeName("or")) left = { kind: "Or", left, right: this.#and() };
    return left;
  }

  #and(): Expr {
    let left = this.#not();
    while (this.takeName("and")) left = { kind: "And", left, right: this.#not() };
    return left;
  }

  #not(): Expr {
    if (!this.takeName("not")) return this.#compare();
    return { kind: "Not", value: this.nested(() => this.#not()) };
  }

  #compare(): Expr {
    const first = this.#sum();
    const rest: (readonly [Comparison, Expr])[] = [];
    for (;;) {
      const operator = this.#comparison();
      if (operator === undefined) break;
      rest.push([operator, this.#sum()]);
    }
    return rest.length === 0 ? first : { kind: "Compare", first, rest };
  }

  #comparison(): Comparison | undefined {
    if (this.current.type === "operator" && COMPARISONS.has(this.current.value)) {
      return this.next().value as Comparison;
    }
    if (this.takeName("in")) return "in";
    const isNotIn = this.isName("not") && this.#following.type === "name" && this.#following.value === "in";
    if (!isNotIn) return undefined;
    this.next();
    this.next();
    return "not in";
  }

  #sum(): Expr {
    return this.#leftToRight(["+", "-"], () => this.#concat());
  }

  #concat(): Expr {
    const parts = [this.#product()];
    while (this.takeOperator("~")) parts.push(this.#product());
    return parts.length === 1 ? (parts[0] as Expr) : { kind: "Concat", parts };
  }

  #product(): Expr {
    return this.#leftToRight(["*", "/", "//", "%"], () => this.#power());
  }

  #power(): Expr {
    return this.#leftToRight(["**"], () => this.#unary(true));
  }

  #leftToRight(operators: readonly BinaryOperator[], operand: () => Expr): Expr {
    let left = operand();
    for (;;) {
      const operator = operators.find((one) => this.isOperator(one));
      if (operator === undefined) return left;
      this.next();
      left = { kind: "Binary", operator, left, right: operand() };
    }
  }

  #unary(withFilters: boolean): Expr {
    const operator = (["-", "+"] as const).find((one) => this.isOperator(one));
    let expr: Expr;
    if (operator === undefined) expr = this.#primary();
    else {
      this.next();
      expr = { kind: "Sign", operator, value: this.nested(() => this.#unary(false)) };
    }
    expr = this.#postfix(expr);
    return withFilters ? this.#filtersAndTests(expr) : expr;
  }

  #primary(): Expr {
    const { type, value, line } = this.current;
    if (type === "name") {
      this.next();
      const constant = CONSTANTS.get(value);
      return constant === undefined
        ? { kind: "Name", name: value, use: "load", line }
        : { kind: "Const", value: constant };
    }
    if (type === "string") {
      let text = "";
      while (this.current.type === "string") text += this.next().value;
      return { kind: "Const", value: text };
    }
    if (type === "integer" || type === "float") return { kind: "Const", value: this.#number(this.next()) };
    if (this.takeOperator("(")) {
      const tuple = this.tuple(true, true);
      this.expectOperator(")");
      return tuple;
    }
    if (this.takeOperator("[")) {
      return { kind: "List", items: this.#items("]", () => this.expression()) };
    }
    if (this.takeOperator("{")) {
      const pairs = this.#items("}", () => {
        const key = this.expression();
        this.expectOperator(":");
        return [key, this.expression()] as const;
      });
      return { kind: "Dict", pairs };
    }
    throw this.error(`unexpected '${this.#shown()}'`);
  }

  #number({ type, value }: Token): bigint | number {
    const digits = value.replaceAll("_", "");
    if (type === "float") return Number(digits);
    // Python reads no longer ones either.
    if (digits.length > 4300) throw this.error("a whole number has more than 4300 digits");
    return BigInt(digits);
  }

  #items<T>(end: string, read: () => T): T[] {
    const items: T[] = [];
    while (!this.isOperator(end)) {
      if (items.length > 0) this.expectOperator(",");
      if (this.isOperator(end)) break;
      items.push(read());
    }
    this.next();
    return items;
  }

  /** One expression, or several with commas between them. */
  tuple(withConditional = true, inBrackets = false): Expr {
    return this.nested(() => {
      const { items, isTuple } = this.#list(() => this.expression(withConditional));
      if (!isTuple) {
        const [only] = items;
        if (only !== undefined) return only;
        if (!inBrackets) throw this.error(`Expected an expression, got '${this.#shown()}'`);
      }
      return { kind: "Tuple", items };
    });
  }

  #list<T>(read: () => T): { items: T[]; isTuple: boolean } {
    const items: T[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0) this.expectOperator(",");
      if (this.#isTupleEnd()) break;
      items.push(read());
      if (!this.isOperator(",")) break;
      isTuple = true;
    }
    return { items, isTuple };
  }

  #isTupleEnd(): boolean {
    const { type } = this.current;
    return type === "variable_end" || type === "block_end" || this.isOperator(")");
  }

  /** What is assigned to: a name, `namespace.attribute` where that may stand, or several. */
  target(use: NameUse, withNamespace = false): Target {
    const { items, isTuple } = this.#list(() => this.#oneTarget(use, withNamespace));
    const [only] = items;
    if (only !== undefined && !isTuple) return only;
    if (!isTuple) throw this.error(`Expected an expression, got '${this.#shown()}'`);
    return { kind: "TupleTarget", items };
  }

  #oneTarget(use: NameUse, withNamespace: boolean): Target {
    const { line } = this.current;
    if (this.takeOperator("(")) {
      const { items, isTuple } = this.#list(() => this.nested(() => this.#oneTarget(use, false)));
      this.expectOperator(")");
      const [only] = items;
      return only !== undefined && !isTuple ? only : { kind: "TupleTarget", items };
    }
    const { type, value: name } = this.current;
    if (type !== "name" || CONSTANTS.has(name)) throw this.error(`can't assign to '${this.#shown()}'`);
    this.next();
    if (withNamespace && this.takeOperator(".")) {
      return { kind: "NamespaceTarget", name, attribute: this.expectType("name").value };
    }
    return { kind: "Name", name, use, line };
  }

  #postfix(value: Expr): Expr {
    let expr = value;
    for (;;) {
      if (this.takeOperator(".")) expr = this.#dotted(expr);
      else if (this.takeOperator("[")) expr = { kind: "Item", value: expr, key: this.#subscript() };
      else if (this.isOperator("(")) expr = { kind: "Call", callee: expr, ...this.#arguments() };
      else return expr;
    }
  }

  #dotted(value: Expr): Expr {
    const token = this.next();
    if (token.type === "name") return { kind: "Attribute", value, name: token.value };
    if (token.type !== "integer") throw this.error("expected name or number", token.line);
    return { kind: "Item", value, key: { kind: "Const", value: this.#number(token) } };
  }

  #subscript(): Expr | SliceBounds {
    const keys = this.#subscriptItems();
    const [only] = keys;
    if (keys.length === 1 && only !== undefined) return only;
    const items = keys.map((key) => {
      if (key.kind === "Slice") throw this.error("a slice among several subscripts");
      return key;
    });
    return { kind: "Tuple", items };
  }

  #subscriptItems(): (Expr | SliceBounds)[] {
    const keys: (Expr | SliceBounds)[] = [];
    while (!this.isOperator("]")) {
      if (keys.length > 0) this.expectOperator(",");
      keys.push(this.#subscripted());
    }
    this.next();
    return keys;
  }

  #subscripted(): Expr | SliceBounds {
    const start = this.isOperator(":") ? null : this.expression();
    if (start !== null && !this.isOperator(":")) return start;
    this.next();
    const ends = () => this.isOperator(":") || this.isOperator("]") || this.isOperator(",");
    const stop = ends() ? null : this.expression();
    const step = this.takeOperator(":") && !ends() ? this.expression() : null;
    return { kind: "Slice", bounds: [start, stop, step] };
  }

  #arguments(): CallArguments {
    const { line } = this.current;
    this.expectOperator("(");
    const args: Expr[] = [];
    const keywords: (readonly [string, Expr])[] = [];
    let moreArgs: Expr | null = null;
    let moreKeywords: Expr | null = null;
    const ensure = (isRight: boolean) => {
      if (!isRight) throw this.error("invalid syntax for function call expression", line);
    };
    for (let isFirst = true; !this.isOperator(")"); isFirst = false) {
      if (!isFirst) {
        this.expectOperator(",");
        if (this.isOperator(")")) break;
      }
      if (this.takeOperator("*")) {
        ensure(moreArgs === null && moreKeywords === null);
        moreArgs = this.expression();
      } else if (this.takeOperator("**")) {
        ensure(moreKeywords === null);
        moreKeywords = this.expression();
      } else if (
        this.current.type === "name" &&
        this.#following.value === "=" &&
        this.#following.type === "operator"
      ) {
        ensure(moreKeywords === null);
        const { value: name } = this.next();
        this.next();
        if (keywords.some(([other]) => other === name))
          throw this.error(`keyword argument repeated: ${name}`);
        keywords.push([name, this.expression()]);
      } else {
        ensure(moreArgs === null && moreKeywords === null && keywords.length === 0);
        args.push(this.expression());
      }
    }
    this.next();
    return { args, keywords, moreArgs, moreKeywords };
  }

  #filtersAndTests(value: Expr): Expr {
    let expr = value;
    for (;;) {
      if (this.isOperator("|")) expr = this.filters(expr) as Expr;
      else if (this.takeName("is")) expr = this.#test(expr);
      else if (this.isOperator("(")) expr = { kind: "Call", callee: expr, ...this.#arguments() };
      else return expr;
    }
  }

  /** `| name(...)`, any number of them; with `isInside` the first has no bar. */
  filters(value: Expr | null, isInside = false): Expr | null {
    let expr = value;
    for (let isBare = isInside; isBare || this.takeOperator("|"); isBare = false) {
      const { line } = this.current;
      const name = this.#dottedName();
      const given = this.isOperator("(") ? this.#arguments() : NO_ARGUMENTS;
      expr = { kind: "Filter", value: expr, name, ...given, line } satisfies Filter;
    }
    return expr;
  }

  #dottedName(): string {
    let name = this.expectType("name").value;
    while (this.takeOperator(".")) name += `.${this.expectType("name").value}`;
    return name;
  }

  #test(value: Expr): Expr {
    const { line } = this.current;
    const isNegated = this.takeName("not");
    const name = this.#dottedName();
    let given = NO_ARGUMENTS;
    if (this.isOperator("(")) given = this.#arguments();
    else if (this.#startsArgument()) {
      if (this.isName("is")) throw this.error("You cannot chain multiple tests with is");
      given = { ...NO_ARGUMENTS, args: [this.#postfix(this.#primary())] };
    }
    const test: Filter = { kind: "Test", value, name, ...given, line };
    return isNegated ? { kind: "Not", value: test } : test;
  }

  /** A test may have one argument without brackets. */
  #startsArgument(): boolean {
    const { type, value } = this.current;
    if (type === "name") return value !== "else" && value !== "or" && value !== "and";
    return (
      type === "string" ||
      type === "integer" ||
      type === "float" ||
      this.isOperator("[") ||
      this.isOperator("{")
    );
  }
}

function described(type: TokenType): string {
  const names: Partial<Record<TokenType, string>> = {
    block_begin: "begin of statement block",
    block_end: "end of statement block",
    variable_begin: "begin of print statement",
    variable_end: "end of print statement",
    data: "template data / text",
    eof: "end of template",
  };
  return names[type] ?? type;
}
