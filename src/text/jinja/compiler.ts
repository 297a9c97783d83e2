/** Statements as functions that write a template's text. */

import { Namespace } from "./dict.ts";
import { type Evaluate, ExpressionCompiler } from "./expression-compiler.ts";
import { GLOBALS } from "./globals.ts";
import type {
  BlockStatement,
  CallStatement,
  Filter,
  ForStatement,
  MacroStatement,
  Signature,
  Statement,
  Target,
} from "./nodes.ts";
import { LoopContext, Macro, type MacroShape } from "./objects.ts";
import { typeName, Undefined, type Value } from "./py-object.ts";
import { str } from "./repr.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { type Access, type Activation, accessTo, type Context, type Frame, FunctionScope } from "./scopes.ts";
import { PyIterator, Tuple } from "./sequences.ts";
import { Symbols, type Variable } from "./symbols.ts";
import { each, iteratorOf, listOf, textOf, truthy } from "./values.ts";
import { namesInStatements, undeclared } from "./walk.ts";

/** How a statement ended: as written, or by leaving the loop's turn or the loop. */
const DONE = 0;
const BROKE = 1;
const CONTINUED = 2;
type Completion = typeof DONE | typeof BROKE | typeof CONTINUED;

type Execute = (activation: Activation, out: string[]) => Completion;
type Assign = (activation: Activation, value: Value) => void;

export interface CompiledTemplate {
  render(rt: Runtime, given: ReadonlyMap<string, Value>): string;
  /** The names that it takes from what it is given. */
  readonly variables: ReadonlySet<string>;
}

/** @throws TemplateFailure */
export function compileTemplate(statements: readonly Statement[]): CompiledTemplate {
  return new Compiler().template(statements);
}

class Compiler extends ExpressionCompiler {
  readonly #variables = new Set<string>();
  readonly #blocks = new Set<string>();
  /** Loops around in the same function: what `break` can end. */
  #numLoops = 0;

  template(statements: readonly Statement[]): CompiledTemplate {
    const symbols = new Symbols(null);
    symbols.statements(statements);
    const frame: Frame = { symbols, scope: new FunctionScope(null, 0), isTop: true, isSoft: false };
    const body = this.#scope(frame, statements);
    return {
      variables: this.#variables,
      render: (rt, given) => {
        const out: string[] = [];
        body({ slots: [], outer: null, rt, context: { given, set: new Map() } }, out);
        return out.join("");
      },
    };
  }

