// A matrix of weights as kernels read it, whatever it is stored in: element by element, or in loads of 16 bytes that are
// widened to f32 in registers, exactly. Tensor cores, whose types are narrower, get elements of blocks without their scale,
// which these types hold exactly too, and the sums of a block are multiplied by it.
#pragma once
#include "dispatch.h"

namespace glimt {

// f32, bf16 or f16, row by row.
template <class W>
struct FloatRows {
  static constexpr bool kHasBlocks = false;
  // Columns of a load.
  static constexpr int kVec = kPackSize<W>;
  using Loaded = Pack<W, kVec>;

  const W* data;
  int64_t stride;

  explicit FloatRows(const Operand& w) : data(w.as<const W>()), stride(w.stride) {}

  // Whether rows of `size` columns can be loaded.
  static bool loadable(const Operand& w) { return packable<W>(w); }
  __device__ __forceinline__ bool loadable(int64_t row, int size) const {
    return size % kVec == 0 && reinterpret_cast<uintptr_t>(data + row * stride) % 16 == 0;
  }
  __device__ __forceinline__ const void* address(int64_t row, int column) const { return data + row * stride + column; }
  __device__ __forceinline__ float at(int64_t row, int column) const { return widen(data[row * stride + column]); }
  // Columns [column, column + kVec), a multiple of kVec.
  __device__ __forceinline__ Loaded load(int64_t row, int column) const {
    return load_pack<W, kVec>(data + row * stride + column);
  }
  // Columns [first, first + N) of what was loaded.
  template <int N>
  static __device__ __forceinline__ void widen_part(const Loaded& loaded, int first, float (&values)[N]) {
#pragma unroll
    for (int v = 0; v < N; v++) values[v] = widen(loaded.at[first + v]);
  }
};

// The float whose upper 16 bits are those of `base`, with byte `index` of `word`, u, behind them: 2^e + u 2^(e - 15) for
// the base 2^e.
__device__ __forceinline__ float byte_behind(unsigned base, unsigned word, int index) {
  return __uint_as_float(__byte_perm(word, base, 0x7604u | static_cast<unsigned>(index) << 4));
}

// q8 and q4: blocks of 32 columns, an element is d q with the block's scale d in f16. In layout split the integers of all
// rows lie before the scales of all rows. A byte of q8 is q; 16 bytes of q4 are a block, q + 8 of columns 0..15 in the low
// halves and of 16..31 in the high ones.
template <int Bits>
struct BlockRows {
  static constexpr bool kHasBlocks = true;
  static constexpr int kBlockCols = 32, kBlockBytes = kBlockCols * Bits / 8;
  static constexpr int kVec = 128 / Bits;

  // Integers that lie together, with the scale of their block.
  template <int Words>
  struct Run {
    Pack<unsigned, Words> words;
    f16 scale;
  };
  using Loaded = Run<4>;
  // Half a block, of which a q4 has columns 8 h.. and 16 + 8 h..
  using Half = Run<kBlockBytes / 8>;

  const uint8_t* integers;
  const f16* scales;
  int64_t blocks;  // of a row

  explicit BlockRows(const Operand& w)
      : integers(w.as<const uint8_t>()),
        scales(reinterpret_cast<const f16*>(w.as<const uint8_t>() + w.rows * (w.cols / kBlockCols) * kBlockBytes)),
        blocks(w.cols / kBlockCols) {}

  static bool loadable(const Operand& w) { return reinterpret_cast<uintptr_t>(w.data) % 16 == 0; }
  __device__ __forceinline__ bool loadable(int64_t, int) const { return true; }
  __device__ __forceinline__ const void* address(int64_t row, int column) const {
    return integers + row * blocks * kBlockBytes + column / (8 / Bits);
  }
  __device__ __forceinline__ float at(int64_t row, int column) const {
    const int64_t block = row * blocks + column / kBlockCols;
    const int place = column % kBlockCols;
    const uint8_t byte = integers[block * kBlockBytes + (Bits == 8 ? place : place % 16)];
    const int q = Bits == 8 ? static_cast<int8_t>(byte) : (place < 16 ? byte & 15 : byte >> 4) - 8;
    return static_cast<float>(q) * widen(scales[block]);
  }
  __device__ __forceinline__ Loaded load(int64_t row, int column) const {
    const auto* from = reinterpret_cast<const unsigned*>(integers + row * blocks * kBlockBytes + column / (8 / Bits));
    return {load_pack<unsigned, 4>(from), scales[row * blocks + column / kBlockCols]};
  }
  // N, 4 or 8, of the columns.
  template <int N>
  static __device__ __forceinline__ void widen_part(const Loaded& loaded, int first, float (&values)[N]) {
    const int place = Bits == 8 ? first : first % 16, high = Bits == 8 ? 0 : first / 16;
    widen_words(loaded, place / 4, high, values);
  }

