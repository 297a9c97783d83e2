/** Models with weights in blocks serve as others do: company, chunks and adapters change nothing. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type LoadOptions, loadModel, type Message, type Model } from "../../src/index.ts";
import { goldenCases, goldenDataDir } from "../golden/load.ts";
import { adapterAt } from "./adapter-runs.ts";

const checkpoint = "glm4v-tiny";
const cases = goldenCases(checkpoint).slice(0, 4);
const load = (options: LoadOptions) =>
  loadModel(join(goldenDataDir, checkpoint), { backend: "wasm", media: "huggingface", ...options });

async function answer(model: Model, index: number, adapters?: { name: string }[]) {
  const { messages, templateOptions } = cases[index] as (typeof cases)[number];
  const { tokenIds, topLogits } = await model.complete(messages as Message[], {
    maxTokens: 12,
    templateVariables: templateOptions,
    adapters,
  });
  return { tokenIds, topLogits };
}

for (const dtype of ["q8", "q4"] as const) {
  test(`${dtype}: requests together, and prompts in pieces, have the bits of requests alone`, async () => {
    const model = await load({ dtype, visionDtype: "q8" });
    const alone: Awaited<ReturnType<typeof answer>>[] = [];
    for (const index of cases.keys()) alone.push(await answer(model, index));
    assert.equal(await Promise.all([...cases.keys()].map((index) => answer(model, index))), alone);
    await model.dispose();
    assert.is(model.liveBytes, 0);

    const inPieces = await load({ dtype, visionDtype: "q8", prefillChunk: 7 });
    assert.equal(await answer(inPieces, 0), alone[0]);
    await inPieces.dispose();
  });
}

test("q8: requests with an adapter beside requests without", async () => {
  const adapter = adapterAt(checkpoint, "language");
  const model = await load({ dtype: "q8", adapters: [adapter] });
  const use = [{ name: adapter.name }];
  const alone = [await answer(model, 0), await answer(model, 0, use)];
  assert.not.equal(alone[0]?.topLogits, alone[1]?.topLogits);
  assert.equal(await Promise.all([answer(model, 0), answer(model, 0, use)]), alone);
  await model.dispose();
});

test.run();
