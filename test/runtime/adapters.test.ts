/** LoRA adapters on whole models, held against PEFT's logits and tokens on the same checkpoints (make_lora.py). */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError, type LoadOptions, loadModel, type Message, type Model } from "../../src/index.ts";
import { type GoldenCase, goldenCase, goldenDataDir } from "../golden/load.ts";

const BACKENDS = ["wasm", "reference"] as const;
const CHECKPOINTS = ["glm4v-tiny", "glm_ocr-tiny"] as const;
const NAMES = ["language", "vision", "both"] as const;
const FORMAT_VERSION = 1;

interface Run {
  readonly case: string;
  readonly adapters: readonly { readonly name: string; readonly scale: number }[];
  readonly greedyIds: readonly number[];
  readonly lastLogits: string;
}

function runsOf(checkpoint: string): readonly Run[] {
  const path = join(goldenDataDir, "lora", checkpoint, "expected.json");
  const hint = "remake it with `python test/golden/make_lora.py`";
  if (!existsSync(path)) throw new Error(`${path} is missing: ${hint}`);
  const { version, runs } = JSON.parse(readFileSync(path, "utf8"));
  if (version !== FORMAT_VERSION) throw new Error(`${path} has format ${version}: ${hint}`);
  return runs;
}

function adapterAt(checkpoint: string, name: string) {
  return { name, location: join(goldenDataDir, "lora", checkpoint, name) };
}

function load(checkpoint: string, options: LoadOptions = {}): Promise<Model> {
  return loadModel(join(goldenDataDir, checkpoint), { media: "huggingface", ...options });
}

/** Every token, eos not heeded: 24 steps as recorded. */
async function answer(model: Model, golden: GoldenCase, adapters: Run["adapters"]) {
  const inputs = await model.process(golden.messages as Message[]);
  return model.complete(inputs, { maxTokens: 24, repetitionPenalty: 1, adapters });
}

function named(run: Run): string {
  return `${run.case} with ${run.adapters.map(({ name, scale }) => `${name} x ${scale}`).join(", ")}`;
}

/** Until the first end-of-sequence token, which generation stops at. */
function assertTokens(found: readonly number[], run: Run, message: string): void {
  assert.equal(found, run.greedyIds.slice(0, found.length), message);
}

function logitsOf({ lastLogits }: Run): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(lastLogits, "base64"));
  return new Float32Array(bytes.buffer);
}

function worst(found: readonly (readonly [number, number])[], expected: (token: number) => number): number {
  return Math.max(...found.map(([token, logit]) => Math.abs(logit - expected(token))));
}

async function failure(action: () => Promise<unknown>): Promise<GlimtError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof GlimtError) return error;
    throw error;
  }
  throw new Error("no error");
}

for (const checkpoint of CHECKPOINTS) {
  for (const backend of BACKENDS) {
    test(`${checkpoint} on ${backend}: logits and tokens of adapters are PEFT's`, async () => {
      const adapters = NAMES.map((name) => adapterAt(checkpoint, name));
      const model = await load(checkpoint, { backend, adapters });
      let difference = 0;
      for (const run of runsOf(checkpoint)) {
        const result = await answer(model, goldenCase(checkpoint, run.case), run.adapters);
        assertTokens(result.tokenIds, run, named(run));
        const logits = logitsOf(run);
        difference = Math.max(
          difference,
          worst(result.topLogits, (token) => logits[token]!),
        );
      }
      console.log(`  largest difference ${difference.toExponential(2)}`);
      assert.ok(difference < 1e-3, `logits differ by ${difference}`);
      await model.dispose();
      assert.is(model.liveBytes, 0);
    });
  }
}
test.run();
