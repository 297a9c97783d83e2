/** Indices and rows that point outside of what they index are refused by the reference backend, by name. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";
import { offsetDim } from "../../src/tensor/dims.ts";

test("runs of rows that do not rise from row 0 on are refused", async () => {
  const builder = createGraphBuilder({ name: "runs", activationDType: "f32", weightDType: () => "f32" });
  const rows = (name: string) => builder.input(name, [builder.symbol("rows"), 4], "f32");
  const cuSeqlens = builder.input("cuSeqlens", [offsetDim(builder.symbol("runs"), 1)], "i32");
  const y = builder.attention_varlen(
    { q: rows("q"), k: rows("k"), v: rows("v"), cuSeqlens },
    { numHeads: 1, headDim: 4, scale: 1 },
  );
  const engine = await createReferenceBackend("f32").open();
  const executable = engine.load(compileGraph(builder.finish({ y })), new Map());
  const run = (...offsets: number[]) => {
    const [q, k, v, y] = [1, 2, 3, 0].map((value) => new Float32Array(12).fill(value));
    const buffers = { q: q!, k: k!, v: v!, y: y!, cuSeqlens: Int32Array.from(offsets) };
    return engine.run(executable, { symbols: { rows: 3, runs: offsets.length - 1 }, buffers });
  };
  await run(0, 1, 3);
  await run(1, 1, 2);
  for (const offsets of [
    [2, 1],
    [0, 3, 1],
    [-1, 2],
    [0, 4],
  ]) {
    const { code, message } = await run(...offsets).then(
      () => assert.unreachable(String(offsets)),
      (error) => error,
    );
    assert.is(code, "INPUT_INVALID", message);
    assert.match(message, /cuSeqlens/);
  }
  engine.dispose();
});

test("rows before a tensor's first are refused, where an array would count from its end", async () => {
  const builder = createGraphBuilder({ name: "rows", activationDType: "f32", weightDType: () => "f32" });
  const x = builder.input("x", [builder.symbol("rows"), 2], "f32");
  const engine = await createReferenceBackend("f32").open();
  const executable = engine.load(compileGraph(builder.finish({ y: builder.gelu({ x }) })), new Map());
  const tensor = engine.allocate("f32", 4, 2);
  const refusal = (task: () => unknown) =>
    Promise.resolve()
      .then(task)
      .then(
        () => assert.unreachable(),
        ({ code }) => code,
      );
  const buffers = { x: { tensor, firstRow: -3, rows: 2 }, y: new Float32Array(4) };
  assert.is(await refusal(() => engine.run(executable, { symbols: { rows: 2 }, buffers })), "INPUT_INVALID");
  assert.is(await refusal(() => engine.write(tensor, -1, new Float32Array(2))), "INPUT_INVALID");
  engine.dispose();
});

test.run();
