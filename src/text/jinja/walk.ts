/** Goes through the names of a tree, in the order of Jinja's own visitors. */
import type { CallArguments, Expr, NameUse, SliceBounds, Statement, Target } from "./nodes.ts";

type OnName = (name: string, use: NameUse) => void;

export function namesIn(expr: Expr, on: OnName): void {
  const visit = (inner: Expr) => namesIn(inner, on);
  switch (expr.kind) {
    case "Name":
      on(expr.name, expr.use);
      return;
    case "Tuple":
    case "List":
      expr.items.forEach(visit);
      return;
    case "Dict":
      expr.pairs.flat().forEach(visit);
      return;
    case "Conditional":
      [expr.test, expr.chosen, ...(expr.otherwise === null ? [] : [expr.otherwise])].forEach(visit);
      return;
    case "And":
    case "Or":
    case "Binary":
      visit(expr.left);
      visit(expr.right);
      return;
    case "Not":
    case "Sign":
    case "Attribute":
      visit(expr.value);
      return;
    case "Concat":
      expr.parts.forEach(visit);
      return;
    case "Compare":
      visit(expr.first);
      for (const [, value] of expr.rest) visit(value);
      return;
    case "Item":
      visit(expr.value);
      namesInKey(expr.key, visit);
      return;
    case "Call":
      visit(expr.callee);
      namesInArguments(expr, visit);
      return;
    case "Filter":
    case "Test":
      if (expr.value !== null) visit(expr.value);
      namesInArguments(expr, visit);
      return;
  }
}

function namesInKey(key: Expr | SliceBounds, visit: (expr: Expr) => void): void {
  if (key.kind !== "Slice") {
    visit(key);
    return;
  }
  for (const bound of key.bounds) if (bound !== null) visit(bound);
}

function namesInArguments(call: CallArguments, visit: (expr: Expr) => void): void {
  for (const arg of call.args) visit(arg);
  for (const [, value] of call.keywords) visit(value);
  if (call.moreArgs !== null) visit(call.moreArgs);
  if (call.moreKeywords !== null) visit(call.moreKeywords);
}

function namesInTarget(target: Target, on: OnName): void {
  if (target.kind === "TupleTarget") for (const item of target.items) namesInTarget(item, on);
  else if (target.kind === "Name") on(target.name, target.use);
}

/** Of the statements and all within them, but not of `{% block %}`s. */
export function namesInStatements(statements: readonly Statement[], on: OnName): void {
  for (const statement of statements) namesInStatement(statement, on);
}

function namesInStatement(statement: Statement, on: OnName): void {
  const visit = (expr: Expr) => namesIn(expr, on);
  switch (statement.kind) {
    case "Print":
      visit(statement.value);
      return;
    case "If":
      for (const { test, body } of statement.branches) {
        visit(test);
        namesInStatements(body, on);
      }
      namesInStatements(statement.otherwise, on);
      return;
    case "For":
      namesInTarget(statement.target, on);
      visit(statement.items);
      namesInStatements(statement.body, on);
      namesInStatements(statement.otherwise, on);
      if (statement.test !== null) visit(statement.test);
      return;
    case "CallBlock":
      visit(statement.call);
      namesInSignature(statement, on);
      return;
    case "Macro":
      namesInSignature(statement, on);
      return;
    case "FilterBlock":
      namesInStatements(statement.body, on);
      visit(statement.filter);
      return;
    case "With":
      for (const [target] of statement.pairs) namesInTarget(target, on);
      for (const [, value] of statement.pairs) visit(value);
      namesInStatements(statement.body, on);
      return;
    case "Set":
      namesInTarget(statement.target, on);
      visit(statement.value);
      return;
    case "SetBlock":
      namesInTarget(statement.target, on);
      if (statement.filter !== null) visit(statement.filter);
      namesInStatements(statement.body, on);
      return;
    case "Generation":
      namesInStatements(statement.body, on);
      return;
    case "Autoescape":
      visit(statement.value);
      namesInStatements(statement.body, on);
      return;
    case "OtherTemplate":
      visit(statement.template);
      return;
  }
}

function namesInSignature(
  {
    parameters,
    defaults,
    body,
  }: Pick<Extract<Statement, { kind: "Macro" }>, "parameters" | "defaults" | "body">,
  on: OnName,
): void {
  for (const parameter of parameters) on(parameter.name, parameter.use);
  for (const value of defaults) namesIn(value, on);
  namesInStatements(body, on);
}

/** Those of the names that are read before anything gives them a meaning of its own. */
export function undeclared(statements: readonly Statement[], names: readonly string[]): ReadonlySet<string> {
  const wanted = new Set(names);
  const found = new Set<string>();
  namesInStatements(statements, (name, use) => {
    if (use === "load" && wanted.has(name)) found.add(name);
    else wanted.delete(name);
  });
  return found;
}
