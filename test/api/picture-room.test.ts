/** Pictures that the context has no room for: the first of them ends reading, before the others are decoded. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModel } from "../../src/index.ts";

const SIDE = 28 * 44;
/** 1,936 features: two of them leave no room in the demo's context of 4096 for a third. */
const picture = () => ({ data: new Uint8Array(SIDE * SIDE * 3), width: SIDE, height: SIDE });

const model = await loadModel("examples/demo/checkpoint", { backend: "wasm", threads: 1 });
test.after(() => model.dispose());

const conversation = (count: number) => [
  {
    role: "user",
    content: Array.from({ length: count }, () => ({ type: "image", image: picture() }) as const),
  },
];

test("pictures that the context has no room for are not read", async () => {
  const shares: number[] = [];
  const error = await model
    .complete(conversation(12), { onProgress: ({ stage, share }) => stage === "media" && shares.push(share) })
    .then(
      () => null,
      (error) => error,
    );
  assert.is(error?.code, "CONTEXT_OVERFLOW");
  assert.match(error.message, /at least \d+ tokens.*context of 4096.*lower maxImagePixels/);
  assert.is(shares.length, 3, "three of them are more than there is room for");
});

test("what only the last of them is too much for is told exactly", async () => {
  const error = await model.complete(conversation(3)).then(
    () => null,
    (error) => error,
  );
  assert.is(error?.code, "CONTEXT_OVERFLOW");
  assert.match(error.message, /has \d+ tokens/);
});

test.run();
