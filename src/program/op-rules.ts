/**
 * Writes the C++ header with the op table's rules over numbers. A verified program keeps them for all values of its
 * symbols; an engine that takes bytes from anywhere asks again, because its kernels stay inside their memory by them.
 */
import { KIND_DTYPES } from "../graph/infer.ts";
import type { AttrSpec, OpDefinition, OperandKind, OutputSpec, Relation } from "../graph/op-definition.ts";
import { OP_NAMES, OPS, type OpName } from "../graph/ops.ts";
import { parsePattern, parseTerm, type Term } from "../graph/pattern.ts";
import type { StorageFormat } from "../tensor/storage.ts";

/** The whole text of glimt_op_rules.gen.h. */
export function opRulesHeader(): string {
  const ops = OP_NAMES.filter((op) => !("view" in OPS[op]));
  return `// Generated from src/graph/ops.ts by \`npm run generate\`. Do not edit.
#pragma once
#include <cstdint>

#include "glimt_program.gen.h"

namespace glimt::program {

struct OpInfo {
  const char* name;
  uint32_t inputs, outputs, attrs;
};

// Null for views and for numbers that are no op.
inline const OpInfo* op_info(Op op) {
  switch (op) {
${ops.map(infoCase).join("\n")}
    default:
      return nullptr;
  }
}

namespace rules {

// Sizes are not negative; what has no size is -1.
inline int64_t times(int64_t a, int64_t b) {
  int64_t product;
  return a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product) ? -1 : product;
}
inline int64_t over(int64_t a, int64_t b) { return a >= 0 && b > 0 && a % b == 0 ? a / b : -1; }
inline bool is_index(uint32_t attr) { return attr < uint32_t{1} << 31; }
inline bool is_count(uint32_t attr) { return attr > 0 && is_index(attr); }
inline bool is_multiple(int64_t a, int64_t b) { return b > 0 && a % b == 0; }
template <class Operand>
inline bool is_dense(const Operand& operand) {
  return operand.stride == operand.cols;
}

}  // namespace rules

// The operand or attribute that does not fit the op and the others, all in the op table's order; null when all do. An
// operand has a dtype, and rows of cols elements that lie stride elements apart.
template <class Operand>
const char* misfit(Op op, DType activation, const Operand* in, const Operand* out, const uint32_t* attrs) {
  using namespace rules;
  switch (op) {
${ops.map(rulesCase).join("\n")}
    default:
      return "op";
  }
}

}  // namespace glimt::program
`;
}

function infoCase(op: OpName): string {
  const { inputs, outputs, attrs } = OPS[op];
  const counts = [inputs, outputs, attrs].map((names) => Object.keys(names).length).join(", ");
  return `    case Op::${op}: {\n      static constexpr OpInfo info{"${op}", ${counts}};\n      return &info;\n    }`;
}

function rulesCase(op: OpName): string {
  const { inputs, outputs, attrs, conditions = [] }: OpDefinition = OPS[op];
  const known = new Set<string>();
  const lines = [
    ...Object.entries(attrs).flatMap(([name, spec], index) => attrLines(name, spec, index, known)),
    ...Object.entries(inputs).flatMap(([name, { kind, shape }], index) =>
      operandLines(
        { name, place: `in[${index}]`, types: typesOf(kind), isDense: kind !== "activation", shape },
        known,
      ),
    ),
    ...conditions.map(([left, relation, right]) => {
      const [a, b] = [expression(parseTerm(left)), expression(parseTerm(right))];
      return `if (!${RELATIONS[relation](a, b)}) return "${left}";`;
    }),
    ...Object.entries(outputs).flatMap(([name, spec], index) =>
      operandLines({ name, place: `out[${index}]`, ...outputType(spec, inputs), shape: spec.shape }, known),
    ),
    "return nullptr;",
  ];
  return `    case Op::${op}: {\n${lines.map((line) => `      ${line}`).join("\n")}\n    }`;
}

function attrLines(name: string, spec: AttrSpec, index: number, known: Set<string>): string[] {
  // Numbers that no memory depends on.
  if (spec === "f32") return [];
  if (typeof spec !== "string") return [`if (attrs[${index}] >= ${spec.length}) return "${name}";`];
  known.add(name);
  return [
    `if (!${spec === "index" ? "is_index" : "is_count"}(attrs[${index}])) return "${name}";`,
    `[[maybe_unused]] const int64_t ${name} = attrs[${index}];`,
  ];
}

interface OperandRule {
  readonly name: string;
  readonly place: string;
  readonly types: readonly (StorageFormat | "activation")[];
  /** Kernels walk through it as through one array. */
  readonly isDense: boolean;
  readonly shape: string;
}

/** Checks what is known of an operand's sizes, and names what it tells. */
function operandLines({ name, place, types, isDense, shape }: OperandRule, known: Set<string>): string[] {
  const [rows, cols = parseTerm("1")] = parsePattern(shape) as [Term, Term?];
  const bound: string[] = [];
  const checks = [
    anyOf(types.map((type) => `${place}.dtype == ${type === "activation" ? type : `DType::${type}`}`)),
    ...(isDense ? [`is_dense(${place})`] : []),
  ];
  for (const [side, term] of [
    ["rows", rows],
    ["cols", cols],
  ] as const) {
    const found = `${place}.${side}`;
    const letter = term.factors[0]?.word;
    const isKnown = term.factors.every(({ word }) => typeof word === "number" || known.has(word));
    if (isKnown) checks.push(`${found} == ${expression(term)}`);
    else if (typeof letter === "string") {
      bound.push(`[[maybe_unused]] const int64_t ${letter} = ${found}${term.add ? ` - ${term.add}` : ""};`);
      if (term.add) checks.push(`${letter} >= 0`);
      known.add(letter);
    }
  }
  return [...bound, `if (!(${checks.join(" && ")})) return "${name}";`];
}

function anyOf(conditions: readonly string[]): string {
  return conditions.length === 1 ? (conditions[0] as string) : `(${conditions.join(" || ")})`;
}

function typesOf(kind: OperandKind): readonly (StorageFormat | "activation")[] {
  return kind === "activation" || kind === "state" ? ["activation"] : KIND_DTYPES[kind];
}

function outputType(
  spec: OutputSpec,
  inputs: OpDefinition["inputs"],
): Pick<OperandRule, "types" | "isDense"> {
  if ("dtype" in spec) return { types: [spec.dtype], isDense: true };
  const kind = inputs[spec.like]?.kind ?? "activation";
  return { types: typesOf(kind), isDense: kind !== "activation" };
}

function expression({ factors, add }: Term): string {
  const product = factors.reduce<string>((value, { word, divides }) => {
    if (value === "") return String(word);
    return `${divides ? "over" : "times"}(${value}, ${word})`;
  }, "");
  return add === 0 ? product : `(${product} + ${add})`;
}

const RELATIONS: Readonly<Record<Relation, (left: string, right: string) => string>> = {
  "at most": (left, right) => `(${left} <= ${right})`,
  "less than": (left, right) => `(${left} < ${right})`,
  "a multiple of": (left, right) => `is_multiple(${left}, ${right})`,
};