  __device__ __forceinline__ Half load_half(int64_t row, int column, int half) const {
    const int64_t block = row * blocks + column / kBlockCols;
    const auto* from = reinterpret_cast<const unsigned*>(integers + block * kBlockBytes + half * (kBlockBytes / 2));
    return {load_pack<unsigned, kBlockBytes / 8>(from), scales[block]};
  }
  // Where eight columns lie in the block, of which a half has two, in eighths: the i-th.
  static __device__ __forceinline__ int chunk_of(int half, int i) { return Bits == 8 ? 2 * half + i : half + 2 * i; }
  // q / 128 of those columns: at most 1, so that products with large activations are numbers still.
  static __device__ __forceinline__ void chunk_units(const Half& half, int i, float (&values)[8]) {
    // 2^8 + u / 128 for q = u - kOffset.
    constexpr unsigned kBase = 0x43800000u;
    const int first = Bits == 8 ? 2 * i : 0;
#pragma unroll
    for (int v = 0; v < 8; v++)
      values[v] = byte_behind(kBase, positive(half, first + v / 4, i), v % 4) - (256.0f + kOffset / 128.0f);
  }
  static __device__ __forceinline__ float unit_scale(const Half& half) { return 128.0f * widen(half.scale); }

 private:
  static constexpr float kOffset = Bits == 8 ? 128.0f : 8.0f;

  // Four bytes, q + kOffset; of q4 the low or the high halves.
  template <int Words>
  static __device__ __forceinline__ unsigned positive(const Run<Words>& run, int word, int high) {
    const unsigned bytes = run.words.at[word];
    return Bits == 8 ? bytes ^ 0x80808080u : bytes >> (4 * high) & 0x0f0f0f0fu;
  }

  // d q from word `first` on: d times 2^15 + u, less d (2^15 + kOffset), in one step. Both have at most 24 bits where d
  // is an f16, so that nothing is rounded.
  template <int N, int Words>
  static __device__ __forceinline__ void widen_words(const Run<Words>& run, int first, int high, float (&values)[N]) {
    static_assert(N % 4 == 0);
    const float d = widen(run.scale), shift = d * (32768.0f + kOffset);
#pragma unroll
    for (int v = 0; v < N; v++)
      values[v] = fmaf(byte_behind(0x47000000u, positive(run, first + v / 4, high), v % 4), d, -shift);
  }
};

// fp8: blocks of 128 columns, an element is an E4M3 times the block's scale in f32. In layout split the elements of all rows
// lie before the scales of all rows.
struct Fp8Rows {
  static constexpr bool kHasBlocks = true;
  static constexpr int kBlockCols = 128, kVec = 16;

  struct Loaded {
    Pack<unsigned, 4> words;
    float scale;
  };
  // 16 columns of 32.
  using Half = Loaded;

  const uint8_t* elements;
  const float* scales;
  int64_t blocks;  // of a row

  explicit Fp8Rows(const Operand& w)
      : elements(w.as<const uint8_t>()),
        scales(reinterpret_cast<const float*>(w.as<const uint8_t>() + w.rows * w.cols)),
        blocks(w.cols / kBlockCols) {}

  static bool loadable(const Operand& w) { return reinterpret_cast<uintptr_t>(w.data) % 16 == 0; }
  __device__ __forceinline__ bool loadable(int64_t, int) const { return true; }
  __device__ __forceinline__ const void* address(int64_t row, int column) const {
    return elements + row * blocks * kBlockCols + column;
  }
  __device__ __forceinline__ float at(int64_t row, int column) const {
    const float unit = widen(half_of(elements[row * blocks * kBlockCols + column] << 8));
    return unit * 256.0f * scales[row * blocks + column / kBlockCols];
  }
  __device__ __forceinline__ Loaded load(int64_t row, int column) const {
    const auto* from = reinterpret_cast<const unsigned*>(elements + row * blocks * kBlockCols + column);
    return {load_pack<unsigned, 4>(from), scales[row * blocks + column / kBlockCols]};
  }
  template <int N>
  static __device__ __forceinline__ void widen_part(const Loaded& loaded, int first, float (&values)[N]) {
#pragma unroll
    for (int v = 0; v < N; v++) values[v] = unit_of(loaded, first + v) * 256.0f * loaded.scale;
  }

  __device__ __forceinline__ Half load_half(int64_t row, int column, int half) const {
    return load(row, column + 16 * half);
  }
  static __device__ __forceinline__ int chunk_of(int half, int i) { return 2 * half + i; }
  // Elements over 256.
  static __device__ __forceinline__ void chunk_units(const Half& half, int i, float (&values)[8]) {
#pragma unroll
    for (int v = 0; v < 8; v++) values[v] = unit_of(half, 8 * i + v);
  }
  static __device__ __forceinline__ float unit_scale(const Half& half) { return 256.0f * half.scale; }

 private:
  // E4M3 in the upper byte of 16 bits, over 256: its exponent and fraction are those of an f16, three bits further left,
  // whose exponents count from 8 less. Subnormals are subnormals there.
  static __device__ __forceinline__ f16 half_of(unsigned bits) {
    return f16_of_bits((bits & 0x8000u) | (bits & 0x7f00u) >> 1);
  }
  static __device__ __forceinline__ float unit_of(const Loaded& loaded, int index) {
    const unsigned word = loaded.words.at[index / 4];
    return widen(half_of(index % 4 == 0 ? word << 8 : word >> (8 * (index % 4 - 1))));
  }
};

// Calls f with the matrix as its kernels read it.
template <class F>
void with_weights(const Operand& w, F&& f) {
  if (w.dtype == DType::q8) return f(BlockRows<8>(w));
  if (w.dtype == DType::q4) return f(BlockRows<4>(w));
  if (w.dtype == DType::fp8) return f(Fp8Rows(w));
  with_float_type(w.dtype, [&](auto type) { f(FloatRows<typename decltype(type)::type>(w)); });
}

}  // namespace glimt