  #inner(frame: Frame): Frame {
    return { symbols: new Symbols(frame.symbols), scope: frame.scope, isTop: false, isSoft: false };
  }

  /** A frame whose variables belong to a function of its own. */
  #innerFunction(frame: Frame): Frame {
    const symbols = new Symbols(frame.symbols);
    return { symbols, scope: new FunctionScope(frame.scope, symbols.level), isTop: false, isSoft: false };
  }

  /** Statements in a scope of their own: its variables begin anew each time. */
  #scope(frame: Frame, statements: readonly Statement[]): Execute {
    const enter = this.#enter(frame);
    const body = this.#statements(statements, frame);
    const leave = this.#leave(frame);
    return (a, out) => {
      enter(a);
      const completion = body(a, out);
      leave(a);
      return completion;
    };
  }

  #enter({ symbols, scope }: Frame): (activation: Activation) => void {
    const steps: ((activation: Activation) => void)[] = [];
    for (const [variable, load] of symbols.loads) {
      if (load.from === "parameter") continue;
      const access = accessTo(variable, scope);
      if (load.from === "context") {
        const { name } = variable;
        if (!GLOBALS.has(name)) this.#variables.add(name);
        steps.push((a) => access.write(a, resolve(a.context, name)));
      } else if (load.from === "outer") {
        const outer = accessTo(load.variable, scope);
        steps.push((a) => access.write(a, outer.read(a)));
      } else steps.push((a) => access.write(a, undefined));
    }
    return inTurn(steps);
  }

  #leave({ symbols, scope }: Frame): (activation: Activation) => void {
    const accesses = [...symbols.loads.keys()].map((variable) => accessTo(variable, scope));
    return inTurn(accesses.map((access) => (a: Activation) => access.write(a, undefined)));
  }

  #statements(statements: readonly Statement[], frame: Frame): Execute {
    const all = statements.map((statement) => this.#statement(statement, frame));
    const [first, second] = all;
    if (first === undefined) return () => DONE;
    if (second === undefined) return first;
    return (a, out) => {
      for (const execute of all) {
        const completion = execute(a, out);
        if (completion !== DONE) return completion;
      }
      return DONE;
    };
  }

  #statement(statement: Statement, frame: Frame): Execute {
    switch (statement.kind) {
      case "Data": {
        const { text } = statement;
        return (a, out) => {
          a.rt.write(out, text);
          return DONE;
        };
      }
      case "Print": {
        const value = this.#costed(statement.line, () => this.expression(statement.value, frame));
        return (a, out) => {
          a.rt.write(out, str(value(a), a.rt));
          return DONE;
        };
      }
      case "If":
        return this.#if(statement, { ...frame, isSoft: true });
      case "For":
        return this.#for(statement, frame);
      case "Macro":
        return this.#macroStatement(statement, frame);
      case "CallBlock":
        return this.#callBlock(statement, frame);
      case "Block":
        return this.#block(statement, frame);
      case "FilterBlock":
        return this.#filterBlock(statement, frame);
      case "With":
        return this.#with(statement, frame);
      case "Set":
        return this.#set(statement, frame);
      case "SetBlock":
        return this.#setBlock(statement, frame);
      case "Generation":
        return this.#generation(statement, frame);
      case "Autoescape":
        return this.#autoescape(statement, frame);
      case "OtherTemplate": {
        const { keyword, line } = statement;
        return ({ rt }) => {
          rt.line = line;
          throw new TemplateFailure(`{% ${keyword} %}: there are no other templates to load`);
        };
      }
      case "Break":
      case "Continue": {
        if (this.#numLoops === 0) {
          throw new TemplateFailure(`'${statement.kind.toLowerCase()}' outside loop`, statement.line);
        }
        const completion = statement.kind === "Break" ? BROKE : CONTINUED;
        return () => completion;
      }
    }
  }

  /** An expression that a statement begins with: it sets the line, and is paid for by its size. */
  #costed(line: number, compile: () => Evaluate): Evaluate {
    const before = this.numNodes;
    const evaluate = compile();
    const cost = 1 + Math.floor((this.numNodes - before) / 16);
    return (a) => {
      a.rt.line = line;
      a.rt.charge(cost);
      return evaluate(a);
    };
  }

  #if({ branches, otherwise }: Extract<Statement, { kind: "If" }>, frame: Frame): Execute {
    const compiled = branches.map(({ test, body, line }) => ({
      test: this.#costed(line, () => this.expression(test, frame)),
      body: this.#statements(body, frame),
    }));
    const rest = this.#statements(otherwise, frame);
    return (a, out) => {
      for (const { test, body } of compiled) if (truthy(test(a))) return body(a, out);
      return rest(a, out);
    };
  }

  #for(statement: ForStatement, frame: Frame): Execute {
    const { target, body, line, isRecursive } = statement;
    checkLoopName(statement);
    const inner = isRecursive ? this.#innerFunction(frame) : this.#inner(frame);
    const isExtended = isRecursive || undeclared(body, ["loop"]).has("loop") || hasScopedBlock(body);
    const loop = isExtended ? accessTo(inner.symbols.declareParameter("loop"), inner.scope) : undefined;
    inner.symbols.loop(statement, "body");
    const filter = this.#loopTest(statement, frame);
    const items = this.#costed(line, () => this.expression(statement.items, frame));
    const assign = this.#assign(target, inner);
    const turn = this.#turn(inner, body);
    const afterwards = this.#else(statement, frame, inner);
    const leave = this.#leave(inner);

    const run = (a: Activation, out: string[], value: Value, recurse?: Recurse, depth = 0): void => {
      const chosen = filter === undefined ? value : filter(a, value);
      let isEmpty = true;
      const visit = (item: Value): boolean => {
        assign(a, item);
        const completion = turn(a, out);
        // A turn that was left early leaves the loop's `else` in place, as in Jinja.
        if (completion === DONE) isEmpty = false;
        return completion !== BROKE;
      };
      if (loop === undefined) {
        for (const item of each(chosen, a.rt)) if (!visit(item)) break;
      } else {
        const context = new LoopContext(a.rt, chosen, recurse, depth);
        for (let item = context.advance(); item !== undefined; item = context.advance()) {
          loop.write(a, context);
          if (!visit(item)) break;
        }
      }
      leave(a);
      if (isEmpty) afterwards(a, out);
    };
    if (!isRecursive) {
      return (a, out) => {
        run(a, out, items(a));
        return DONE;
      };
    }
    return (a, out) => {
      const recurse = (value: Value, depth: number): string =>
        a.rt.call(() => {
          const text: string[] = [];
          run({ slots: [], outer: a, rt: a.rt, context: a.context }, text, value, recurse, depth);
          return text.join("");
        });
      a.rt.write(out, recurse(items(a), 0));
      return DONE;
    };
  }

  #turn(frame: Frame, body: readonly Statement[]): Execute {
    const enter = this.#enter(frame);
    this.#numLoops += 1;
    const run = this.#statements(body, frame);
    this.#numLoops -= 1;
    return (a, out) => {
      enter(a);
      return run(a, out);
    };
  }

  #else(statement: ForStatement, frame: Frame, loopFrame: Frame): Execute {
    if (statement.otherwise.length === 0) return () => DONE;
    const inner: Frame = { ...this.#inner(frame), scope: loopFrame.scope };
    inner.symbols.loop(statement, "else");
    return this.#scope(inner, statement.otherwise);
  }

  /** Those of the items for which the loop's test holds, one by one as they are asked for. */
  #loopTest(statement: ForStatement, frame: Frame): ((a: Activation, items: Value) => Value) | undefined {
    const { target, test } = statement;
    if (test === null) return undefined;
    const inner = this.#innerFunction(frame);
    inner.symbols.loop(statement, "test");
    const enter = this.#enter(inner);
    const assign = this.#assign(target, inner);
    const holds = this.expression(test, inner);
    const packed = this.#packed(target, inner);
    return (a, items) => new PyIterator(chosen(a, items));

    function* chosen(outer: Activation, items: Value): Generator<Value, void, undefined> {
      const a: Activation = { slots: [], outer: outerOf(outer), rt: outer.rt, context: outer.context };
      enter(a);
      for (const item of each(items, a.rt)) {
        assign(a, item);
        if (truthy(holds(a))) yield packed(a);
      }
    }
    // The test of a recursive loop stands beside it, not inside.
    function outerOf(a: Activation): Activation {
      return statement.isRecursive ? (a.outer as Activation) : a;
    }
  }

  /** The value that a target holds now. */
  #packed(target: Target, frame: Frame): Evaluate {
    if (target.kind === "TupleTarget") {
      const items = target.items.map((item) => this.#packed(item, frame));
      return (a) => new Tuple(items.map((item) => item(a)));
    }
    const access = accessTo(frame.symbols.ref(target.name), frame.scope);
    return (a) => access.read(a) as Value;
  }

  #assign(target: Target, frame: Frame): Assign {
    if (target.kind === "TupleTarget") {
      const parts = target.items.map((item) => this.#assign(item, frame));
      return (a, value) => {
        const values = unpacked(a.rt, value, parts.length);
        for (const [index, part] of parts.entries()) part(a, values[index] as Value);
      };
    }
    const access = accessTo(frame.symbols.ref(target.name), frame.scope);
    if (target.kind === "NamespaceTarget") {
      const { attribute } = target;
      return (a, value) => namespaceIn(access, a).attributes.set(attribute, value);
    }
    if (!frame.isTop) return access.write;
    const { name } = target;
    return (a, value) => {
      access.write(a, value);
      a.context.set.set(name, value);
    };
  }

  #set({ target, value, line }: Extract<Statement, { kind: "Set" }>, frame: Frame): Execute {
    const evaluate = this.#costed(line, () => this.expression(value, frame));
    const assign = this.#assign(target, frame);
    const namespaces = namespacesOf(target).map((name) => accessTo(frame.symbols.ref(name), frame.scope));
    return (a) => {
      a.rt.line = line;
      for (const namespace of namespaces) namespaceIn(namespace, a);
      assign(a, evaluate(a));
      return DONE;
    };
  }

  #setBlock(statement: Extract<Statement, { kind: "SetBlock" }>, frame: Frame): Execute {
    const { target, filter, body } = statement;
    const inner = this.#inner(frame);
    inner.symbols.statements(body);
    const captured = this.#captured(inner, body, filter);
    const assign = this.#assign(target, frame);
    return (a) => {
      const result = captured(a);
      if (typeof result === "number") return result;
      assign(a, result.value);
      return DONE;
    };
  }

  #filterBlock(statement: Extract<Statement, { kind: "FilterBlock" }>, frame: Frame): Execute {
    const { filter, body } = statement;
    const inner = this.#inner(frame);
    inner.symbols.statements(body);
    inner.symbols.expression(filter);
    const captured = this.#captured(inner, body, filter);
    return (a, out) => {
      const result = captured(a);
      if (typeof result === "number") return result;
      writeText(a.rt, out, result.value);
      return DONE;
    };
  }

  /** What a body writes, through a filter; or how it was left before its end. */
  #captured(
    frame: Frame,
    body: readonly Statement[],
    filter: Filter | null,
  ): (a: Activation) => { value: Value } | Completion {
    const enter = this.#enter(frame);
    const run = this.#statements(body, frame);
    let written: Value = "";
    const text: Evaluate = () => written;
    const value = filter === null ? text : this.#filters(filter, text, frame);
    const leave = this.#leave(frame);
    return (a) => {
      const out: string[] = [];
      enter(a);
      const completion = run(a, out);
      if (completion !== DONE) return completion;
      written = a.rt.text(out.join(""));
      const result = { value: value(a) };
      leave(a);
      return result;
    };
  }

  /** A chain of filters, the innermost of which has no value of its own. */
  #filters(filter: Filter, innermost: Evaluate, frame: Frame): Evaluate {
    const { value } = filter;
    const inner = value === null ? innermost : this.#filters(value as Filter, innermost, frame);
    return this.filtered(filter, inner, frame);
  }

  #with({ pairs, body, line }: Extract<Statement, { kind: "With" }>, frame: Frame): Execute {
    const inner = this.#inner(frame);
    for (const [target] of pairs) inner.symbols.target(target);
    inner.symbols.statements(body);
    const enter = this.#enter(inner);
    const steps = pairs.map(([target, value]) => {
      const evaluate = this.#costed(line, () => this.expression(value, frame));
      const assign = this.#assign(target, inner);
      return (a: Activation) => assign(a, evaluate(a));
    });
    const run = this.#statements(body, inner);
    const leave = this.#leave(inner);
    return (a, out) => {
      enter(a);
      for (const step of steps) step(a);
      const completion = run(a, out);
      leave(a);
      return completion;
    };
  }

  #macroStatement(statement: MacroStatement, frame: Frame): Execute {
    const make = this.#macro(statement, statement.name, frame);
    const assign = this.#assign(
      { kind: "Name", name: statement.name, use: "store", line: statement.line },
      frame,
    );
    return (a) => {
      assign(a, make(a));
      return DONE;
    };
  }

  #macro(signature: Signature, name: string | null, frame: Frame): (a: Activation) => Macro {
    const { parameters, defaults, body } = signature;
    const inner = this.#innerFunction(frame);
    const { symbols, scope } = inner;
    symbols.signature(signature);
    const names = parameters.map((parameter) => parameter.name);
    const shape = shapeOf(signature, name, names);
    const extra = [
      ...(shape.takesCaller && !names.includes("caller") ? ["caller"] : []),
      ...(shape.takesKeywords ? ["kwargs"] : []),
      ...(shape.takesMore ? ["varargs"] : []),
    ].map((special) => symbols.declareParameter(special));
    const accesses = [...names.map((each) => symbols.ref(each)), ...extra].map((variable: Variable) =>
      accessTo(variable, scope),
    );
    const [enter, leaveOut] = [this.#enter(inner), parameters.length - defaults.length];
    const standards = names.map((parameter, index) => {
      const value = defaults[index - leaveOut];
      return value === undefined
        ? () => new Undefined(`parameter '${parameter}' was not provided`)
        : this.expression(value, inner);
    });
    const run = this.#functionBody(body, inner);
    return (outer) =>
      new Macro(shape, (rt, values) => {
        const a: Activation = { slots: [], outer, rt, context: outer.context };
        for (const [index, access] of accesses.entries()) access.write(a, values[index]);
        enter(a);
        standards.forEach((standard, index) => {
          if (values[index] === undefined) accesses[index]?.write(a, standard(a));
        });
        const out: string[] = [];
        rt.charge(4);
        run(a, out);
        return out.join("");
      });
  }

  /** Statements that no loop around can be left from. */
  #functionBody(body: readonly Statement[], frame: Frame): Execute {
    const numLoops = this.#numLoops;
    this.#numLoops = 0;
    const run = this.#statements(body, frame);
    this.#numLoops = numLoops;
    return run;
  }

  #callBlock(statement: CallStatement, frame: Frame): Execute {
    const caller = this.#macro(statement, null, frame);
    const value = this.#costed(statement.line, () =>
      this.call(statement.call.callee, statement.call, frame, (a) => ["caller", caller(a)]),
    );
    return (a, out) => {
      writeText(a.rt, out, value(a));
      return DONE;
    };
  }

  #generation({ body, line }: Extract<Statement, { kind: "Generation" }>, frame: Frame): Execute {
    const make = this.#macro({ parameters: [], defaults: [], body, line }, null, frame);
    return (a, out) => {
      a.rt.write(out, str(make(a).call(a.rt, [], new Map()), a.rt));
      return DONE;
    };
  }

  #autoescape(statement: Extract<Statement, { kind: "Autoescape" }>, frame: Frame): Execute {
    const inner = this.#inner(frame);
    inner.symbols.expression(statement.value);
    inner.symbols.statements(statement.body);
    const isOn = this.#costed(statement.line, () => this.expression(statement.value, inner));
    const run = this.#scope(inner, statement.body);
    const enter = this.#enter(inner);
    return (a, out) => {
      enter(a);
      if (truthy(isOn(a))) throw new TemplateFailure("{% autoescape %}: prompts are no HTML");
      return run(a, out);
    };
  }

  /** Runs in the place where it stands, with the variables of the template's top. */
  #block(statement: BlockStatement, frame: Frame): Execute {
    const { name, line } = statement;
    if (this.#blocks.has(name)) throw new TemplateFailure(`block '${name}' defined twice`, line);
    const symbols = new Symbols(null);
    symbols.statements(statement.body);
    const inner: Frame = { symbols, scope: new FunctionScope(null, 0), isTop: false, isSoft: false };
    const run = this.#functionBlock(inner, statement.body);
    this.#blocks.add(name);
    const visible = statement.isScoped ? frame.symbols.visible(frame.scope) : [];
    return (a, out) => {
      a.rt.line = line;
      if (statement.isRequired) throw new TemplateFailure(`Required block '${name}' not found`);
      const set = new Map(a.context.set);
      for (const [variable, access] of visible) {
        const value = access.read(a);
        if (value !== undefined) set.set(variable, value);
      }
      const context: Context = statement.isScoped ? { given: a.context.given, set } : a.context;
      run({ slots: [], outer: null, rt: a.rt, context }, out);
      return DONE;
    };
  }

  #functionBlock(frame: Frame, body: readonly Statement[]): Execute {
    const numLoops = this.#numLoops;
    this.#numLoops = 0;
    const run = this.#scope(frame, body);
    this.#numLoops = numLoops;
    return run;
  }
}

