/** Expressions as functions of a call of the template. */

import { Dict } from "./dict.ts";
import { FILTERS, TESTS } from "./filters.ts";
import type { CallArguments, Expr, Filter, SliceBounds } from "./nodes.ts";
import { binary, compare, getAttribute, getItem, signed, slice } from "./operators.ts";
import { type Keywords, PyObject, typeName, Undefined, type Value } from "./py-object.ts";
import { str } from "./repr.ts";
import { TemplateFailure } from "./runtime.ts";
import { type Activation, accessTo, type Frame } from "./scopes.ts";
import { Tuple } from "./sequences.ts";
import { each, textOf, truthy } from "./values.ts";

export type Evaluate = (activation: Activation) => Value;

interface CompiledArguments {
  args(activation: Activation): Value[];
  keywords(activation: Activation): Keywords;
}

const NO_KEYWORDS: Keywords = new Map();

export class ExpressionCompiler {
  /** Nodes compiled so far, by which statements know what they cost. */
  protected numNodes = 0;

  expression(expr: Expr, frame: Frame): Evaluate {
    this.numNodes += 1;
    switch (expr.kind) {
      case "Const": {
        const { value } = expr;
        return () => value;
      }
      case "Name":
        return this.#name(expr.name, frame);
      case "Tuple": {
        const items = this.#all(expr.items, frame);
        return (a) => new Tuple(items.map((item) => item(a)));
      }
      case "List": {
        const items = this.#all(expr.items, frame);
        return (a) => items.map((item) => item(a));
      }
      case "Dict":
        return this.#dict(expr.pairs, frame);
      case "Conditional":
        return this.#conditional(expr, { ...frame, isSoft: true });
      case "And": {
        const [left, right] = this.#both(expr, frame);
        return (a) => {
          const value = left(a);
          return truthy(value) ? right(a) : value;
        };
      }
      case "Or": {
        const [left, right] = this.#both(expr, frame);
        return (a) => {
          const value = left(a);
          return truthy(value) ? value : right(a);
        };
      }
      case "Not": {
        const value = this.expression(expr.value, frame);
        return (a) => !truthy(value(a));
      }
      case "Sign": {
        const { operator } = expr;
        const value = this.expression(expr.value, frame);
        return (a) => signed(operator, value(a));
      }
      case "Binary": {
        const { operator } = expr;
        const [left, right] = this.#both(expr, frame);
        return (a) => binary(operator, left(a), right(a), a.rt);
      }
      case "Concat":
        return this.#concat(expr.parts, frame);
      case "Compare":
        return this.#compare(expr, frame);
      case "Attribute": {
        const { name } = expr;
        const value = this.expression(expr.value, frame);
        return (a) => getAttribute(value(a), name, a.rt);
      }
      case "Item":
        return this.#item(expr.value, expr.key, frame);
      case "Call":
        return this.call(expr.callee, expr, frame);
      case "Filter":
      case "Test":
        return this.#filter(expr, frame);
    }
  }

