/** Index inputs in host memory are looked through before a run, for each way in which instructions use them. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";
import { BAD_ROWS, weightsOf } from "../backends/attention-indices.ts";
import { EMULATOR_PATH } from "./emulator.ts";

test("instructions that share an index input are each asked, where their operands allow different indices", async () => {
  const engine = await createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" }).open();
  const [of8, of4] = [engine.allocate("f32", 1, 8), engine.allocate("f32", 1, 4)];
  engine.write(of8, 0, Float32Array.of(0, 0, 0, 1, 0, 0, 0, 0.9));
  for (const largeFirst of [true, false]) {
    const builder = createGraphBuilder({ name: "shared", activationDType: "f32", weightDType: () => "f32" });
    const shared = {
      rows: builder.input("rows", [1], "i32"),
      ids: builder.input("ids", [1], "i32"),
      changes: builder.input("changes", [1, 2], "f32"),
      cuIds: builder.input("cuIds", [2], "i32"),
      masks: builder.input("masks", [1, 1], "i32"),
      maskOf: builder.input("maskOf", [1], "i32"),
    };
    const adjusted = (name: string, v: number) =>
      builder.adjust_logits({ logits: builder.input(name, [1, v], "f32"), ...shared });
    const sizes = largeFirst ? [8, 4] : [4, 8];
    const outputs = Object.fromEntries(sizes.map((v) => [`adjusted${v}`, adjusted(`of${v}`, v)]));
    const executable = engine.load(compileGraph(builder.finish(outputs)), new Map());
    const large = new Float32Array(8);
    const run = (token: number, mask = -1) =>
      engine.run(executable, {
        symbols: {},
        buffers: {
          rows: new Int32Array(1),
          ids: Int32Array.of(token),
          changes: Float32Array.of(2, 0.25),
          cuIds: Int32Array.of(0, 1),
          masks: new Int32Array(1),
          maskOf: Int32Array.of(mask),
          of8,
          of4,
          adjusted8: large,
          adjusted4: new Float32Array(4),
        },
      });
    await run(3);
    assert.equal([...large], [0, 0, 0, 0.75, 0, 0, 0, Math.fround(0.9)]);
    for (const [token, mask, message] of [
      [6, -1, /token 6 is outside 0\.\.3/],
      [3, 1, /mask 1 is outside 0\.\.0/],
    ] as const) {
      await run(token, mask).then(
        () => assert.unreachable(`token ${token} of 4, mask ${mask} of 1`),
        (error) => {
          assert.is(error.code, "INPUT_INVALID");
          assert.match(error.message, message);
        },
      );
    }
  }
  engine.dispose();
});

test("rows that are to tell of keys outside of their sequence are refused", async () => {
  const engine = await createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" }).open();
  for (const [row, what] of BAD_ROWS) {
    const { code, message } = await weightsOf(engine, row).then(
      () => assert.unreachable(JSON.stringify(row)),
      (error) => error,
    );
    assert.is(code, "INPUT_INVALID", message);
    assert.match(message, what);
  }
  engine.dispose();
});

test.run();
