/**
 * The inverse cosine transform of one block, in the fixed-point arithmetic of libjpeg's accurate transform (jidctint).
 *
 * Sums that 16 bits do not hold, which only damaged data has, wrap or saturate as in its vector form on x86.
 */

/** Fractions of 13 bits. */
const F_0_298 = 2446;
const F_0_390 = 3196;
const F_0_541 = 4433;
const F_0_765 = 6270;
const F_0_899 = 7373;
const F_1_175 = 9633;
const F_1_501 = 12299;
const F_1_847 = 15137;
const F_1_961 = 16069;
const F_2_053 = 16819;
const F_2_562 = 20995;
const F_3_072 = 25172;

/** Columns come out of the first pass with two bits more than samples have. */
const COLUMN_SHIFT = 13 - 2;
const COLUMN_HALF = 1 << (COLUMN_SHIFT - 1);
const ROW_SHIFT = 13 + 2 + 3;
const ROW_HALF = 1 << (ROW_SHIFT - 1);

const workspace = new Int32Array(64);

/** A block without AC coefficients. */
export function writeFlatBlock(
  dc: number,
  quantization: Uint16Array,
  samples: Uint8ClampedArray,
  to: number,
  stride: number,
): void {
  const scaled = (Math.imul(dc, quantization[0] as number) << 18) >> 16;
  const sample = ((scaled + 16) >> 5) + 128;
  for (let row = to; row < to + 8 * stride; row += stride) {
    for (let i = row; i < row + 8; i++) samples[i] = sample;
  }
}

/**
 * Dequantizes coefficients[at .. at + 63] and writes 8 rows of 8 samples, `stride` apart.
 *
 * @param samples clamps what is written to 0..255
 */
