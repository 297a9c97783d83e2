/** Writes the C++ header that finds what a native backend holds of each op, by the name it must have there. */
import { isCollective, OP_NAMES, OPS, type OpName } from "../graph/ops.ts";

export interface Dispatch {
  /** Of the constants; it is declared where the header is included. */
  readonly type: string;
  readonly find: string;
  /** Fused ops that the backend runs as their compositions. */
  readonly composed?: ReadonlySet<OpName>;
  /** Whether it has what ranks of a group do together. */
  readonly collectives?: boolean;
}

/**
 * For each op that the backend has a constant `k` + its name in PascalCase, which one of the backend's sources
 * defines: an op that has none does not link.
 */
export function dispatchHeader({ type, find, composed = new Set(), collectives }: Dispatch): string {
  const isPresent = (op: OpName) =>
    !("view" in OPS[op] || composed.has(op)) && (!isCollective(op) || collectives === true);
  const present = OP_NAMES.filter(isPresent);
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
  return dispatchHeader({ type: "OpEntry", find: "find_op", collectives: true });
}

function constantName(op: OpName): string {
  return `k${op.replace(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase())}`;
}
