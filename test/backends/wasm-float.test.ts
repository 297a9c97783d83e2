/** The conversions of glimt_float.h, which the native modules share, give the bits of tensor/convert.ts. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { WasmMemory } from "../../src/backends/wasm/memory.ts";
import { fromFloat32, toFloat32 } from "../../src/tensor/elements.ts";
import { countNotFinite } from "../../src/tensor/finite.ts";
import { formatCode } from "../../src/tensor/storage.ts";
import { chosenKernels } from "./wasm-sample.ts";

const kernels = await chosenKernels();
const memory = new WasmMemory(kernels);
const patterns = Uint16Array.from({ length: 0x10000 }, (_, pattern) => pattern);

/** Each value, the ones beside it, those half way to the next of its type and beside that; NaN and infinities too. */
function probes(values: Float32Array): Float32Array {
  const bits = new Int32Array(values.buffer);
  const probes = new Int32Array(6 * bits.length);
  bits.forEach((word, index) => {
    const half = ((bits[index + 1] ?? word) - word) >> 1;
    probes.set([word - 1, word, word + 1, word + half - 1, word + half, word + half + 1], 6 * index);
  });
  return new Float32Array(probes.buffer);
}

for (const dtype of ["bf16", "f16"] as const) {
  const wide = toFloat32(dtype, patterns);

  test(`${dtype}: every pattern widens to its value`, () => {
    const from = memory.allocate(dtype, 1, patterns.length);
    const to = memory.allocate("f32", 1, patterns.length);
    memory.elements(dtype, from, 0, patterns.length).set(patterns);
    const bad = kernels.glimt_convert(
      to.pointer,
      formatCode("f32"),
      from.pointer,
      formatCode(dtype),
      1,
      patterns.length,
    );
    const found = memory.elements("f32", to, 0, patterns.length);
    const differing = wide.findIndex((value, index) => !Object.is(value, found[index]));
    assert.is(differing, -1);
    assert.is(bad, countNotFinite("f32", wide));
    memory.free(from);
    memory.free(to);
  });

  test(`${dtype}: float32 narrows to the same patterns, ties, subnormals, overflow and NaN too`, () => {
    const values = probes(wide);
    const from = memory.allocate("f32", 1, values.length);
    const to = memory.allocate(dtype, 1, values.length);
    new Int32Array(kernels.memory.buffer, from.pointer, values.length).set(new Int32Array(values.buffer));
    const bad = kernels.glimt_convert(
      to.pointer,
      formatCode(dtype),
      from.pointer,
      formatCode("f32"),
      1,
      values.length,
    );
    const expected = fromFloat32(dtype, values);
    const found = memory.elements(dtype, to, 0, values.length);
    const differing = expected.findIndex((pattern: number, index: number) => pattern !== found[index]);
    assert.is(differing, -1, `${values[differing]} is ${found[differing]}, expected ${expected[differing]}`);
    assert.is(bad, countNotFinite(dtype, expected));
    memory.free(from);
    memory.free(to);
  });
}

test.run();
