/** Weights and bytes that must be refused before they run; and slices that change nothing. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { FAULT, WasmExecutable } from "../../src/backends/wasm/executable.ts";
import { WasmMemory } from "../../src/backends/wasm/memory.ts";
import { uploadWeight } from "../../src/backends/wasm/upload.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { weightRows } from "../../src/conformance/harness.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";
import type { Value } from "../../src/graph/graph.ts";
import type { WeightSpec } from "../../src/graph/weight-spec.ts";
import { encodeProgram } from "../../src/program/encoding.ts";
import type { ProgramBuffer } from "../../src/program/program.ts";
import type { VerifiedProgram } from "../../src/program/verify-program.ts";
import {
  chosenKernels,
  deepProgram,
  failure,
  indexProgram,
  programOf,
  uploadAll,
  wave,
} from "./wasm-sample.ts";

test("a weight uploaded in another layout is refused", async () => {
  const engine = await wasmBackend.open();
  const program = deepProgram(16, 1);
  const source = weightRows(program.weights[0] as WeightSpec, new Float32Array(256));
  const weights = new Map([["w", await engine.uploadWeight(source, "plain")]]);
  assert.match((await failure(() => engine.load(program, weights))).message, /in plain, expected tiles8/);
  engine.dispose();
});

test("activations that the kernels can not read, and compositions without a kernel, are refused", async () => {
  const engine = await wasmBackend.open();
  const builder = createGraphBuilder({ name: "half", activationDType: "bf16", weightDType: () => "f32" });
  const half = compileGraph(builder.finish({ y: builder.gelu({ x: builder.input("x", [3, 4], "bf16") }) }));
  const gated = programOf((b) => ({
    y: b.linear_swiglu({ x: b.input("x", [3, 4], "f32"), w: b.weight("w", [16, 4]) }, { width: 8 }),
  }));
  for (const [program, message] of [
    [half, /gelu has f32 activations only, not bf16/],
    [gated, /linear_swiglu is run as its composition/],
  ] as const) {
    const found = await failure(() => engine.load(program, new Map()));
    assert.is(found.code, "BACKEND_UNAVAILABLE", found.message);
    assert.match(found.message, message);
  }
  engine.dispose();
});

test("the kernels survive any bytes: every truncation, and every word replaced by hostile ones", async () => {
  const kernels = await chosenKernels();
  const good = encodeProgram(indexProgram());
  const memory = new WasmMemory(kernels);
  const arena = memory.allocateBlock(1 << 16, "test");
  const attempt = (bytes: Uint8Array) => {
    const block = memory.allocateBlock(24 + bytes.length, "test");
    memory.bytes(block).set(bytes, 24);
    const executable = kernels.glimt_decode(block.pointer + 24, bytes.length, block.pointer);
    const [code] = new Int32Array(kernels.memory.buffer, block.pointer, 1);
    memory.freeBlock(block);
    if (executable === 0) {
      assert.is(code, FAULT.malformed);
      return false;
    }
    // Nothing is bound, so that whatever was understood must stop before it touches memory.
    const needed = kernels.glimt_plan(executable, 1);
    if (needed >= 0 && needed <= arena.bytes) kernels.glimt_start(executable, arena.pointer);
    kernels.glimt_release(executable);
    return true;
  };
  assert.ok(attempt(good));
  for (let length = 0; length < good.length; length++) {
    assert.not.ok(attempt(good.subarray(0, length)), `${length} bytes were accepted`);
  }
  for (let at = 0; at + 4 <= good.length; at += 4) {
    for (const word of [0xffffffff, 0x7fffffff, 0x80000000, 0x10000, 0]) {
      const bytes = good.slice();
      new DataView(bytes.buffer).setUint32(at, word, true);
      attempt(bytes);
    }
  }
  for (const at of [0, 4]) {
    const bytes = good.slice();
    bytes[at] = 0x55;
    assert.not.ok(attempt(bytes), "another magic or version was accepted");
  }
});

test("the codes of faults are those of the kernels", () => {
  const header = readFileSync("wasm/kernels/executable.h", "utf8");
  const [, body = ""] = /enum class FaultCode[^{]*\{([^}]*)\}/.exec(header) ?? [];
  const codes = [...body.matchAll(/^\s*(\w+) = (\d+),/gm)].map(([, name, code]) => [name, Number(code)]);
  assert.equal(Object.fromEntries(codes), { none: 0, ...FAULT });
});

test("a fault is its executable's own", async () => {
  const kernels = await chosenKernels();
  const memory = new WasmMemory(kernels);
  const bytes = encodeProgram(indexProgram());
  const decoded = () => {
    const block = memory.allocateBlock(24 + bytes.length, "test");
    memory.bytes(block).set(bytes, 24);
    return kernels.glimt_decode(block.pointer + 24, bytes.length, block.pointer);
  };
  const codeOf = (executable: number) =>
    new Int32Array(kernels.memory.buffer, kernels.glimt_fault(executable), 1)[0];
  const arena = memory.allocateBlock(1 << 16, "test");
  const [large, unbound, unused] = [decoded(), decoded(), decoded()];
  kernels.glimt_set_symbol(large, 0, 2 ** 31);
  assert.is(kernels.glimt_plan(large, 1), -1);
  kernels.glimt_set_symbol(unbound, 0, 2);
  assert.ok(kernels.glimt_plan(unbound, 1) > 0);
  assert.is(kernels.glimt_start(unbound, arena.pointer), 0);
  assert.equal([large, unbound, unused].map(codeOf), [FAULT.dimension, FAULT.tooSmall, 0]);
});

test("an arena whose bytes 64 bits can not count is larger than any memory, not small", async () => {
  const kernels = await chosenKernels();
  const memory = new WasmMemory(kernels);
  const size = 2 ** 30;
  // Four temporaries of 2^62 bytes.
  const program = programOf((builder) => {
    const x = builder.input("x", [builder.symbol("tokens"), 1], "f32");
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) =>
      builder.linear({ x, w: builder.weight(name, [size, 1]) }),
    ) as [Value, Value, Value, Value];
    const rows = builder.input("rows", [1], "i32");
    const sum = builder.add({ a: builder.add({ a, b }), b: builder.add({ a: c, b: d }) });
    return { y: builder.gather_rows({ x: sum, rows }) };
  });
  const bytes = encodeProgram(program);
  const block = memory.allocateBlock(24 + bytes.length, "test");
  memory.bytes(block).set(bytes, 24);
  const executable = kernels.glimt_decode(block.pointer + 24, bytes.length, block.pointer);
  kernels.glimt_set_symbol(executable, 0, size);
  assert.ok(kernels.glimt_plan(executable, 1) >= 2 ** 64);
});

const SLICED: readonly [
  name: string,
  program: () => VerifiedProgram,
  inputs: Record<string, Float32Array | Int32Array>,
][] = [
  [
    "linear",
    () =>
      programOf((builder) => ({
        y: builder.linear({
          x: builder.input("x", [303, 650], "f32"),
          w: builder.weight("w", [700, 650]),
        }),
      })),
    { x: wave(303 * 650) },
  ],
  [
    "attention",
    () =>
      programOf((builder) => {
        const rows = (name: string) => builder.input(name, [300, 24], "f32");
        const cuSeqlens = builder.input("cuSeqlens", [3], "i32");
        const operands = { q: rows("q"), k: rows("k"), v: rows("v"), cuSeqlens };
        return { y: builder.attention_varlen(operands, { numHeads: 2, headDim: 12, scale: 0.3 }) };
      }),
    {
      q: wave(7200, 1),
      k: wave(7200, 2),
      v: wave(7200, 3),
      cuSeqlens: Int32Array.of(0, 141, 300),
    },
  ],
  [
    "experts",
    () =>
      programOf((builder) => ({
        y: builder.experts(
          {
            x: builder.input("x", [150, 20], "f32"),
            experts: builder.input("experts", [150, 2], "i32"),
            weights: builder.input("weights", [150, 2], "f32"),
            gateUp: builder.weight("gateUp", [3 * 2 * 6, 20]),
            down: builder.weight("down", [3 * 20, 6]),
          },
          { numExperts: 3, topK: 2, width: 6, firstExpert: 0, totalExperts: 3 },
        ),
      })),
    {
      x: wave(3000),
      experts: Int32Array.from({ length: 300 }, (_, index) => (index % 7 === 0 ? 2 : index % 2)),
      weights: wave(300, 2),
    },
  ],
];

for (const [name, build, inputs] of SLICED) {
  test(`${name} gives the same bits in one slice and in the smallest slices`, async () => {
    const kernels = await chosenKernels();
    const memory = new WasmMemory(kernels);
    const program = build();
    const weights = await uploadAll(
      { uploadWeight: (source, layout) => uploadWeight(kernels, memory, source, layout) },
      program,
      (_, size) => wave(size, 5),
    );
    const executable = new WasmExecutable(program, weights, kernels, memory);
    const { rows, cols } = program.buffers.find(({ kind }) => kind === "output") as ProgramBuffer;
    const run = (operations: number) => {
      const y = memory.allocate("f32", rows as number, cols as number);
      const bindings = { symbols: {}, buffers: { ...inputs, y } };
      const { arrays, end } = executable.bindBuffers(bindings, executable.plan({}));
      executable.start(memory.allocateBlock(end, "test"), arrays, {});
      let slices = 1;
      while (!executable.runSlice(operations, {})) slices++;
      return { slices, values: memory.elements("f32", y, 0, y.rows * y.cols).slice() };
    };
    const [whole, sliced] = [run(1e12), run(1)];
    assert.is(whole.slices, 1);
    assert.ok(sliced.slices > 2, `${sliced.slices} slices`);
    assert.equal(sliced.values, whole.values);
  });
}

test.run();
