/** Writes the C++ header that the native executors decode a program with, from the op table and the encoding. */
import type { AttrSpec } from "../graph/op-definition.ts";
import { isCollective, OP_NAMES, OPS } from "../graph/ops.ts";
import {
  FORMATS,
  type FormatRow,
  LAYOUTS,
  STORAGE_FORMATS,
  scaleRun,
  WEIGHT_LAYOUTS,
} from "../tensor/storage.ts";
import * as encoding from "./encoding.ts";
import { BUFFER_KINDS, PROGRAM_VERSION } from "./program.ts";

/** The whole text of glimt_program.gen.h. */
export function programHeader(): string {
  return [
    "// Generated from src/graph/ops.ts, src/program/encoding.ts and src/tensor/storage.ts by `npm run generate`. Do not edit.",
    "#pragma once",
    "#include <cstdint>",
    "",
    "namespace glimt::program {",
    "",
    `constexpr uint32_t kMagic = ${hex(encoding.PROGRAM_MAGIC)};`,
    `constexpr uint32_t kVersion = ${PROGRAM_VERSION};`,
    `constexpr uint32_t kNoSymbol = ${hex(encoding.NO_SYMBOL)};`,
    "",
    enumeration("DType", STORAGE_FORMATS),
    formatTable(),
    enumeration("Layout", WEIGHT_LAYOUTS),
    `constexpr uint32_t kLayoutCount = ${WEIGHT_LAYOUTS.length};`,
    "// Rows of a tile, by layout.",
    `constexpr uint32_t kLayoutTileRows[] = {${WEIGHT_LAYOUTS.map((name) => LAYOUTS[name].tileRows).join(", ")}};`,
    "",
    enumeration("BufferKind", BUFFER_KINDS),
    struct("Header", [
      "uint32_t magic, version, words, stringBytes, name;",
      "uint32_t symbolCount, bufferCount, tensorCount, instructionCount, slotCount;",
      "DType activation;",
    ]),
    sizeCheck("Header", encoding.HEADER_WORDS),
    struct("Symbol", ["uint32_t name, nameLength;"]),
    sizeCheck("Symbol", encoding.SYMBOL_WORDS),
    "// value = symbol * num / den + add; a constant has symbol kNoSymbol and is `add`.",
    struct("Dim", ["uint32_t symbol, num, den;", "int32_t add;"]),
    sizeCheck("Dim", encoding.DIM_WORDS),
    struct("Buffer", [
      "BufferKind kind;",
      "Layout layout;",
      "DType dtype;",
      "int32_t slot;",
      "uint32_t name, nameLength;",
      "Dim rows, cols;",
    ]),
    sizeCheck("Buffer", encoding.BUFFER_WORDS),
    "// rowStride is in elements; 0 means contiguous rows.",
    struct("Tensor", ["uint32_t buffer, colOffset, rowStride;", "Dim rows, cols;"]),
    sizeCheck("Tensor", encoding.TENSOR_WORDS),
    enumeration("Op", OP_NAMES, (name) => OPS[name].code),
    "// What ranks of a group do together.",
    `inline bool isCollective(Op op) { return ${OP_NAMES.filter(isCollective)
      .map((name) => `op == Op::${name}`)
      .join(" || ")}; }`,
    "// Followed by inputCount + outputCount tensor indices and attrCount words.",
    struct("Instruction", ["Op op;", "uint32_t inputCount, outputCount, attrCount, scope, scopeLength;"]),
    sizeCheck("Instruction", encoding.INSTRUCTION_WORDS),
    ...OP_NAMES.filter((name) => !("view" in OPS[name])).map(opDeclaration),
    "}  // namespace glimt::program",
    "",
  ].join("\n");
}

/** The numbers that glimt_storage.h computes bytes with. */
function formatTable(): string {
  const rows = STORAGE_FORMATS.map((name) => {
    const { bits, group }: FormatRow = FORMATS[name];
    const { rows, cols, bytes } = group ? scaleRun(group) : { rows: 0, cols: 0, bytes: 0 };
    return `  {${[bits, rows, cols === "all" ? 0 : cols, bytes].join(", ")}},  // ${name}`;
  });
  return [
    "// Bits of an element; groupBytes stand beside each groupRows x groupCols of them, groupCols 0 being the whole row.",
    struct("Format", ["uint32_t bits, groupRows, groupCols, groupBytes;"]),
    "constexpr Format kFormats[] = {",
    ...rows,
    "};",
    `constexpr uint32_t kFormatCount = ${rows.length};`,
    "",
  ].join("\n");
}

function opDeclaration(name: (typeof OP_NAMES)[number]): string {
  const { doc, inputs, attrs, outputs } = OPS[name];
  const fields = Object.entries(attrs as Record<string, AttrSpec>).map(
    ([attr, spec]) => `${spec === "f32" ? "float" : "uint32_t"} ${attr};`,
  );
  const choices = Object.entries(attrs as Record<string, AttrSpec>).flatMap(([attr, spec]) =>
    typeof spec === "string"
      ? []
      : [
          `enum ${pascal(attr)} : uint32_t { ${spec.map((choice, index) => `${attr}_${choice} = ${index}`).join(", ")} };`,
        ],
  );
  return [
    `// ${doc}`,
    `namespace op_${name} {`,
    `enum Input : uint32_t { ${Object.keys(inputs)
      .map((input, index) => `in_${input} = ${index}`)
      .join(", ")} };`,
    `enum Output : uint32_t { ${Object.keys(outputs)
      .map((output, index) => `out_${output} = ${index}`)
      .join(", ")} };`,
    ...choices,
    ...(fields.length ? [struct("Attrs", fields)] : []),
    `}  // namespace op_${name}`,
    "",
  ].join("\n");
}

function enumeration<N extends string>(
  name: string,
  members: readonly N[],
  value?: (member: N) => number,
): string {
  const lines = members.map((member, index) => `  ${member} = ${value ? value(member) : index},`);
  return `enum class ${name} : uint32_t {\n${lines.join("\n")}\n};\n`;
}

function struct(name: string, fields: readonly string[]): string {
  return `struct ${name} {\n${fields.map((field) => `  ${field}`).join("\n")}\n};`;
}

function sizeCheck(name: string, words: number): string {
  return `static_assert(sizeof(${name}) == ${words * 4});\n`;
}

function pascal(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