/** What is no print statement writes nothing but text. */
function writeText(rt: Runtime, out: string[], value: Value): void {
  const text = textOf(value);
  if (text === undefined) throw new TemplateFailure(`expected str instance, ${typeName(value)} found`);
  rt.write(out, text);
}

type Recurse = (items: Value, depth: number) => string;

function inTurn(steps: readonly ((activation: Activation) => void)[]): (activation: Activation) => void {
  return (a) => {
    for (const step of steps) step(a);
  };
}

function resolve({ given, set }: Context, name: string): Value | undefined {
  if (set.has(name)) return set.get(name);
  return given.has(name) ? given.get(name) : GLOBALS.get(name);
}

function namespaceIn(access: Access, a: Activation): Namespace {
  const value = access.read(a);
  if (value instanceof Namespace) return value;
  throw new TemplateFailure("cannot assign attribute on non-namespace object");
}

function namespacesOf(target: Target): string[] {
  if (target.kind === "TupleTarget") return target.items.flatMap(namespacesOf);
  return target.kind === "NamespaceTarget" ? [target.name] : [];
}

function unpacked(rt: Runtime, value: Value, count: number): Value[] {
  if (iteratorOf(value, rt) === undefined) throw new TemplateFailure("cannot unpack non-iterable object");
  const values = listOf(value, rt);
  if (values.length > count) throw new TemplateFailure(`too many values to unpack (expected ${count})`);
  if (values.length === count) return values;
  throw new TemplateFailure(`not enough values to unpack (expected ${count}, got ${values.length})`);
}

