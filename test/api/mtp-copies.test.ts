/** A table and a head of the MTP layer that are those of the model are on the device once; others are loaded. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModelOn } from "../../src/api/load-model.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import type { LoadOptions } from "../../src/index.ts";
import { nodeFiles } from "../../src/node-files.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";

const CHECKPOINT = "test/golden/data/glm_ocr-tiny";
const ROOT = "model.language_model.";
const PAIRS = [
  [`${ROOT}embed_tokens.weight`, `${ROOT}layers.2.embed_tokens.weight`],
  ["lm_head.weight", `${ROOT}layers.2.shared_head.head.weight`],
] as const;

const parent = await mkdtemp(join(tmpdir(), "glimt-mtp-copies-"));
test.after(() => rm(parent, { recursive: true }));

/** The checkpoint with the model's tensors in place of the layer's. @param change of the copies' bytes */
async function withCopies(name: string, change: (copy: Uint8Array) => void = () => {}): Promise<string> {
  const folder = join(parent, name);
  await cp(CHECKPOINT, folder, { recursive: true });
  const path = join(folder, "model.safetensors");
  const bytes = await readFile(path);
  const headerEnd = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, headerEnd).toString("utf8"));
  const tensor = (of: string) => {
    const [begin, end] = header[of].data_offsets;
    return bytes.subarray(headerEnd + begin, headerEnd + end);
  };
  for (const [models, own] of PAIRS) {
    tensor(own).set(tensor(models));
    change(tensor(own));
  }
  await writeFile(path, bytes);
  return folder;
}

const same = await withCopies("same");
const other = await withCopies("other", (copy) => {
  const last = copy.length - 2;
  copy[last] = (copy[last] as number) ^ 1;
});

async function load(location: string, backend: (typeof BACKENDS)[number], options: LoadOptions) {
  const model = await loadModelOn({ ...nodeFiles, backends: [backend] }, location, options);
  const { liveBytes, loaded } = model;
  const messages = [{ role: "user" as const, content: "Hello again and again." }];
  const { tokenIds } = await model.complete(messages, { maxTokens: 12, speculation: "mtp" });
  const { drafts } = model.stats();
  await model.dispose();
  return { liveBytes, loaded, answer: { tokenIds, drafts } };
}

const BACKENDS = [
  wasmBackend,
  referenceBackend,
  createCudaBackend({ addonPath: EMULATOR_PATH, activations: "bf16" }),
];

for (const backend of BACKENDS) {
  for (const options of [{}, { dtype: "q8" }, { dtype: "f32" }] as const) {
    test(`${backend.name}, ${JSON.stringify(options)}: copies take no memory, what differs in a bit does`, async () => {
      const own = await load(CHECKPOINT, backend, options);
      const copied = await load(same, backend, options);
      const changed = await load(other, backend, options);
      const bytes = ({ loaded }: typeof own) =>
        Object.values(loaded.storedBytes).reduce((sum, count) => sum + count, 0);
      assert.is(own.liveBytes, changed.liveBytes);
      assert.is(bytes(own), bytes(changed));
      const saved = bytes(own) - bytes(copied);
      // A matrix each, of 384 rows.
      assert.ok(saved >= 2 * 384 * 48, `${saved} bytes`);
      assert.ok(own.liveBytes - copied.liveBytes >= saved);
      assert.equal(copied.answer.tokenIds, own.answer.tokenIds);
      // The bit that was changed is one of the last number of a token that is not asked about: the layer guesses alike.
      assert.ok(copied.answer.drafts.drafted > 0);
      assert.equal(copied.answer, changed.answer);
    });
  }
}

test.run();
