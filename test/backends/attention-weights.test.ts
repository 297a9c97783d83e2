/** attention_weights on the reference and WebAssembly: what rows see of sequences, and indices that lead outside. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { BAD_ROWS, weightsOf } from "./attention-indices.ts";

for (const backend of [referenceBackend, wasmBackend]) {
  test(`${backend.name}: equal keys share the weight, keys behind have none, a row that sees nothing attends to nothing`, async () => {
    const engine = await backend.open();
    for (const [length, expected] of [
      [4, [0.25, 0.25, 0.25, 0.25]],
      [2, [0.5, 0.5, 0, 0]],
      [1, [1, 0, 0, 0]],
      [0, [0, 0, 0, 0]],
    ] as const) {
      assert.equal([...(await weightsOf(engine, { sequence: 0, length }))], expected);
    }
    engine.dispose();
  });

  test(`${backend.name}: indices that lead outside are refused by name`, async () => {
    const engine = await backend.open();
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
}

test.run();
