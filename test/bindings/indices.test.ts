/** Index inputs in host memory are looked through before a run, for each way in which instructions use them. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";
import { EMULATOR_PATH } from "./emulator.ts";

test("instructions that share an index input are each asked, where their operands allow different indices", async () => {
  const engine = await createCudaBackend({ addonPath: EMULATOR_PATH, activations: "f32" }).open();
  const [of8, of4] = [engine.allocate("f32", 1, 8), engine.allocate("f32", 1, 4)];
  engine.write(of8, 0, Float32Array.of(0, 0, 0, 1, 0, 0, 0, 0.9));
  for (const largeFirst of [true, false]) {
    const builder = createGraphBuilder({ name: "shared", activationDType: "f32", weightDType: () => "f32" });
    const shared = {
      settings: builder.input("settings", [1, 4], "f32"),
      choices: builder.input("choices", [1, 2], "i32"),
      penalised: builder.input("penalised", [1], "i32"),
      cuPenalised: builder.input("cuPenalised", [2], "i32"),
    };
    const tokens = (name: string, v: number) =>
      builder.sample({ logits: builder.input(name, [1, v], "f32"), ...shared });
    const sizes = largeFirst ? [8, 4] : [4, 8];
    const outputs = Object.fromEntries(sizes.map((v) => [`token${v}`, tokens(`of${v}`, v)]));
    const executable = engine.load(compileGraph(builder.finish(outputs)), new Map());
    const large = new Int32Array(1);
    const run = (token: number) =>
      engine.run(executable, {
        symbols: {},
        buffers: {
          settings: Float32Array.of(0, 1, 0, 2),
          choices: new Int32Array(2),
          penalised: Int32Array.of(token),
          cuPenalised: Int32Array.of(0, 1),
          of8,
          of4,
          token8: large,
          token4: new Int32Array(1),
        },
      });
    await run(3);
    assert.equal([...large], [7]);
    await run(6).then(
      () => assert.unreachable("token 6 of 4 was penalised"),
      (error) => {
        assert.is(error.code, "INPUT_INVALID");
        assert.match(error.message, /penalised token 6 is outside 0\.\.3/);
      },
    );
  }
  engine.dispose();
});

test.run();