  #all(exprs: readonly Expr[], frame: Frame): Evaluate[] {
    return exprs.map((expr) => this.expression(expr, frame));
  }

  #both({ left, right }: { left: Expr; right: Expr }, frame: Frame): [Evaluate, Evaluate] {
    return [this.expression(left, frame), this.expression(right, frame)];
  }

  #name(name: string, frame: Frame): Evaluate {
    const access = accessTo(frame.symbols.ref(name), frame.scope);
    return (a) => {
      const value = access.read(a);
      return value === undefined ? Undefined.variable(name) : value;
    };
  }

  #dict(pairs: readonly (readonly [Expr, Expr])[], frame: Frame): Evaluate {
    const compiled = pairs.map((pair) => this.#all(pair, frame) as [Evaluate, Evaluate]);
    return (a) => {
      const dict = new Dict();
      for (const [keyOf, valueAt] of compiled) {
        const key = keyOf(a);
        if (typeof key === "string") a.rt.hashed(key);
        dict.set(key, valueAt(a));
      }
      return dict;
    };
  }

  #conditional(expr: Extract<Expr, { kind: "Conditional" }>, frame: Frame): Evaluate {
    const [chosen, test] = [this.expression(expr.chosen, frame), this.expression(expr.test, frame)];
    const otherwise =
      expr.otherwise === null
        ? () =>
            new Undefined(
              `the inline if-expression on line ${expr.line} evaluated to false and no else section was defined.`,
            )
        : this.expression(expr.otherwise, frame);
    return (a) => (truthy(test(a)) ? chosen(a) : otherwise(a));
  }

  #concat(parts: readonly Expr[], frame: Frame): Evaluate {
    const compiled = this.#all(parts, frame);
    return (a) => {
      let text = "";
      for (const part of compiled) {
        text += str(part(a), a.rt);
        a.rt.joined(text.length);
      }
      return text;
    };
  }

  #compare({ first, rest }: Extract<Expr, { kind: "Compare" }>, frame: Frame): Evaluate {
    const start = this.expression(first, frame);
    const steps = rest.map(([operator, value]) => ({ operator, value: this.expression(value, frame) }));
    return (a) => {
      let left = start(a);
      for (const { operator, value } of steps) {
        const right = value(a);
        if (!compare(operator, left, right, a.rt)) return false;
        left = right;
      }
      return true;
    };
  }

  #item(valueExpr: Expr, key: Expr | SliceBounds, frame: Frame): Evaluate {
    const value = this.expression(valueExpr, frame);
    if (key.kind !== "Slice") {
      const keyOf = this.expression(key, frame);
      return (a) => getItem(value(a), keyOf(a), a.rt);
    }
    const [start, stop, step] = key.bounds.map((bound) =>
      bound === null ? () => null : this.expression(bound, frame),
    ) as [Evaluate, Evaluate, Evaluate];
    return (a) => slice(value(a), [start(a), stop(a), step(a)], a.rt);
  }

  /** `more` gives further keywords, the caller of a call block. */
  protected call(
    callee: Expr,
    given: CallArguments,
    frame: Frame,
    more?: (activation: Activation) => readonly [string, Value],
  ): Evaluate {
    const target = this.expression(callee, frame);
    const { args, keywords } = this.#arguments(given, frame);
    return (a) => {
      const value = target(a);
      if (!(value instanceof PyObject && value.isCallable)) {
        throw new TemplateFailure(`'${typeName(value)}' object is not callable`);
      }
      const own = keywords(a);
      return value.call(a.rt, args(a), more === undefined ? own : new Map([...own, more(a)]));
    };
  }

  #arguments({ args, keywords, moreArgs, moreKeywords }: CallArguments, frame: Frame): CompiledArguments {
    const own = this.#all(args, frame);
    const named = keywords.map(([name, value]) => [name, this.expression(value, frame)] as const);
    const more = moreArgs === null ? undefined : this.expression(moreArgs, frame);
    const moreNamed = moreKeywords === null ? undefined : this.expression(moreKeywords, frame);
    return {
      args: (a) => {
        const values = own.map((arg) => arg(a));
        if (more !== undefined) for (const value of each(more(a), a.rt)) values.push(value);
        return values;
      },
      keywords: (a) => {
        if (named.length === 0 && moreNamed === undefined) return NO_KEYWORDS;
        const values = new Map(named.map(([name, value]) => [name, value(a)] as const));
        if (moreNamed !== undefined) addKeywords(values, moreNamed(a));
        return values;
      },
    };
  }

  #filter(filter: Filter, frame: Frame): Evaluate {
    const value = filter.value === null ? undefined : this.expression(filter.value, frame);
    if (value === undefined) throw new TemplateFailure("a filter without a value", filter.line);
    return this.filtered(filter, value, frame);
  }

  /** A filter or test of what `value` gives. */
  protected filtered(filter: Filter, value: Evaluate, frame: Frame): Evaluate {
    const { kind, name, line } = filter;
    const known = (kind === "Filter" ? FILTERS : TESTS).get(name);
    const kindName = kind === "Filter" ? "filter" : "test";
    if (known === undefined && !frame.isSoft) {
      throw new TemplateFailure(`No ${kindName} named '${name}'.`, line);
    }
    const { args, keywords } = this.#arguments(filter, frame);
    if (known === undefined) {
      return () => {
        throw new TemplateFailure(`No ${kindName} named '${name}' found.`);
      };
    }
    const isTest = kind === "Test";
    return (a) => {
      const result = known.call(a.rt, [value(a), ...args(a)], keywords(a));
      return isTest ? truthy(result) : result;
    };
  }
}

function addKeywords(values: Map<string, Value>, more: Value): void {
  if (!(more instanceof Dict)) throw new TemplateFailure("argument after ** must be a mapping");
  for (const [key, value] of more.entries.values()) {
    const name = textOf(key);
    if (name === undefined) throw new TemplateFailure("keywords must be strings");
    if (values.has(name)) throw new TemplateFailure(`got multiple values for keyword argument '${name}'`);
    values.set(name, value);
  }
}
