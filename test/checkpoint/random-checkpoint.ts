/** A checkpoint folder of random weights: the files of a golden one, with a configuration whose rows are whole blocks. */
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseModelConfig } from "../../src/config/model-config.ts";
import { Random } from "../../src/conformance/random.ts";
import { modelStages } from "../../src/models/stages.ts";
import { fromFloat32 } from "../../src/tensor/elements.ts";
import { safetensors, type TensorFixture } from "./fixtures.ts";

interface Change {
  /** Of text_config. */
  readonly text: Readonly<Record<string, unknown>>;
  readonly vision: Readonly<Record<string, unknown>>;
  readonly root?: Readonly<Record<string, unknown>>;
  /** Tensors beside those that the model asks for. */
  readonly extra?: Readonly<Record<string, TensorFixture>>;
}

/** Writes it to `folder`, in bf16. */
export function writeRandomCheckpoint(
  base: string,
  folder: string,
  { text, vision, root, extra }: Change,
): void {
  for (const name of readdirSync(base)) {
    if (/\.(json|jinja)$/.test(name) && !/index/.test(name)) cpSync(join(base, name), join(folder, name));
  }
  const given = JSON.parse(readFileSync(join(base, "config.json"), "utf8"));
  const config = {
    ...given,
    ...root,
    text_config: { ...given.text_config, ...text },
    vision_config: { ...given.vision_config, ...vision },
  };
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const stages = modelStages(parseModelConfig(config), {
    activationDType: "f32",
    weightDType: () => "bf16",
    pageSize: 16,
  });
  const tensors: Record<string, TensorFixture> = { ...extra };
  for (const { graph } of stages) {
    for (const { origin } of graph.values) {
      if (origin.kind !== "weight") continue;
      for (const { tensor, shape } of origin.spec.sources) tensors[tensor] ??= randomTensor(tensor, shape);
    }
  }
  writeFileSync(join(folder, "model.safetensors"), safetensors(tensors));
}

function randomTensor(name: string, shape: readonly number[]): TensorFixture {
  const random = new Random(name);
  const elements = shape.reduce((product, size) => product * size, 1);
  const scale = shape.length === 1 ? 0.1 : (shape[0] as number) / Math.sqrt(elements);
  const centre = shape.length === 1 && !name.endsWith("bias") ? 1 : 0;
  const values = Float32Array.from({ length: elements }, () => centre + scale * random.normal());
  const { buffer, byteOffset, byteLength } = fromFloat32("bf16", values);
  return { dtype: "BF16", shape, data: new Uint8Array(buffer, byteOffset, byteLength) };
}
