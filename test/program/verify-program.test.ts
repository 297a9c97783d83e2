/** Programs that break a rule of the op table are refused before any engine sees them, as data and as bytes. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { compileGraph } from "../../src/compiler/compile.ts";
import { caseGraph } from "../../src/conformance/case-graph.ts";
import { OP_CASES } from "../../src/conformance/cases.ts";
import { createGraphBuilder, type GraphBuilder } from "../../src/graph/builder.ts";
import type { Value } from "../../src/graph/graph.ts";
import { LOCAL_OPS } from "../../src/graph/ops.ts";
import { decodeProgram, encodeProgram } from "../../src/program/encoding.ts";
import type { Instruction, Program, ProgramBuffer, ProgramTensor } from "../../src/program/program.ts";
import { verifyProgram } from "../../src/program/verify-program.ts";
import { symbolDim } from "../../src/tensor/dims.ts";

type Change = (program: Program) => Program;

function compiled(build: (builder: GraphBuilder) => Record<string, Value>): Program {
  const builder = createGraphBuilder({ name: "sample", activationDType: "f32", weightDType: () => "f32" });
  return compileGraph(builder.finish(build(builder)), { passes: [] });
}

/** y = linear(add(a, b), w), a = linear(x, w), b = linear(a, w): two temporaries that are alive together. */
const linears = () =>
  compiled((builder) => {
    const x = builder.input("x", [builder.symbol("tokens"), 16], "f32");
    const w = builder.weight("w", [16, 16]);
    const a = builder.linear({ x, w });
    const b = builder.linear({ x: a, w });
    return { y: builder.linear({ x: builder.add({ a, b }), w }) };
  });

/** y = the columns 4..12 of each row, through gelu. */
const slices = () =>
  compiled((builder) => {
    const x = builder.input("x", [builder.symbol("tokens"), 16], "f32");
    return { y: builder.gelu({ x: builder.slice({ x }, { start: 4, length: 8 }) }) };
  });

const biased = () =>
  compiled((builder) => {
    const x = builder.input("x", [builder.symbol("tokens"), 16], "f32");
    return { y: builder.add_bias({ x, bias: builder.weight("bias", [16]) }) };
  });

const cache = () =>
  compiled((builder) => {
    const tokens = builder.symbol("tokens");
    const rows = (name: string) => builder.input(name, [tokens, 8], "f32");
    const slots = builder.input("slots", [tokens], "i32");
    const state = builder.state("cache", [builder.symbol("pages"), 2 * 8 * 4]);
    const attrs = { numKvHeads: 2, headDim: 4, pageSize: 4 };
    return { written: builder.kv_write({ k: rows("k"), v: rows("v"), slots, cache: state }, attrs) };
  });

/** y = rope(x). */
const rotations = () =>
  compiled((builder) => {
    const tokens = builder.symbol("tokens");
    const table = (name: string) => builder.input(name, [tokens, 2], "f32");
    const x = builder.input("x", [tokens, 8], "f32");
    const attrs = { numHeads: 2, headDim: 4, rotaryDim: 4, pairs: "half" } as const;
    return { y: builder.rope({ x, cos: table("cos"), sin: table("sin") }, attrs) };
  });

const instruction = (index: number, change: Partial<Instruction>): Change => {
  return (program) => ({
    ...program,
    instructions: program.instructions.map((old, at) => (at === index ? { ...old, ...change } : old)),
  });
};
const buffer = (name: string, change: Partial<ProgramBuffer>): Change => {
  return (program) => ({
    ...program,
    buffers: program.buffers.map((old) =>
      old.name === name ? ({ ...old, ...change } as ProgramBuffer) : old,
    ),
  });
};
/** Changes the tensor of an input (or output, counted behind the inputs) of an instruction. */
const operand = (at: number, position: number, change: Partial<ProgramTensor>): Change => {
  return (program) => {
    const { inputs = [], outputs = [] } = program.instructions[at] ?? {};
    const changed = [...inputs, ...outputs][position];
    return {
      ...program,
      tensors: program.tensors.map((old, index) => (index === changed ? { ...old, ...change } : old)),
    };
  };
};
const whole = (change: Partial<Program>): Change => {
  return (program) => ({ ...program, ...change });
};
const tokens = symbolDim("tokens");

