/** What `model.stats()` says of what is under way. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModel } from "../../src/index.ts";
import { chat } from "./company.ts";

const MODEL = "test/golden/data/glm_ocr-tiny";

test("requests and pages are counted while they are under way, and not when they ended", async () => {
  const model = await loadModel(MODEL, { backend: "wasm", threads: 1 });
  assert.equal([model.stats().running, model.stats().waiting], [0, 0]);
  const pieces = model.generate(chat("Hello"), { maxTokens: 5 });
  assert.is(model.stats().waiting, 0);
  const first = pieces.next();
  await first;
  const { running, waiting, pages } = model.stats();
  assert.equal([running, waiting], [1, 0]);
  assert.ok(pages.total > pages.free);
  await pieces.return({} as never);
  assert.is(model.stats().running, 0);
  assert.is(model.stats().pages.free, model.stats().pages.total);
  await model.dispose();
  assert.throws(
    () => model.stats(),
    (error: { code?: string }) => error.code === "DISPOSED",
  );
});

test.run();