function shapeOf({ body, defaults, line }: Signature, name: string | null, parameters: string[]): MacroShape {
  const used = undeclared(body, ["caller", "kwargs", "varargs"]);
  const place = parameters.indexOf("caller");
  if (used.has("caller") && place >= 0 && place < parameters.length - defaults.length) {
    throw new TemplateFailure(
      'When defining macros or call blocks the special "caller" argument must be omitted or be given a default.',
      line,
    );
  }
  return {
    name,
    parameters,
    takesCaller: used.has("caller"),
    takesKeywords: used.has("kwargs") && !parameters.includes("kwargs"),
    takesMore: used.has("varargs") && !parameters.includes("varargs"),
  };
}

/** Nothing within a loop may give `loop` another meaning. */
function checkLoopName(statement: ForStatement): void {
  namesInStatements([statement], (name, use) => {
    if (name === "loop" && use === "store") {
      throw new TemplateFailure("Can't assign to special loop variable in for-loop target", statement.line);
    }
  });
}

function hasScopedBlock(statements: readonly Statement[]): boolean {
  return statements.some((statement) => {
    if (statement.kind === "Block" && statement.isScoped) return true;
    const bodies: (readonly Statement[])[] =
      statement.kind === "If" ? [...statement.branches.map(({ body }) => body), statement.otherwise] : [];
    if ("body" in statement) bodies.push(statement.body);
    if (statement.kind === "For") bodies.push(statement.otherwise);
    return bodies.some(hasScopedBlock);
  });
}