const wideTable: Change = (program) => operand(0, 1, { rowStride: 4 })(buffer("cos", { cols: 4 })(program));

const REFUSED: readonly [name: string, program: () => Program, change: Change, message: RegExp][] = [
  ["an op that does not exist", linears, instruction(0, { op: "multiply" as "add" }), /no operation/],
  ["a view as an instruction", linears, instruction(0, { op: "slice" }), /no operation/],
  ["an input too few", linears, instruction(0, { inputs: [0] }), /another number/],
  ["an attribute too many", linears, instruction(0, { attrs: [1] }), /another number/],
  ["a tensor that does not exist", linears, instruction(0, { inputs: [0, 99] }), /tensor 99/],
  ["a negative tensor", linears, instruction(0, { inputs: [-1, 0] }), /tensor -1/],
  ["a buffer that does not exist", linears, operand(0, 0, { buffer: 77 }), /buffer 77.*not exist/],
  ["a wrong width", linears, operand(0, 0, { cols: 7 }), /shape/],
  ["rows that differ", linears, operand(3, 2, { rows: { ...tokens, den: 2 } }), /y is/],
  ["a part of a weight", linears, buffer("w", { rows: 32 }), /whole weight/],
  ["a layout that does not exist", linears, buffer("w", { layout: "spiral" as "plain" }), /layout/],
  ["a weight that is no weight", linears, buffer("w", { kind: "input" }), /whole weight/],
  ["activations of another type", linears, buffer("x", { dtype: "bf16" }), /bf16/],
  ["a program of other activations", linears, whole({ activation: "bf16" }), /x is f32, expected bf16/],
  ["activations of whole numbers", linears, whole({ activation: "i32" }), /activations of i32/],
  ["an output over an input", linears, buffer("y", { kind: "input" }), /overwrite input "y"/],
  ["an input in tiles", linears, buffer("x", { layout: "tiles8" }), /in tiles8, which only weights do/],
  ["a vector in tiles", biased, buffer("bias", { layout: "tiles8" }), /bias lies in tiles8, expected plain/],
  [
    "elements without scales, apart",
    linears,
    buffer("w", { layout: "split" }),
    /in split, and \w+ has no blocks/,
  ],
  ["a weight of no fixed size", linears, buffer("w", { rows: tokens }), /one size/],
  ["a symbol that is not declared", linears, whole({ symbols: [] }), /"tokens", which is not declared/],
  ["a symbol declared twice", linears, whole({ symbols: ["tokens", "tokens"] }), /symbol.*twice/],
  ["a dimension divided by 0", linears, buffer("x", { rows: { ...tokens, den: 0 } }), /dimension/],
  ["a negative dimension", linears, buffer("x", { cols: -16 }), /dimension -16/],
  ["a dimension beyond 31 bits", linears, buffer("x", { cols: 2 ** 31 }), /dimension 2147483648/],
  ["a name declared twice", linears, buffer("y", { name: "x" }), /declared twice/],
  ["a kind that does not exist", linears, buffer("x", { kind: "thing" as "input" }), /kind/],
  ["a slot for an input", linears, buffer("x", { slot: 0 }), /only temporaries/],
  ["a temporary without a slot", linears, buffer("linear", { slot: -1 }), /slot -1/],
  ["a slot that does not exist", linears, whole({ slotCount: 1 }), /does not exist/],
  ["more slots than buffers", linears, whole({ slotCount: 1000 }), /1000 slots/],
  [
    "two living temporaries in a slot",
    linears,
    buffer("linear", { slot: 0 }),
    /while it is read|another value/,
  ],
  [
    "a temporary that nobody wrote",
    linears,
    whole({ instructions: linears().instructions.slice(1) }),
    /or none/,
  ],
  [
    "a result that nobody writes",
    linears,
    whole({ instructions: linears().instructions.slice(0, -1) }),
    /output "y" is never written/,
  ],
  [
    "a result that is read before it is there",
    linears,
    (program) => {
      const y = program.instructions.at(-1)?.outputs[0] as number;
      const w = program.instructions[0]?.inputs[1] as number;
      return instruction(0, { inputs: [y, w] })(program);
    },
    /x reads output "y" before it is written/,
  ],
  ["columns behind the row's end", slices, operand(0, 0, { colOffset: 9 }), /outside input "x"/],
  ["rows further apart than the buffer's", slices, operand(0, 0, { rowStride: 17 }), /outside input "x"/],
  ["more rows than the buffer", slices, buffer("x", { rows: { ...tokens, den: 2 } }), /outside input "x"/],
  ["rows of another symbol", slices, operand(0, 0, { rows: 4 }), /outside input "x"/],
  ["a negative offset", slices, operand(0, 0, { colOffset: -4 }), /offset -4/],
  ["indices with gaps", cache, operand(0, 2, { cols: 1, rowStride: 2 }), /outside input "slots"/],
  ["a cache that its attributes do not fit", cache, instruction(0, { attrs: [2, 4, 8] }), /cache has shape/],
  ["a table with gaps", rotations, wideTable, /cos is a table with gaps/],
  [
    "more rotary columns than a head",
    rotations,
    instruction(0, { attrs: [4, 2, 4, 0] }),
    /rotaryDim = 4 is not at most headDim = 2/,
  ],
  ["an attribute of 0", cache, instruction(0, { attrs: [2, 0, 4] }), /"headDim" is out of range/],
  [
    "a cache that is written elsewhere",
    cache,
    (program) => elsewhere(program),
    /must be the memory of cache/,
  ],
];

