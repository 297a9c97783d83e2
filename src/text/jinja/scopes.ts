/** Where variables live: the functions of a template while it is compiled, and their calls while it runs. */

import type { Value } from "./py-object.ts";
import type { Runtime } from "./runtime.ts";
import type { Symbols, Variable } from "./symbols.ts";

/** The variables that a template was given, and those that it sets at its top, which its blocks see. */
export interface Context {
  readonly given: ReadonlyMap<string, Value>;
  readonly set: Map<string, Value>;
}

/** One call of a function: the template itself, a macro, a recursive loop, a loop's test. */
export interface Activation {
  /** Undefined: nothing is there (yet). */
  readonly slots: (Value | undefined)[];
  readonly outer: Activation | null;
  readonly rt: Runtime;
  readonly context: Context;
}

export class FunctionScope {
  readonly outer: FunctionScope | null;
  /** Variables of lower levels are those of the functions around it. */
  readonly #level: number;
  readonly #slots = new Map<string, number>();

  constructor(outer: FunctionScope | null, level: number) {
    this.outer = outer;
    this.#level = level;
  }

  owns({ level }: Variable): boolean {
    return level >= this.#level || this.outer === null;
  }

  /** One slot for all variables of a name and level, as one variable of Python would be. */
  slot({ level, name }: Variable): number {
    const key = `${level} ${name}`;
    const slot = this.#slots.get(key) ?? this.#slots.size;
    this.#slots.set(key, slot);
    return slot;
  }
}

/** What the compiler knows of the place that it is at. */
export interface Frame {
  readonly symbols: Symbols;
  readonly scope: FunctionScope;
  /** Nothing but `if`s are around: what is set here is seen by blocks. */
  readonly isTop: boolean;
  /** Inside of a conditional, where an unknown filter fails when it is called only. */
  readonly isSoft: boolean;
}

/** Reads and writes one variable. */
export interface Access {
  read(activation: Activation): Value | undefined;
  write(activation: Activation, value: Value | undefined): void;
}

export function accessTo(variable: Variable, from: FunctionScope): Access {
  let [scope, hops] = [from, 0];
  while (!scope.owns(variable)) {
    scope = scope.outer as FunctionScope;
    hops += 1;
  }
  const slot = scope.slot(variable);
  if (hops === 0) {
    return {
      read: ({ slots }) => slots[slot],
      write: ({ slots }, value) => {
        slots[slot] = value;
      },
    };
  }
  const owner = (activation: Activation): Activation => {
    let at = activation;
    for (let hop = 0; hop < hops; hop++) at = at.outer as Activation;
    return at;
  };
  return {
    read: (activation) => owner(activation).slots[slot],
    write: (activation, value) => {
      owner(activation).slots[slot] = value;
    },
  };
}
