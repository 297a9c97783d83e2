/** bf16 and f16: every pattern, and on the way there every tie, its neighbours, subnormals, overflow and NaN. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { narrow, widen } from "../../src/tensor/convert.ts";
import { fromFloat32, toFloat32 } from "../../src/tensor/elements.ts";
import { countNotFinite } from "../../src/tensor/finite.ts";

const PATTERNS = Uint16Array.from({ length: 0x10000 }, (_, pattern) => pattern);
const bits = new DataView(new ArrayBuffer(4));

/** From the definitions of the types, one value at a time. */
const VALUE = {
  bf16(pattern: number): number {
    bits.setUint32(0, pattern << 16);
    return bits.getFloat32(0);
  },
  f16(pattern: number): number {
    const sign = pattern & 0x8000 ? -1 : 1;
    const [exponent, fraction] = [(pattern >>> 10) & 31, pattern & 1023];
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
  },
};
const QUIET_NAN = { bf16: 0x7fc0, f16: 0x7e00 };

function step(value: number, by: number): number {
  bits.setFloat32(0, value);
  bits.setUint32(0, bits.getUint32(0) + by);
  return bits.getFloat32(0);
}

for (const dtype of ["bf16", "f16"] as const) {
  const value = VALUE[dtype];
  const infinity = dtype === "bf16" ? 0x7f80 : 0x7c00;

  test(`${dtype}: every pattern has its value, and every value its pattern`, () => {
    const values = toFloat32(dtype, PATTERNS);
    for (const pattern of PATTERNS) {
      if (!Object.is(values[pattern], value(pattern)))
        assert.is(values[pattern], value(pattern), `${pattern}`);
    }
    const back = fromFloat32(dtype, values);
    for (const pattern of PATTERNS) {
      const expected = Number.isNaN(value(pattern)) ? undefined : pattern;
      if (expected !== undefined && back[pattern] !== expected) assert.is(back[pattern], expected);
      if (expected === undefined && !Number.isNaN(value(back[pattern] as number)))
        assert.unreachable(`NaN ${pattern}`);
    }
    assert.is((fromFloat32(dtype, Float32Array.of(Number.NaN))[0] as number) & 0x7fff, QUIET_NAN[dtype]);
  });

  test(`${dtype}: between two values the nearer one, in the middle the even one, beyond the last infinity`, () => {
    const [inputs, expected] = [[] as number[], [] as number[]];
    for (const sign of [0, 0x8000]) {
      for (let pattern = 0; pattern < infinity; pattern++) {
        const low = sign | pattern;
        // The step after the largest value is as wide as the one before it.
        const high = pattern + 1 < infinity ? value(low + 1) : 2 * value(low) - value(low - 1);
        const middle = value(low) + (high - value(low)) / 2;
        if (Math.fround(middle) !== middle) continue;
        inputs.push(step(middle, -1), middle, step(middle, 1));
        expected.push(low, pattern % 2 === 0 ? low : low + 1, low + 1);
      }
      const huge = sign ? -3.4e38 : 3.4e38;
      inputs.push(dtype === "f16" ? huge : 10 * huge);
      expected.push(sign | infinity);
    }
    const found = fromFloat32(dtype, Float32Array.from(inputs));
    assert.ok(inputs.length > 6 * 0x7000);
    assert.equal(found, Uint16Array.from(expected));
  });

  test(`${dtype}: runs of arrays, from float32, float64 and lists alike`, () => {
    const source = [9, 1.1, -2.7, 1e-6, 5, 9];
    const [start, count, at] = [1, 4, 2];
    const expected = fromFloat32(dtype, Float32Array.from(source));
    for (const from of [source, Float32Array.from(source), Float64Array.from(source)]) {
      const into = new Uint16Array(8).fill(7);
      narrow(dtype, from, start, count, into, at);
      assert.equal(into, Uint16Array.of(7, 7, ...expected.subarray(start, start + count), 7, 7));
      const wide = new Float32Array(8).fill(7).subarray(1);
      widen(dtype, into, at, count, wide, 1);
      const values = [...expected.subarray(start, start + count)].map(value);
      assert.equal(wide, Float32Array.of(7, ...values, 7, 7));
    }
  });

  test(`${dtype}: values that are no numbers are counted`, () => {
    const expected = [...PATTERNS].filter((pattern) => !Number.isFinite(value(pattern))).length;
    assert.is(countNotFinite(dtype, PATTERNS), expected);
  });
}

test("f32 stays what it is; integers become numbers", () => {
  const values = Float32Array.of(1.5, Number.NaN, Number.NEGATIVE_INFINITY);
  assert.is(toFloat32("f32", values), values);
  assert.is(fromFloat32("f32", values), values);
  assert.equal(toFloat32("i32", Int32Array.of(-3, 7)), Float32Array.of(-3, 7));
  assert.equal(fromFloat32("i32", Float32Array.of(-3, 7)), Int32Array.of(-3, 7));
  assert.is(countNotFinite("f32", values), 2);
});

test.run();