function elsewhere(program: Program): Program {
  const { instructions, buffers, tensors } = program;
  const first = instructions[0] as Instruction;
  const state = tensors[first.outputs[0] as number] as ProgramTensor;
  return {
    ...program,
    buffers: [...buffers, { ...(buffers[state.buffer] as ProgramBuffer), name: "other" }],
    tensors: [...tensors, { ...state, buffer: buffers.length }],
    instructions: [{ ...first, outputs: [tensors.length] }],
  };
}

for (const [name, program, change, message] of REFUSED) {
  test(`refused: ${name}`, () => {
    try {
      verifyProgram(change(program()));
    } catch (error) {
      assert.is((error as { code?: string }).code, "PROGRAM_INVALID");
      assert.match(String(error), message);
      return;
    }
    assert.unreachable("it was accepted");
  });
}

test("a program of any op is verified, whatever its activations and however far it is expanded", () => {
  for (const op of LOCAL_OPS) {
    for (const opCase of OP_CASES[op]().slice(0, 2)) {
      for (const activation of ["f32", "bf16", "f16"] as const) {
        for (const has of [true, false]) {
          const graph = caseGraph(opCase, activation);
          const program = compileGraph(graph, { passes: [], supports: () => has });
          assert.is(program.activation, activation);
          assert.equal(decodeProgram(encodeProgram(program)).activation, activation);
        }
      }
    }
  }
});

test("decoded bytes are verified: a wrong word is refused, or makes another program that keeps the rules", () => {
  const good = encodeProgram(verifyProgram(linears()));
  let refused = 0;
  for (let at = 0; at + 4 <= good.length; at += 4) {
    for (const word of [0xffffffff, 0x7fffffff, 0x10000, 2, 0]) {
      const bytes = good.slice();
      new DataView(bytes.buffer).setUint32(at, word, true);
      try {
        verifyProgram(decodeProgram(bytes));
      } catch (error) {
        assert.is((error as { code?: string }).code, "PROGRAM_INVALID", `word ${at / 4} = ${word}: ${error}`);
        refused++;
      }
    }
  }
  assert.ok(refused > good.length / 4, `only ${refused} were refused`);
});

test.run();
