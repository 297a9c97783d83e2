/** What of a checkpoint behind an address is asked for. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openProcessor } from "../../src/edge.ts";
import { nameOf, requestedRange, serve, withServer } from "../checkpoint/server.ts";

const CHECKPOINT = "test/golden/data/glm4v-tiny";
const names = readdirSync(CHECKPOINT).filter((name) => /\.(json|jinja|safetensors)$/.test(name));
const files = new Map(names.map((name) => [name, readFileSync(join(CHECKPOINT, name))]));

test("each file that is read whole is asked for once", async () => {
  const asked: string[] = [];
  await withServer(
    (request, response) => {
      if (requestedRange(request) === null) asked.push(nameOf(request));
      serve(files, request, response);
    },
    (base) => openProcessor(base),
  );
  assert.ok(asked.includes("tokenizer_config.json"));
  assert.equal(asked.sort(), [...new Set(asked)].sort());
});

test.run();
