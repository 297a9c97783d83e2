/** What make_lora.py recorded of PEFT, and how answers are held against it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import type { Message, Model } from "../../src/index.ts";
import { type GoldenCase, goldenCase, goldenDataDir } from "../golden/load.ts";

const FORMAT_VERSION = 1;

export interface Run {
  readonly case: string;
  readonly adapters: readonly { readonly name: string; readonly scale: number }[];
  readonly greedyIds: readonly number[];
  readonly lastLogits: string;
}

export function runsOf(checkpoint: string): readonly Run[] {
  const path = join(goldenDataDir, "lora", checkpoint, "expected.json");
  const hint = "remake it with `python test/golden/make_lora.py`";
  if (!existsSync(path)) throw new Error(`${path} is missing: ${hint}`);
  const { version, runs } = JSON.parse(readFileSync(path, "utf8"));
  if (version !== FORMAT_VERSION) throw new Error(`${path} has format ${version}: ${hint}`);
  return runs;
}

export function adapterAt(checkpoint: string, name: string) {
  return { name, location: join(goldenDataDir, "lora", checkpoint, name) };
}

/** Every token, eos not heeded: 24 steps as recorded. */
export async function answer(model: Model, golden: GoldenCase, adapters: Run["adapters"]) {
  const inputs = await model.process(golden.messages as Message[]);
  return model.complete(inputs, { maxTokens: 24, repetitionPenalty: 1, adapters });
}

export function named(run: Run): string {
  return `${run.case} with ${run.adapters.map(({ name, scale }) => `${name} x ${scale}`).join(", ")}`;
}

/** Until the first end-of-sequence token, which generation stops at. */
export function assertTokens(found: readonly number[], run: Run, message: string): void {
  assert.equal(found, run.greedyIds.slice(0, found.length), message);
}

export function logitsOf({ lastLogits }: Run): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(lastLogits, "base64"));
  return new Float32Array(bytes.buffer);
}

export function worst(
  found: readonly (readonly [number, number])[],
  expected: (token: number) => number,
): number {
  return Math.max(...found.map(([token, logit]) => Math.abs(logit - expected(token))));
}

/** Every recorded run of a checkpoint. @returns the largest difference of a logit. */
export async function compareWithPeft(
  model: Model,
  checkpoint: string,
  runs = runsOf(checkpoint),
): Promise<number> {
  let difference = 0;
  for (const run of runs) {
    const result = await answer(model, goldenCase(checkpoint, run.case), run.adapters);
    assertTokens(result.tokenIds, run, named(run));
    const logits = logitsOf(run);
    difference = Math.max(
      difference,
      worst(result.topLogits, (token) => logits[token]!),
    );
  }
  console.log(`  ${checkpoint}: largest difference ${difference.toExponential(2)}`);
  return difference;
}

/** The adapters that its runs use. */
export function adaptersOf(checkpoint: string) {
  const names = new Set(runsOf(checkpoint).flatMap((run) => run.adapters.map(({ name }) => name)));
  return [...names].map((name) => adapterAt(checkpoint, name));
}
