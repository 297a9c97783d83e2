/** Weights that hold NaN or infinity: engines find them while they store them, and the error says where they come from. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { WeightRows } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { adapterRows, adapterSpecs, openAdapter } from "../../src/checkpoint/adapter.ts";
import { mergeAdapters } from "../../src/checkpoint/merged-weight.ts";
import { plainTensor } from "../../src/checkpoint/plain-weight.ts";
import { readSafetensorsHeader } from "../../src/checkpoint/safetensors.ts";
import type { StoredWeight } from "../../src/checkpoint/stored-weight.ts";
import { WeightReader } from "../../src/checkpoint/weight-reader.ts";
import type { WeightSource } from "../../src/graph/weight-spec.ts";
import type { WeightDType } from "../../src/tensor/dtype.ts";
import { asFiles, f32, failure, half, safetensors, type TensorFixture } from "./fixtures.ts";

/** A stack of [1, 2] tensors, stored as `dtype`. */
async function stack(tensors: Readonly<Record<string, TensorFixture>>, dtype: WeightDType = "f32") {
  const file = safetensors(tensors);
  const files = asFiles(new Map([["m.safetensors", file]]));
  const headers = await readSafetensorsHeader(files, "m.safetensors", file.length);
  const sources = headers.map(({ name, shape }): WeightSource => ({ tensor: name, shape, layout: "rows" }));
  const resolved = headers.map((tensor) => ({
    tensor: plainTensor(files, tensor) as StoredWeight,
    layout: "rows" as const,
  }));
  return new WeightReader({ name: "stack", shape: [headers.length, 2], dtype, sources }, resolved, 0);
}

/** An adapter of rank 1 for q: [1, 2]. */
async function adapterOf(a: readonly number[], b: readonly number[]) {
  const config = { peft_type: "LORA", r: 1, lora_alpha: 2, target_modules: ".*" };
  const tensors = safetensors({
    "base_model.model.q.lora_A.weight": f32([1, 2], a),
    "base_model.model.q.lora_B.weight": f32([1, 1], b),
  });
  const files = new Map([
    ["adapter_config.json", new TextEncoder().encode(JSON.stringify(config))],
    ["adapter_model.safetensors", tensors],
  ]);
  return openAdapter(asFiles(files));
}

for (const backend of [referenceBackend, wasmBackend]) {
  const refused = async (source: WeightRows) => {
    const engine = await backend.open();
    const { code, message } = await failure(() => engine.uploadWeight(source, "plain"));
    assert.is(code, "WEIGHTS_INVALID");
    assert.is(engine.liveBytes, 0);
    engine.dispose();
    return message;
  };

  test(`${backend.name}: of stacked tensors the one is named that holds it`, async () => {
    const fine = half("BF16", [1, 2], [0x3f80, 0x3f80]);
    const damaged = half("BF16", [1, 2], [0x3f80, 0x7f80]);
    for (const dtype of ["bf16", "f32"] as const) {
      const message = await refused(await stack({ q: fine, k: damaged }, dtype));
      assert.match(message, /^k in m\.safetensors holds NaN or infinite values: the checkpoint is damaged/);
    }
    const mixed = await stack({ q: fine, k: f32([1, 2], [1, Number.NaN]) });
    assert.match(await refused(mixed), /^k in m\.safetensors/);
  });

  test(`${backend.name}: values that only the type is too narrow for are no tensor's fault`, async () => {
    const message = await refused(await stack({ q: f32([1, 2], [1, 70000]) }, "f16"));
    assert.match(message, /^Weight "stack" has 1 values .* in f16; .* needs dtype bf16 or f32/);
  });

  test(`${backend.name}: an adapter's matrices are named, merged or not`, async () => {
    const base = await stack({ "q.weight": f32([1, 2], [1, 2]) });
    for (const [a, b, name] of [
      [[1, Number.NaN], [0], "A"],
      [[1, 2], [Number.POSITIVE_INFINITY], "B"],
    ] as const) {
      const adapter = await adapterOf(a, b);
      const expected = new RegExp(
        `^base_model\\.model\\.q\\.lora_${name}\\.weight in adapter_model\\.safetensors`,
      );
      const [merged] = mergeAdapters([base], [{ adapter, scale: 0.5 }]);
      assert.match(await refused(merged!), expected);
      const specs = adapterSpecs(adapter.modules.get("q")!, base.spec.sources[0]!, 0.5);
      const spec = name === "A" ? specs.a : specs.b;
      assert.match(await refused(adapterRows(adapter, spec)), expected);
    }
    const damaged = await stack({ "q.weight": f32([1, 2], [1, Number.NEGATIVE_INFINITY]) });
    const [merged] = mergeAdapters([damaged], [{ adapter: await adapterOf([1, 1], [1]), scale: 1 }]);
    assert.match(await refused(merged!), /^q\.weight in m\.safetensors/);
  });
}

test.run();
