/** A model that is disposed while it works: what is under way ends at its next pause. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModel } from "../../src/index.ts";
import { chat } from "./company.ts";

test("disposing a model ends every request under way, however many", async () => {
  const model = await loadModel("test/golden/data/glm_ocr-tiny", { backend: "wasm", threads: 1 });
  const given = [undefined, new AbortController().signal];
  const ask = (index: number) => {
    const signal = given[index % 2];
    return model.complete(chat("Hello"), { maxTokens: 900, ...(signal && { signal }) });
  };
  const ends = Promise.allSettled(Array.from({ length: 24 }, (_, index) => ask(index)));
  const pieces = model.generate(chat("Hello"));
  await pieces.next();
  await model.dispose();
  for (const end of await ends) assert.is(end.status === "rejected" && end.reason.code, "DISPOSED");
});

test("disposing a model ends the encoding of pictures at its next pause", async () => {
  for (const backend of ["wasm", "reference"] as const) {
    const model = await loadModel("examples/demo/checkpoint", {
      backend,
      ...(backend === "wasm" && { threads: 1 }),
    });
    const image = { data: new Uint8Array(3 * 280 * 280), width: 280, height: 280 };
    let disposed: Promise<void> | null = null;
    let furthest = 0;
    const end = await model
      .encodeImages([image], {
        onProgress: (share) => {
          furthest = share;
          disposed ??= model.dispose();
        },
      })
      .catch((error) => error.code);
    await disposed;
    assert.is(end, "DISPOSED");
    assert.ok(furthest < 1, `stopped at ${furthest}`);
  }
});

test.run();
