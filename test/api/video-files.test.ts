/** Video files from disk to the answer, against transformers over PyAV and Pillow (test/golden/answer_movies.py). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModel, type Message } from "../../src/index.ts";
import { crc32 } from "../golden/crc32.ts";
import { goldenDataDir } from "../golden/load.ts";

interface Answer {
  readonly checkpoint: string;
  readonly file: string;
  readonly inputIds: number[];
  readonly videoGridThw: number[][];
  /** Checksum. */
  readonly pixelValues: number;
  readonly tokenIds: number[];
}

const answers: Answer[] = JSON.parse(readFileSync(join(goldenDataDir, "movies/answers.json"), "utf8"));

for (const checkpoint of new Set(answers.map((answer) => answer.checkpoint))) {
  test(`${checkpoint} answers about files as transformers does`, async () => {
    const model = await loadModel(join(goldenDataDir, checkpoint), { media: "huggingface", backend: "wasm" });
    for (const { file, inputIds, videoGridThw, pixelValues, tokenIds } of answers.filter(
      (answer) => answer.checkpoint === checkpoint,
    )) {
      const video = join(goldenDataDir, "movies", file);
      const text = { type: "text", text: "What happens?" } as const;
      const messages: Message[] = [{ role: "user", content: [{ type: "video", video }, text] }];
      const inputs = await model.process(messages);
      assert.equal(inputs.inputIds, inputIds, file);
      assert.equal(inputs.videoGridThw, videoGridThw, file);
      const { buffer, byteOffset, byteLength } = inputs.pixelValuesVideos as Float32Array;
      const found = crc32(new Uint8Array(buffer, byteOffset, byteLength));
      // Other FFmpeg builds may round a colour of a movie otherwise.
      if (!/\.(mp4|webm)$/.test(file)) assert.is(found, pixelValues, `${file}: pixels`);
      const result = await model.complete(inputs, { maxTokens: tokenIds.length, repetitionPenalty: 1 });
      assert.equal(result.tokenIds, tokenIds, file);
    }
    await model.dispose();
  });
}

test.run();
