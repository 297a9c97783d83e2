/** Checkpoints as they are found in the wild answer as transformers does (test/golden/make_variants.py). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { readSafetensorsHeader } from "../../src/checkpoint/safetensors.ts";
import { textFrequencies } from "../../src/mrope/frequencies.ts";
import { toFloat32 } from "../../src/tensor/elements.ts";
import { goldenCase } from "../golden/load.ts";
import { argmax } from "../models/difference.ts";
import { openStages } from "../models/open-stages.ts";
import { float32 } from "../mrope/golden.ts";
import { asFiles, directoryInMemory, type MemoryFiles, safetensors, type TensorFixture } from "./fixtures.ts";

interface Variant {
  readonly name: string;
  readonly base: string;
  /** The text of config.json. */
  readonly config: string;
  readonly edits: readonly Edit[];
  readonly greedyIds: number[];
  readonly lastLogits: string;
  readonly inverseFrequencies: string;
  readonly attentionScaling: number;
}

type Edit =
  | { op: "cast"; match: string; dtype: "F64" | "F32"; factor: number }
  | { op: "roll"; name: string; source: string }
  | { op: "drop"; name: string }
  | { op: "add"; name: string; shape: number[] };

const variants: readonly Variant[] = JSON.parse(readFileSync("test/golden/data/variants.json", "utf8"));
/** Largest difference of a logit from transformers in float32, as for the checkpoints themselves. */
const TOLERANCE = 1e-3;

async function tensorsOf(directory: string): Promise<Map<string, TensorFixture>> {
  const files = await openDirectory(directory);
  const tensors = new Map<string, TensorFixture>();
  for (const [file, content] of directoryInMemory(directory)) {
    if (!file.endsWith(".safetensors") || typeof content === "string") continue;
    for (const { name, dtype, shape, offset, bytes } of await readSafetensorsHeader(
      files,
      file,
      content.length,
    )) {
      tensors.set(name, { dtype, shape, data: content.slice(offset, offset + bytes) });
    }
  }
  return tensors;
}

function valuesOf({ dtype, data }: TensorFixture): Float32Array {
  const { buffer } = data.slice();
  if (dtype === "F32") return new Float32Array(buffer);
  return toFloat32(dtype === "BF16" ? "bf16" : "f16", new Uint16Array(buffer));
}

/** Only to types that hold the values exactly, so that no rounding of the test's own is needed. */
function cast(tensor: TensorFixture, dtype: "F64" | "F32", factor: number): TensorFixture {
  if (dtype === tensor.dtype && factor === 1) return tensor;
  const values = Float64Array.from(valuesOf(tensor), (value) => value * factor);
  if (dtype === "F64") return { ...tensor, dtype, data: new Uint8Array(values.buffer) };
  return { ...tensor, dtype, data: new Uint8Array(Float32Array.from(values).buffer) };
}

function edit(tensors: Map<string, TensorFixture>, change: Edit): void {
  if (change.op === "cast") {
    for (const [name, tensor] of tensors) {
      if (name.includes(change.match)) tensors.set(name, cast(tensor, change.dtype, change.factor));
    }
  } else if (change.op === "roll") {
    const source = tensors.get(change.source) as TensorFixture;
    const row = source.data.length / (source.shape[0] as number);
    const data = new Uint8Array([...source.data.subarray(-row), ...source.data.subarray(0, -row)]);
    tensors.set(change.name, { ...source, data });
  } else if (change.op === "drop") {
    tensors.delete(change.name);
  } else {
    const count = change.shape.reduce((product, size) => product * size, 1);
    const data = new Uint8Array(new Float32Array(count).fill(1).buffer);
    tensors.set(change.name, { dtype: "F32", shape: change.shape, data });
  }
}

async function open({ base, config, edits }: Variant): Promise<Checkpoint> {
  const directory = join("test/golden/data", base);
  const tensors = await tensorsOf(directory);
  for (const change of edits) edit(tensors, change);
  const files: MemoryFiles = new Map(
    [...directoryInMemory(directory)].filter(([name]) => !name.includes("safetensors")),
  );
  files.set("config.json", config);
  files.set("model.safetensors", safetensors(Object.fromEntries(tensors)));
  return openCheckpoint(asFiles(files));
}

for (const variant of variants) {
  test(`${variant.name} (${variant.base})`, async () => {
    const checkpoint = await open(variant);
    const { frequencies, scale } = textFrequencies(checkpoint.config.text.rope);
    const expected = float32(variant.inverseFrequencies);
    assert.is(frequencies.length, expected.length);
    for (const [index, value] of expected.entries()) {
      assert.ok(
        Math.abs((frequencies[index] as number) / value - 1) < 3e-7,
        `frequency ${index}: ${frequencies}`,
      );
    }
    assert.ok(Math.abs(scale - variant.attentionScaling) < 1e-6, `scale ${scale}`);

    const golden = { ...goldenCase(variant.base, "one-image"), greedyIds: variant.greedyIds };
    const logits = float32(variant.lastLogits);
    const stages = await openStages(wasmBackend, checkpoint);
    const found = await stages.decode(golden);
    stages.dispose();
    const difference = Math.max(
      ...logits.map((value, index) => Math.abs(value - (found[0]?.[index] ?? Number.NaN))),
    );
    assert.ok(difference <= TOLERANCE, `logits differ by ${difference}`);
    assert.equal(found.map(argmax), variant.greedyIds);
  });
}

test.run();
