/** Statements and what stands around them. */
import { ExpressionParser } from "./expression-parser.ts";
import { tokenize } from "./lexer.ts";
import type {
  BlockStatement,
  Call,
  CallStatement,
  Expr,
  Filter,
  ForStatement,
  IfBranch,
  MacroStatement,
  Name,
  Statement,
} from "./nodes.ts";

/** @throws TemplateFailure */
export function parseTemplate(template: string): readonly Statement[] {
  const parser = new Parser(tokenize(template));
  return parser.template();
}

class Parser extends ExpressionParser {
  template(): Statement[] {
    return this.#until([]);
  }

  /** Statements up to a tag of one of the names, which is left to be read. */
  #until(ends: readonly string[]): Statement[] {
    return this.nested(() => {
      const statements: Statement[] = [];
      while (this.current.type !== "eof") {
        const { type, value, line } = this.next();
        if (type === "data") statements.push({ kind: "Data", text: value });
        else if (type === "variable_begin") {
          statements.push({ kind: "Print", value: this.tuple(), line });
          this.expectType("variable_end");
        } else {
          if (this.current.type === "name" && ends.includes(this.current.value)) return statements;
          statements.push(...this.#statement(ends));
          this.expectType("block_end");
        }
      }
      if (ends.length === 0) return statements;
      const wanted = ends.map((end) => `'${end}'`).join(" or ");
      throw this.error(`Unexpected end of template. It was looking for ${wanted}.`);
    });
  }

  /** The body of a statement: its tag's end, and statements up to a tag of one of the names. */
  #body(...ends: string[]): Statement[] {
    this.takeOperator(":");
    this.expectType("block_end");
    return this.#until(ends);
  }

  /** A body whose end tag is read too. */
  #closedBody(end: string): Statement[] {
    const body = this.#body(end);
    this.next();
    return body;
  }

  #statement(ends: readonly string[]): Statement[] {
    const { type, value, line } = this.current;
    if (type !== "name") throw this.error("tag name expected");
    this.next();
    switch (value) {
      case "for":
        return [this.#for(line)];
      case "if":
        return [this.#if(line)];
      case "set":
        return [this.#set(line)];
      case "macro":
        return [this.#macro(line)];
      case "call":
        return [this.#call(line)];
      case "filter": {
        const filter = this.filters(null, true) as Filter;
        return [{ kind: "FilterBlock", filter, body: this.#closedBody("endfilter"), line }];
      }
      case "with":
        return [this.#with(line)];
      case "print":
        return this.#print(line);
      case "block":
        return [this.#block(line)];
      case "autoescape":
        return [
          { kind: "Autoescape", value: this.expression(), body: this.#closedBody("endautoescape"), line },
        ];
      case "generation":
        return [{ kind: "Generation", body: this.#closedBody("endgeneration"), line }];
      case "break":
        return [{ kind: "Break", line }];
      case "continue":
        return [{ kind: "Continue", line }];
      case "include":
      case "extends":
        return [this.#otherTemplate(value, line)];
      case "import":
      case "from":
        return [this.#import(value, line)];
    }
    const wanted = ends.map((end) => `'${end}'`).join(" or ");
    const hint = wanted === "" ? "" : ` It was looking for ${wanted}.`;
    throw this.error(`Encountered unknown tag '${value}'.${hint}`, line);
  }

  #for(line: number): ForStatement {
    const target = this.target("store");
    this.expectName("in");
    const items = this.tuple(false);
    const test = this.takeName("if") ? this.expression() : null;
    const isRecursive = this.takeName("recursive");
    const body = this.#body("endfor", "else");
    const otherwise = this.next().value === "else" ? this.#closedBody("endfor") : [];
    return { kind: "For", target, items, test, isRecursive, body, otherwise, line };
  }

  #if(line: number): Statement {
    const branches: IfBranch[] = [];
    for (let at = line; ; at = this.current.line) {
      const test = this.tuple(false);
      branches.push({ test, body: this.#body("elif", "else", "endif"), line: at });
      const { value } = this.next();
      if (value === "elif") continue;
      return { kind: "If", branches, otherwise: value === "else" ? this.#closedBody("endif") : [] };
    }
  }

  #set(line: number): Statement {
    const target = this.target("store", true);
    if (this.takeOperator("=")) return { kind: "Set", target, value: this.tuple(), line };
    const filter = this.filters(null) as Filter | null;
    return { kind: "SetBlock", target, filter, body: this.#closedBody("endset"), line };
  }

  #macro(line: number): MacroStatement {
    const { value: name } = this.expectType("name");
    const signature = this.#signature();
    return { kind: "Macro", name, ...signature, body: this.#closedBody("endmacro"), line };
  }

  #call(line: number): CallStatement {
    const signature = this.isOperator("(") ? this.#signature() : { parameters: [], defaults: [] };
    const call = this.expression();
    if (call.kind !== "Call") throw this.error("expected call", line);
    return { kind: "CallBlock", ...signature, call: call as Call, body: this.#closedBody("endcall"), line };
  }

  #signature(): { parameters: Name[]; defaults: Expr[] } {
    const parameters: Name[] = [];
    const defaults: Expr[] = [];
    this.expectOperator("(");
    while (!this.isOperator(")")) {
      if (parameters.length > 0) this.expectOperator(",");
      const { value: name, line } = this.expectType("name");
      if (parameters.some((parameter) => parameter.name === name)) {
        throw this.error(`duplicate argument '${name}'`, line);
      }
      if (this.takeOperator("=")) defaults.push(this.expression());
      else if (defaults.length > 0) throw this.error("non-default argument follows default argument");
      parameters.push({ kind: "Name", name, use: "param", line });
    }
    this.next();
    return { parameters, defaults };
  }

  #with(line: number): Statement {
    const pairs: (readonly [ReturnType<Parser["target"]>, Expr])[] = [];
    while (this.current.type !== "block_end") {
      if (pairs.length > 0) this.expectOperator(",");
      const target = this.target("param");
      this.expectOperator("=");
      pairs.push([target, this.expression()]);
    }
    return { kind: "With", pairs, body: this.#closedBody("endwith"), line };
  }

  #print(line: number): Statement[] {
    const values: Expr[] = [];
    while (this.current.type !== "block_end") {
      if (values.length > 0) this.expectOperator(",");
      values.push(this.expression());
    }
    return values.map((value) => ({ kind: "Print", value, line }));
  }

  #block(line: number): BlockStatement {
    const { value: name } = this.expectType("name");
    const isScoped = this.takeName("scoped");
    const isRequired = this.takeName("required");
    const body = this.#closedBody("endblock");
    this.takeName(name);
    return { kind: "Block", name, isScoped, isRequired, body, line };
  }

  #otherTemplate(keyword: string, line: number): Statement {
    const template = this.expression();
    if (this.takeName("ignore")) this.expectName("missing");
    this.#takeContext();
    return { kind: "OtherTemplate", keyword, template, names: [], line };
  }

  #import(keyword: "import" | "from", line: number): Statement {
    const template = this.expression();
    this.expectName(keyword === "import" ? "as" : "import");
    const names: string[] = [];
    do {
      if (this.#takeContext()) break;
      names.push(this.expectType("name").value);
      if (keyword === "from" && this.takeName("as")) names.push(this.expectType("name").value);
    } while (!this.#takeContext() && this.takeOperator(","));
    return { kind: "OtherTemplate", keyword, template, names, line };
  }

  #takeContext(): boolean {
    const isThere = this.isName("with") || this.isName("without");
    if (isThere) {
      this.next();
      this.expectName("context");
    }
    return isThere;
  }
}