export function transformBlock(
  coefficients: Int16Array,
  at: number,
  quantization: Uint16Array,
  samples: Uint8ClampedArray,
  to: number,
  stride: number,
): void {
  const work = workspace;
  let overflow = 0;
  for (let column = 0; column < 8; column++) {
    const c = at + column;
    const c1 = coefficients[c + 8] as number;
    const c2 = coefficients[c + 16] as number;
    const c3 = coefficients[c + 24] as number;
    const c4 = coefficients[c + 32] as number;
    const c5 = coefficients[c + 40] as number;
    const c6 = coefficients[c + 48] as number;
    const c7 = coefficients[c + 56] as number;
    const in0 = (Math.imul(coefficients[c] as number, quantization[column] as number) << 16) >> 16;
    if ((c1 | c2 | c3 | c4 | c5 | c6 | c7) === 0) {
      const flat = in0 << 2;
      overflow |= flat + 32768;
      work[column] = flat;
      work[column + 8] = flat;
      work[column + 16] = flat;
      work[column + 24] = flat;
      work[column + 32] = flat;
      work[column + 40] = flat;
      work[column + 48] = flat;
      work[column + 56] = flat;
      continue;
    }
    const in2 = (Math.imul(c2, quantization[column + 16] as number) << 16) >> 16;
    const in4 = (Math.imul(c4, quantization[column + 32] as number) << 16) >> 16;
    const in6 = (Math.imul(c6, quantization[column + 48] as number) << 16) >> 16;
    const even1 = Math.imul(in2 + in6, F_0_541);
    const even2 = (even1 - Math.imul(in6, F_1_847)) | 0;
    const even3 = (even1 + Math.imul(in2, F_0_765)) | 0;
    const sum = ((in0 + in4) << 16) >> 3;
    const difference = ((in0 - in4) << 16) >> 3;
    const t10 = (sum + even3) | 0;
    const t13 = (sum - even3) | 0;
    const t11 = (difference + even2) | 0;
    const t12 = (difference - even2) | 0;

    const in1 = (Math.imul(c1, quantization[column + 8] as number) << 16) >> 16;
    const in3 = (Math.imul(c3, quantization[column + 24] as number) << 16) >> 16;
    const in5 = (Math.imul(c5, quantization[column + 40] as number) << 16) >> 16;
    const in7 = (Math.imul(c7, quantization[column + 56] as number) << 16) >> 16;
    const z3 = ((in7 + in3) << 16) >> 16;
    const z4 = ((in5 + in1) << 16) >> 16;
    const z5 = Math.imul(z3 + z4, F_1_175);
    const z1 = Math.imul(in7 + in1, -F_0_899);
    const z2 = Math.imul(in5 + in3, -F_2_562);
    const odd3 = (z5 - Math.imul(z3, F_1_961)) | 0;
    const odd4 = (z5 - Math.imul(z4, F_0_390)) | 0;
    const t0 = (Math.imul(in7, F_0_298) + z1 + odd3) | 0;
    const t1 = (Math.imul(in5, F_2_053) + z2 + odd4) | 0;
    const t2 = (Math.imul(in3, F_3_072) + z2 + odd3) | 0;
    const t3 = (Math.imul(in1, F_1_501) + z1 + odd4) | 0;

    const out0 = (t10 + t3 + COLUMN_HALF) >> COLUMN_SHIFT;
    const out7 = (t10 - t3 + COLUMN_HALF) >> COLUMN_SHIFT;
    const out1 = (t11 + t2 + COLUMN_HALF) >> COLUMN_SHIFT;
    const out6 = (t11 - t2 + COLUMN_HALF) >> COLUMN_SHIFT;
    const out2 = (t12 + t1 + COLUMN_HALF) >> COLUMN_SHIFT;
    const out5 = (t12 - t1 + COLUMN_HALF) >> COLUMN_SHIFT;
    const out3 = (t13 + t0 + COLUMN_HALF) >> COLUMN_SHIFT;
    const out4 = (t13 - t0 + COLUMN_HALF) >> COLUMN_SHIFT;
    overflow |= (out0 + 32768) | (out1 + 32768) | (out2 + 32768) | (out3 + 32768);
    overflow |= (out4 + 32768) | (out5 + 32768) | (out6 + 32768) | (out7 + 32768);
    work[column] = out0;
    work[column + 8] = out1;
    work[column + 16] = out2;
    work[column + 24] = out3;
    work[column + 32] = out4;
    work[column + 40] = out5;
    work[column + 48] = out6;
    work[column + 56] = out7;
  }
  if ((overflow & ~0xffff) !== 0) narrow(coefficients, at);

  for (let row = 0, out = to; row < 64; row += 8, out += stride) {
    const in0 = work[row] as number;
    const in1 = work[row + 1] as number;
    const in2 = work[row + 2] as number;
    const in3 = work[row + 3] as number;
    const in4 = work[row + 4] as number;
    const in5 = work[row + 5] as number;
    const in6 = work[row + 6] as number;
    const in7 = work[row + 7] as number;
    const even1 = Math.imul(in2 + in6, F_0_541);
    const even2 = (even1 - Math.imul(in6, F_1_847)) | 0;
    const even3 = (even1 + Math.imul(in2, F_0_765)) | 0;
    const sum = (((in0 + in4) << 16) >> 3) + ROW_HALF;
    const difference = (((in0 - in4) << 16) >> 3) + ROW_HALF;
    const t10 = (sum + even3) | 0;
    const t13 = (sum - even3) | 0;
    const t11 = (difference + even2) | 0;
    const t12 = (difference - even2) | 0;

    const z3 = ((in7 + in3) << 16) >> 16;
    const z4 = ((in5 + in1) << 16) >> 16;
    const z5 = Math.imul(z3 + z4, F_1_175);
    const z1 = Math.imul(in7 + in1, -F_0_899);
    const z2 = Math.imul(in5 + in3, -F_2_562);
    const odd3 = (z5 - Math.imul(z3, F_1_961)) | 0;
    const odd4 = (z5 - Math.imul(z4, F_0_390)) | 0;
    const t0 = (Math.imul(in7, F_0_298) + z1 + odd3) | 0;
    const t1 = (Math.imul(in5, F_2_053) + z2 + odd4) | 0;
    const t2 = (Math.imul(in3, F_3_072) + z2 + odd3) | 0;
    const t3 = (Math.imul(in1, F_1_501) + z1 + odd4) | 0;

    samples[out] = ((t10 + t3) >> ROW_SHIFT) + 128;
    samples[out + 7] = ((t10 - t3) >> ROW_SHIFT) + 128;
    samples[out + 1] = ((t11 + t2) >> ROW_SHIFT) + 128;
    samples[out + 6] = ((t11 - t2) >> ROW_SHIFT) + 128;
    samples[out + 2] = ((t12 + t1) >> ROW_SHIFT) + 128;
    samples[out + 5] = ((t12 - t1) >> ROW_SHIFT) + 128;
    samples[out + 3] = ((t13 + t0) >> ROW_SHIFT) + 128;
    samples[out + 4] = ((t13 - t0) >> ROW_SHIFT) + 128;
  }
}

/** Brings the first pass's results into 16 bits: by wrapping where no column has AC coefficients, else by saturating. */
function narrow(coefficients: Int16Array, at: number): void {
  const isFlat = coefficients.subarray(at + 8, at + 64).every((value) => value === 0);
  for (let i = 0; i < 64; i++) {
    const value = workspace[i] as number;
    workspace[i] = isFlat ? (value << 16) >> 16 : Math.max(-32768, Math.min(32767, value));
  }
}
