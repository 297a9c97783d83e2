/** The edge build stands alone: it needs nothing of Node and leaves nothing to resolve. */
import { Worker } from "node:worker_threads";
import * as esbuild from "esbuild";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Answer } from "../browser/answer.mjs";
import { answerInNode } from "../browser/node-answer.ts";

for (const entry of ["dist/edge.js", "dist/workerd.js", "dist/ai.js"]) {
  test(`${entry} imports only its own files`, async () => {
    const strangers: string[] = [];
    const { metafile } = await esbuild.build({
      entryPoints: [`./${entry}`],
      bundle: true,
      loader: { ".wasm": "copy" },
      outdir: "build/test/edge",
      format: "esm",
      write: false,
      logLevel: "silent",
      metafile: true,
      plugins: [
        {
          name: "strangers",
          setup: (build) =>
            build.onResolve({ filter: /^[^.]/ }, ({ path }) => {
              strangers.push(path);
              return { path, external: true };
            }),
        },
      ],
    });
    assert.ok(Object.keys(metafile.inputs).length > 1, "it has chunks");
    assert.equal(strangers, []);
  });
}

test("dist/edge.js answers where Node's globals are missing", async () => {
  const answer = await new Promise<Answer>((resolve, reject) => {
    const worker = new Worker("./test/package/bare-worker.mjs");
    worker.on("message", resolve);
    worker.on("error", reject);
    worker.on("exit", () => reject(new Error("the worker ended without an answer")));
  });
  assert.equal(answer, await answerInNode());
});

test.run();
