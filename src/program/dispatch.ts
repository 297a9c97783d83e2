/** Writes the C++ header that finds what a native backend holds of each op, by the name it must have there. */
import { isCollective, OP_NAMES, OPS, type OpName } from "../graph/ops.ts";

export interface Dispatch {
  /** Of the constants; it is declared where the header is included. */
  readonly type: string;
  readonly find: string;
  /** Fused ops that the backend runs as their compositions. */
  readonly composed?: ReadonlySet<OpName>;
}

/**
 * For each op that an engine runs by itself a constant `k` + its name in PascalCase, which one of the backend's sources
 * defines: an op that has none does not link.
 */
export function dispatchHeader({ type, find, composed = new Set() }: Dispatch): string {
  const present = OP_NAMES.filter((op) => !("view" in OPS[op] || isCollective(op) || composed.has(op)));
  const others = OP_NAMES.filter((op) => !present.includes(op));
  return [
    "// Generated from src/graph/ops.ts by `npm run generate`. Do not edit.",
    "#pragma once",
    "",
    "namespace glimt {",
    "",
    ...present.map((op) => `extern const ${type} ${constantName(op)};`),
    "",
    "// Null for ops that have no kernel in this backend, and for numbers that are no op.",
    `inline const ${type}* ${find}(program::Op op) {`,
    "  using program::Op;",
    "  switch (op) {",
    ...present.map((op) => `    case Op::${op}: return &${constantName(op)};`),
    ...others.map((op) => `    case Op::${op}:`),
    "      return nullptr;",
    "  }",
    "  return nullptr;",
    "}",
    "",
    "}  // namespace glimt",
    "",
  ].join("\n");
}

/** What crates-free-native/kernels holds: an entry of every op. */
export function nativeEntries(): string {
  return dispatchHeader({ type: "OpEntry", find: "find_op" });
}

function constantName(op: OpName): string {
  return `k${op.replace(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase())}`;
}
