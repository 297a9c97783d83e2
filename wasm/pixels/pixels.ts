// The pixel loops of the image processor: bicubic resampling of RGB bytes in two passes, then normalise and patchify.
// AssemblyScript without a runtime: the host owns the memory, and every argument that ends in Ptr is an address in it.

/** First address the host may use. */
export function heapBase(): usize {
  return __heap_base;
}

/**
 * Horizontal pass: `rows` source rows become rows of outWidth pixels.
 *   out[r, x, c] = clamp((sum_k weights[x, k] * in[r, starts[x] + k, c] + half) >> precision), half = 2^(precision - 1)
 * The four bytes of a tap (one pixel and the next pixel's red) are handled as one vector, so a source row must be
 * readable one byte past its end. Rows go into a ring: row r of the picture is stored in slot r % ringRows.
 *
 * starts, counts: i32[outWidth]; weights: i32[outWidth, taps]; the ring is u8[ringRows, outWidth * 3].
 */
export function resampleRows(
  inPtr: usize,
  inWidth: i32,
  firstRow: i32,
  rows: i32,
  startsPtr: usize,
  countsPtr: usize,
  weightsPtr: usize,
  taps: i32,
  precision: i32,
  ringPtr: usize,
  ringRows: i32,
  outWidth: i32,
): void {
  const half = i32x4.splat(1 << (precision - 1));
  for (let r = 0; r < rows; r++) {
    const inRow = inPtr + <usize>(r * inWidth * 3);
    let out = ringPtr + <usize>(((firstRow + r) % ringRows) * outWidth * 3);
    for (let x = 0; x < outWidth; x++) {
      const offset = <usize>x << 2;
      let tap = inRow + <usize>(load<i32>(startsPtr + offset) * 3);
      let weight = weightsPtr + <usize>(x * taps) * 4;
      const weightEnd = weight + ((<usize>load<i32>(countsPtr + offset)) << 2);
      let sum = half;
      for (; weight < weightEnd; weight += 4, tap += 3) {
        sum = i32x4.add(sum, i32x4.mul(widen(v128.load32_zero(tap)), v128.load_splat<i32>(weight)));
      }
      const pixel = narrow(i32x4.shr_s(sum, precision));
      store<u8>(out, i8x16.extract_lane_u(pixel, 0));
      store<u8>(out, i8x16.extract_lane_u(pixel, 1), 1);
      store<u8>(out, i8x16.extract_lane_u(pixel, 2), 2);
      out += 3;
    }
  }
}

/**
 * Vertical pass: one output row of `rowBytes` bytes from `count` ring rows that start at picture row firstRow, with
 * the same rounding. Works on 16 bytes at a time, so the ring and the output row must be usable 15 bytes past their
 * ends.
 */
export function resampleColumns(
  ringPtr: usize,
  ringRows: i32,
  rowBytes: i32,
  firstRow: i32,
  count: i32,
  weightsPtr: usize,
  precision: i32,
  outPtr: usize,
): void {
  const half = i32x4.splat(1 << (precision - 1));
  for (let x = 0; x < rowBytes; x += 16) {
    let sum0 = half;
    let sum1 = half;
    let sum2 = half;
    let sum3 = half;
    for (let k = 0; k < count; k++) {
      const bytes = v128.load(ringPtr + <usize>(((firstRow + k) % ringRows) * rowBytes + x));
      const weight = v128.load_splat<i32>(weightsPtr + (<usize>k << 2));
      const low = i16x8.extend_low_i8x16_u(bytes);
      const high = i16x8.extend_high_i8x16_u(bytes);
      sum0 = i32x4.add(sum0, i32x4.mul(i32x4.extend_low_i16x8_u(low), weight));
      sum1 = i32x4.add(sum1, i32x4.mul(i32x4.extend_high_i16x8_u(low), weight));
      sum2 = i32x4.add(sum2, i32x4.mul(i32x4.extend_low_i16x8_u(high), weight));
      sum3 = i32x4.add(sum3, i32x4.mul(i32x4.extend_high_i16x8_u(high), weight));
    }
    const low = i16x8.narrow_i32x4_s(i32x4.shr_s(sum0, precision), i32x4.shr_s(sum1, precision));
    const high = i16x8.narrow_i32x4_s(i32x4.shr_s(sum2, precision), i32x4.shr_s(sum3, precision));
    v128.store(outPtr + <usize>x, i8x16.narrow_i16x8_u(low, high));
  }
}

/**
 * Normalises one band of merge * patch rows and writes its patches in merge-block order, each as
 * [channel, frame, row, column].
 *
 * band: u8[frames, merge * patch, width, 3] with frameStride bytes from frame to frame (0 repeats the first);
 * table: f32[3, 256], the normalised value of every byte; out: f32[width / patch * merge, 3 * frames * patch * patch].
 */
export function patchifyBand(
  bandPtr: usize,
  frameStride: i32,
  frames: i32,
  width: i32,
  patch: i32,
  merge: i32,
  tablePtr: usize,
  outPtr: usize,
): void {
  const rowBytes = <usize>(width * 3);
  const patches = width / patch;
  let out = outPtr;
  for (let block = 0; block < patches; block += merge) {
    for (let i = 0; i < merge; i++) {
      for (let j = 0; j < merge; j++) {
        const corner = bandPtr + <usize>(i * patch) * rowBytes + <usize>((block + j) * patch * 3);
        for (let c = 0; c < 3; c++) {
          const table = tablePtr + <usize>(c << 10);
          for (let frame = 0; frame < frames; frame++) {
            const origin = corner + <usize>(frame * frameStride + c);
            for (let y = 0; y < patch; y++) {
              let from = origin + <usize>y * rowBytes;
              for (let x = 0; x < patch; x++, from += 3, out += 4) {
                store<f32>(out, load<f32>(table + (<usize>load<u8>(from) << 2)));
              }
            }
          }
        }
      }
    }
  }
}

/** Four unsigned bytes as four i32. */
// @ts-ignore: decorator
@inline
function widen(bytes: v128): v128 {
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes));
}

/** Four i32 clamped to 0..255, in the lowest four bytes. */
// @ts-ignore: decorator
@inline
function narrow(values: v128): v128 {
  const words = i16x8.narrow_i32x4_s(values, values);
  return i8x16.narrow_i16x8_u(words, words);
}
