/** `sources` in every call of a model. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type GlimtError, loadModel, type Message, type Sources } from "../../src/index.ts";
import { goldenDataDir } from "../golden/load.ts";

const image = join(goldenDataDir, "media/rgb.png");
const video = join(goldenDataDir, "movies/patches.gif");
const messages: Message[] = [{ role: "user", content: [{ type: "image", image }] }];

test("every call may say where to read from, and its word is the last", async () => {
  const folder = { folders: [goldenDataDir] };
  const checkpoint = join(goldenDataDir, "glm4v-tiny");
  const models = { any: undefined, inline: "inline" as const };
  for (const [name, atLoad] of Object.entries(models)) {
    const model = await loadModel(checkpoint, { backend: "wasm", sources: atLoad });
    const calls: Record<string, (sources?: Sources) => Promise<unknown>> = {
      process: (sources) => model.process(messages, { sources }),
      complete: (sources) => model.complete(messages, { sources, maxTokens: 1 }),
      generate: (sources) => model.generate(messages, { sources, maxTokens: 1 }).next(),
      encodeImages: (sources) => model.encodeImages([image], { sources }),
      encodeVideos: (sources) => model.encodeVideos([video], { sources }),
    };
    for (const [call, run] of Object.entries(calls)) {
      const codes = await Promise.all(
        [undefined, "inline" as const, folder].map((sources) =>
          run(sources).then(
            () => "read",
            (error: GlimtError) => error.code,
          ),
        ),
      );
      const own = name === "any" ? "read" : "SOURCE_REFUSED";
      assert.equal(codes, [own, "SOURCE_REFUSED", "read"], `${call}, loaded with ${name}`);
    }
    await model.dispose();
  }
});

test.run();
