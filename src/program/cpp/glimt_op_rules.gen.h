// Generated from src/graph/ops.ts by `npm run generate`. Do not edit.
#pragma once
#include <cstdint>

#include "glimt_program.gen.h"

namespace glimt::program {

struct OpInfo {
  const char* name;
  uint32_t inputs, outputs, attrs;
};

// Null for views and for numbers that are no op.
inline const OpInfo* op_info(Op op) {
  switch (op) {
    case Op::linear: {
      static constexpr OpInfo info{"linear", 2, 1, 0};
      return &info;
    }
    case Op::add_bias: {
      static constexpr OpInfo info{"add_bias", 2, 1, 0};
      return &info;
    }
    case Op::linear_bias: {
      static constexpr OpInfo info{"linear_bias", 3, 1, 0};
      return &info;
    }
    case Op::add: {
      static constexpr OpInfo info{"add", 2, 1, 0};
      return &info;
    }
    case Op::rms_norm: {
      static constexpr OpInfo info{"rms_norm", 2, 1, 1};
      return &info;
    }
    case Op::add_rms_norm: {
      static constexpr OpInfo info{"add_rms_norm", 3, 2, 1};
      return &info;
    }
    case Op::rms_norm_add_rms_norm: {
      static constexpr OpInfo info{"rms_norm_add_rms_norm", 4, 2, 1};
      return &info;
    }
    case Op::layer_norm: {
      static constexpr OpInfo info{"layer_norm", 3, 1, 1};
      return &info;
    }
    case Op::rope: {
      static constexpr OpInfo info{"rope", 3, 1, 4};
      return &info;
    }
    case Op::kv_write: {
      static constexpr OpInfo info{"kv_write", 4, 1, 3};
      return &info;
    }
    case Op::attention_paged: {
      static constexpr OpInfo info{"attention_paged", 5, 1, 5};
      return &info;
    }
    case Op::attention_weights: {
      static constexpr OpInfo info{"attention_weights", 5, 1, 5};
      return &info;
    }
    case Op::rope_attention_paged: {
      static constexpr OpInfo info{"rope_attention_paged", 10, 2, 7};
      return &info;
    }
    case Op::attention_varlen: {
      static constexpr OpInfo info{"attention_varlen", 4, 1, 3};
      return &info;
    }
    case Op::swiglu: {
      static constexpr OpInfo info{"swiglu", 2, 1, 0};
      return &info;
    }
    case Op::linear_swiglu: {
      static constexpr OpInfo info{"linear_swiglu", 2, 1, 1};
      return &info;
    }
    case Op::gelu: {
      static constexpr OpInfo info{"gelu", 1, 1, 0};
      return &info;
    }
    case Op::embed: {
      static constexpr OpInfo info{"embed", 2, 1, 2};
      return &info;
    }
    case Op::gather_rows: {
      static constexpr OpInfo info{"gather_rows", 2, 1, 0};
      return &info;
    }
    case Op::scatter_rows: {
      static constexpr OpInfo info{"scatter_rows", 3, 1, 0};
      return &info;
    }
    case Op::position_embed_bicubic: {
      static constexpr OpInfo info{"position_embed_bicubic", 2, 1, 1};
      return &info;
    }
    case Op::route_experts: {
      static constexpr OpInfo info{"route_experts", 2, 2, 5};
      return &info;
    }
    case Op::experts: {
      static constexpr OpInfo info{"experts", 5, 1, 5};
      return &info;
    }
    case Op::adjust_logits: {
      static constexpr OpInfo info{"adjust_logits", 7, 1, 0};
      return &info;
    }
    case Op::sample: {
      static constexpr OpInfo info{"sample", 5, 1, 0};
      return &info;
    }
    case Op::accept_drafts: {
      static constexpr OpInfo info{"accept_drafts", 5, 3, 0};
      return &info;
    }
    case Op::follow_drafts: {
      static constexpr OpInfo info{"follow_drafts", 8, 7, 0};
      return &info;
    }
    case Op::all_reduce: {
      static constexpr OpInfo info{"all_reduce", 1, 1, 0};
      return &info;
    }
    case Op::all_gather: {
      static constexpr OpInfo info{"all_gather", 1, 1, 2};
      return &info;
    }
    case Op::reduce_scatter: {
      static constexpr OpInfo info{"reduce_scatter", 1, 1, 1};
      return &info;
    }
    case Op::send: {
      static constexpr OpInfo info{"send", 1, 0, 1};
      return &info;
    }
    case Op::receive: {
      static constexpr OpInfo info{"receive", 1, 1, 2};
      return &info;
    }
    default:
      return nullptr;
  }
}

namespace rules {

// Sizes are not negative; what has no size is -1.
inline int64_t times(int64_t a, int64_t b) {
  int64_t product;
  return a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product) ? -1 : product;
}
inline int64_t over(int64_t a, int64_t b) { return a >= 0 && b > 0 && a % b == 0 ? a / b : -1; }
inline bool is_index(uint32_t attr) { return attr < uint32_t{1} << 31; }
inline bool is_count(uint32_t attr) { return attr > 0 && is_index(attr); }
inline bool is_multiple(int64_t a, int64_t b) { return b > 0 && a % b == 0; }
template <class Operand>
inline bool is_dense(const Operand& operand) {
  return operand.stride == operand.cols;
}

}  // namespace rules

// The operand or attribute that does not fit the op and the others, all in the op table's order; null when all do. An
// operand has a dtype, and rows of cols elements that lie stride elements apart.
template <class Operand>
const char* misfit(Op op, DType activation, const Operand* in, const Operand* out, const uint32_t* attrs) {
  using namespace rules;
  switch (op) {
    case Op::linear: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t k = in[0].cols;
      if (!(in[0].dtype == activation)) return "x";
      [[maybe_unused]] const int64_t n = in[1].rows;
      if (!((in[1].dtype == DType::f32 || in[1].dtype == DType::bf16 || in[1].dtype == DType::f16 || in[1].dtype == DType::q8 || in[1].dtype == DType::q4 || in[1].dtype == DType::q4_1 || in[1].dtype == DType::q5_0 || in[1].dtype == DType::q5_1 || in[1].dtype == DType::q4_k || in[1].dtype == DType::q5_k || in[1].dtype == DType::q6_k || in[1].dtype == DType::fp8) && is_dense(in[1]) && in[1].cols == k)) return "w";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == n)) return "y";
      return nullptr;
    }
    case Op::add_bias: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t n = in[0].cols;
      if (!(in[0].dtype == activation)) return "x";
      if (!(in[1].dtype == DType::f32 && is_dense(in[1]) && in[1].rows == n && in[1].cols == 1)) return "bias";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == n)) return "y";
      return nullptr;
    }
    case Op::linear_bias: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t k = in[0].cols;
      if (!(in[0].dtype == activation)) return "x";
      [[maybe_unused]] const int64_t n = in[1].rows;
      if (!((in[1].dtype == DType::f32 || in[1].dtype == DType::bf16 || in[1].dtype == DType::f16 || in[1].dtype == DType::q8 || in[1].dtype == DType::q4 || in[1].dtype == DType::q4_1 || in[1].dtype == DType::q5_0 || in[1].dtype == DType::q5_1 || in[1].dtype == DType::q4_k || in[1].dtype == DType::q5_k || in[1].dtype == DType::q6_k || in[1].dtype == DType::fp8) && is_dense(in[1]) && in[1].cols == k)) return "w";
      if (!(in[2].dtype == DType::f32 && is_dense(in[2]) && in[2].rows == n && in[2].cols == 1)) return "bias";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == n)) return "y";
      return nullptr;
    }
    case Op::add: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t n = in[0].cols;
      if (!(in[0].dtype == activation)) return "a";
      if (!(in[1].dtype == activation && in[1].rows == m && in[1].cols == n)) return "b";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == n)) return "y";
      return nullptr;
    }
    case Op::rms_norm: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t k = in[0].cols;
      if (!(in[0].dtype == activation)) return "x";
      [[maybe_unused]] const int64_t n = in[1].rows;
      if (!(in[1].dtype == DType::f32 && is_dense(in[1]) && in[1].cols == 1)) return "w";
      if (!is_multiple(k, n)) return "k";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == k)) return "y";
      return nullptr;
    }
    case Op::add_rms_norm: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t n = in[0].cols;
      if (!(in[0].dtype == activation)) return "a";
      if (!(in[1].dtype == activation && in[1].rows == m && in[1].cols == n)) return "b";
      if (!(in[2].dtype == DType::f32 && is_dense(in[2]) && in[2].rows == n && in[2].cols == 1)) return "w";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == n)) return "sum";
      if (!(out[1].dtype == activation && out[1].rows == m && out[1].cols == n)) return "y";
      return nullptr;
    }
    case Op::rms_norm_add_rms_norm: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t n = in[0].cols;
      if (!(in[0].dtype == activation)) return "a";
      if (!(in[1].dtype == activation && in[1].rows == m && in[1].cols == n)) return "b";
      if (!(in[2].dtype == DType::f32 && is_dense(in[2]) && in[2].rows == n && in[2].cols == 1)) return "wb";
      if (!(in[3].dtype == DType::f32 && is_dense(in[3]) && in[3].rows == n && in[3].cols == 1)) return "w";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == n)) return "sum";
      if (!(out[1].dtype == activation && out[1].rows == m && out[1].cols == n)) return "y";
      return nullptr;
    }
    case Op::layer_norm: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t n = in[0].cols;
      if (!(in[0].dtype == activation)) return "x";
      if (!(in[1].dtype == DType::f32 && is_dense(in[1]) && in[1].rows == n && in[1].cols == 1)) return "w";
      if (!(in[2].dtype == DType::f32 && is_dense(in[2]) && in[2].rows == n && in[2].cols == 1)) return "b";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == n)) return "y";
      return nullptr;
    }
    case Op::rope: {
      if (!is_count(attrs[0])) return "numHeads";
      [[maybe_unused]] const int64_t numHeads = attrs[0];
      if (!is_count(attrs[1])) return "headDim";
      [[maybe_unused]] const int64_t headDim = attrs[1];
      if (!is_count(attrs[2])) return "rotaryDim";
      [[maybe_unused]] const int64_t rotaryDim = attrs[2];
      if (attrs[3] >= 2) return "pairs";
      [[maybe_unused]] const int64_t m = in[0].rows;
      if (!(in[0].dtype == activation && in[0].cols == times(numHeads, headDim))) return "x";
      if (!(in[1].dtype == DType::f32 && is_dense(in[1]) && in[1].rows == m && in[1].cols == over(rotaryDim, 2))) return "cos";
      if (!(in[2].dtype == DType::f32 && is_dense(in[2]) && in[2].rows == m && in[2].cols == over(rotaryDim, 2))) return "sin";
      if (!(rotaryDim <= headDim)) return "rotaryDim";
      if (!is_multiple(rotaryDim, 2)) return "rotaryDim";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == times(numHeads, headDim))) return "y";
      return nullptr;
    }
    case Op::kv_write: {
      if (!is_count(attrs[0])) return "numKvHeads";
      [[maybe_unused]] const int64_t numKvHeads = attrs[0];
      if (!is_count(attrs[1])) return "headDim";
      [[maybe_unused]] const int64_t headDim = attrs[1];
      if (!is_count(attrs[2])) return "pageSize";
      [[maybe_unused]] const int64_t pageSize = attrs[2];
      [[maybe_unused]] const int64_t t = in[0].rows;
      if (!(in[0].dtype == activation && in[0].cols == times(numKvHeads, headDim))) return "k";
      if (!(in[1].dtype == activation && in[1].rows == t && in[1].cols == times(numKvHeads, headDim))) return "v";
      if (!(in[2].dtype == DType::i32 && is_dense(in[2]) && in[2].rows == t && in[2].cols == 1)) return "slots";
      [[maybe_unused]] const int64_t pages = in[3].rows;
      if (!(in[3].dtype == activation && is_dense(in[3]) && in[3].cols == times(times(times(2, numKvHeads), pageSize), headDim))) return "cache";
      if (!(out[0].dtype == activation && is_dense(out[0]) && out[0].rows == pages && out[0].cols == times(times(times(2, numKvHeads), pageSize), headDim))) return "written";
      return nullptr;
    }
    case Op::attention_paged: {
      if (!is_count(attrs[0])) return "numHeads";
      [[maybe_unused]] const int64_t numHeads = attrs[0];
      if (!is_count(attrs[1])) return "numKvHeads";
      [[maybe_unused]] const int64_t numKvHeads = attrs[1];
      if (!is_count(attrs[2])) return "headDim";
      [[maybe_unused]] const int64_t headDim = attrs[2];
      if (!is_count(attrs[3])) return "pageSize";
      [[maybe_unused]] const int64_t pageSize = attrs[3];
      [[maybe_unused]] const int64_t t = in[0].rows;
      if (!(in[0].dtype == activation && in[0].cols == times(numHeads, headDim))) return "q";
      [[maybe_unused]] const int64_t pages = in[1].rows;
      if (!(in[1].dtype == activation && is_dense(in[1]) && in[1].cols == times(times(times(2, numKvHeads), pageSize), headDim))) return "cache";
      [[maybe_unused]] const int64_t s = in[2].rows;
      [[maybe_unused]] const int64_t blocks = in[2].cols;
      if (!(in[2].dtype == DType::i32 && is_dense(in[2]))) return "blockTable";
      if (!(in[3].dtype == DType::i32 && is_dense(in[3]) && in[3].rows == (s + 1) && in[3].cols == 1)) return "cuSeqlens";
      if (!(in[4].dtype == DType::i32 && is_dense(in[4]) && in[4].rows == s && in[4].cols == 1)) return "contextLens";
      if (!is_multiple(numHeads, numKvHeads)) return "numHeads";
      if (!(out[0].dtype == activation && out[0].rows == t && out[0].cols == times(numHeads, headDim))) return "y";
      return nullptr;
    }
    case Op::attention_weights: {
      if (!is_count(attrs[0])) return "numHeads";
      [[maybe_unused]] const int64_t numHeads = attrs[0];
      if (!is_count(attrs[1])) return "numKvHeads";
      [[maybe_unused]] const int64_t numKvHeads = attrs[1];
      if (!is_count(attrs[2])) return "headDim";
      [[maybe_unused]] const int64_t headDim = attrs[2];
      if (!is_count(attrs[3])) return "pageSize";
      [[maybe_unused]] const int64_t pageSize = attrs[3];
      [[maybe_unused]] const int64_t r = in[0].rows;
      if (!(in[0].dtype == activation && in[0].cols == times(numHeads, headDim))) return "q";
      [[maybe_unused]] const int64_t pages = in[1].rows;
      if (!(in[1].dtype == activation && is_dense(in[1]) && in[1].cols == times(times(times(2, numKvHeads), pageSize), headDim))) return "cache";
      [[maybe_unused]] const int64_t s = in[2].rows;
      [[maybe_unused]] const int64_t blocks = in[2].cols;
      if (!(in[2].dtype == DType::i32 && is_dense(in[2]))) return "blockTable";
      if (!(in[3].dtype == DType::i32 && is_dense(in[3]) && in[3].rows == r && in[3].cols == 1)) return "sequences";
      if (!(in[4].dtype == DType::i32 && is_dense(in[4]) && in[4].rows == r && in[4].cols == 1)) return "lengths";
      if (!is_multiple(numHeads, numKvHeads)) return "numHeads";
      if (!(out[0].dtype == DType::f32 && is_dense(out[0]) && out[0].rows == r && out[0].cols == times(blocks, pageSize))) return "weights";
      return nullptr;
    }
    case Op::rope_attention_paged: {
      if (!is_count(attrs[0])) return "numHeads";
      [[maybe_unused]] const int64_t numHeads = attrs[0];
      if (!is_count(attrs[1])) return "numKvHeads";
      [[maybe_unused]] const int64_t numKvHeads = attrs[1];
      if (!is_count(attrs[2])) return "headDim";
      [[maybe_unused]] const int64_t headDim = attrs[2];
      if (!is_count(attrs[3])) return "rotaryDim";
      [[maybe_unused]] const int64_t rotaryDim = attrs[3];
      if (attrs[4] >= 2) return "pairs";
      if (!is_count(attrs[5])) return "pageSize";
      [[maybe_unused]] const int64_t pageSize = attrs[5];
      [[maybe_unused]] const int64_t t = in[0].rows;
      if (!(in[0].dtype == activation && in[0].cols == times(numHeads, headDim))) return "q";
      if (!(in[1].dtype == activation && in[1].rows == t && in[1].cols == times(numKvHeads, headDim))) return "k";
      if (!(in[2].dtype == activation && in[2].rows == t && in[2].cols == times(numKvHeads, headDim))) return "v";
      if (!(in[3].dtype == DType::f32 && is_dense(in[3]) && in[3].rows == t && in[3].cols == over(rotaryDim, 2))) return "cos";
      if (!(in[4].dtype == DType::f32 && is_dense(in[4]) && in[4].rows == t && in[4].cols == over(rotaryDim, 2))) return "sin";
      if (!(in[5].dtype == DType::i32 && is_dense(in[5]) && in[5].rows == t && in[5].cols == 1)) return "slots";
      [[maybe_unused]] const int64_t pages = in[6].rows;
      if (!(in[6].dtype == activation && is_dense(in[6]) && in[6].cols == times(times(times(2, numKvHeads), pageSize), headDim))) return "cache";
      [[maybe_unused]] const int64_t s = in[7].rows;
      [[maybe_unused]] const int64_t blocks = in[7].cols;
      if (!(in[7].dtype == DType::i32 && is_dense(in[7]))) return "blockTable";
      if (!(in[8].dtype == DType::i32 && is_dense(in[8]) && in[8].rows == (s + 1) && in[8].cols == 1)) return "cuSeqlens";
      if (!(in[9].dtype == DType::i32 && is_dense(in[9]) && in[9].rows == s && in[9].cols == 1)) return "contextLens";
      if (!is_multiple(numHeads, numKvHeads)) return "numHeads";
      if (!(rotaryDim <= headDim)) return "rotaryDim";
      if (!is_multiple(rotaryDim, 2)) return "rotaryDim";
      if (!(out[0].dtype == activation && out[0].rows == t && out[0].cols == times(numHeads, headDim))) return "y";
      if (!(out[1].dtype == activation && is_dense(out[1]) && out[1].rows == pages && out[1].cols == times(times(times(2, numKvHeads), pageSize), headDim))) return "written";
      return nullptr;
    }
    case Op::attention_varlen: {
      if (!is_count(attrs[0])) return "numHeads";
      [[maybe_unused]] const int64_t numHeads = attrs[0];
      if (!is_count(attrs[1])) return "headDim";
      [[maybe_unused]] const int64_t headDim = attrs[1];
      [[maybe_unused]] const int64_t m = in[0].rows;
      if (!(in[0].dtype == activation && in[0].cols == times(numHeads, headDim))) return "q";
      if (!(in[1].dtype == activation && in[1].rows == m && in[1].cols == times(numHeads, headDim))) return "k";
      if (!(in[2].dtype == activation && in[2].rows == m && in[2].cols == times(numHeads, headDim))) return "v";
      [[maybe_unused]] const int64_t s = in[3].rows - 1;
      if (!(in[3].dtype == DType::i32 && is_dense(in[3]) && s >= 0 && in[3].cols == 1)) return "cuSeqlens";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == times(numHeads, headDim))) return "y";
      return nullptr;
    }
    case Op::swiglu: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t n = in[0].cols;
      if (!(in[0].dtype == activation)) return "gate";
      if (!(in[1].dtype == activation && in[1].rows == m && in[1].cols == n)) return "up";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == n)) return "y";
      return nullptr;
    }
    case Op::linear_swiglu: {
      if (!is_count(attrs[0])) return "width";
      [[maybe_unused]] const int64_t width = attrs[0];
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t k = in[0].cols;
      if (!(in[0].dtype == activation)) return "x";
      if (!((in[1].dtype == DType::f32 || in[1].dtype == DType::bf16 || in[1].dtype == DType::f16 || in[1].dtype == DType::q8 || in[1].dtype == DType::q4 || in[1].dtype == DType::q4_1 || in[1].dtype == DType::q5_0 || in[1].dtype == DType::q5_1 || in[1].dtype == DType::q4_k || in[1].dtype == DType::q5_k || in[1].dtype == DType::q6_k || in[1].dtype == DType::fp8) && is_dense(in[1]) && in[1].rows == times(2, width) && in[1].cols == k)) return "w";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == width)) return "y";
      return nullptr;
    }
    case Op::gelu: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t n = in[0].cols;
      if (!(in[0].dtype == activation)) return "x";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == n)) return "y";
      return nullptr;
    }
    case Op::embed: {
      if (!is_index(attrs[0])) return "first";
      [[maybe_unused]] const int64_t first = attrs[0];
      if (!is_count(attrs[1])) return "total";
      [[maybe_unused]] const int64_t total = attrs[1];
      [[maybe_unused]] const int64_t t = in[0].rows;
      if (!(in[0].dtype == DType::i32 && is_dense(in[0]) && in[0].cols == 1)) return "ids";
      [[maybe_unused]] const int64_t v = in[1].rows;
      [[maybe_unused]] const int64_t n = in[1].cols;
      if (!((in[1].dtype == DType::f32 || in[1].dtype == DType::bf16 || in[1].dtype == DType::f16 || in[1].dtype == DType::q8 || in[1].dtype == DType::q4 || in[1].dtype == DType::q4_1 || in[1].dtype == DType::q5_0 || in[1].dtype == DType::q5_1 || in[1].dtype == DType::q4_k || in[1].dtype == DType::q5_k || in[1].dtype == DType::q6_k || in[1].dtype == DType::fp8) && is_dense(in[1]))) return "table";
      if (!((v + first) <= total)) return "v+first";
      if (!(out[0].dtype == activation && out[0].rows == t && out[0].cols == n)) return "y";
      return nullptr;
    }
    case Op::gather_rows: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t n = in[0].cols;
      if (!(in[0].dtype == activation)) return "x";
      [[maybe_unused]] const int64_t r = in[1].rows;
      if (!(in[1].dtype == DType::i32 && is_dense(in[1]) && in[1].cols == 1)) return "rows";
      if (!(out[0].dtype == activation && out[0].rows == r && out[0].cols == n)) return "y";
      return nullptr;
    }
    case Op::scatter_rows: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t n = in[0].cols;
      if (!(in[0].dtype == activation)) return "x";
      [[maybe_unused]] const int64_t f = in[1].rows;
      if (!(in[1].dtype == activation && in[1].cols == n)) return "values";
      if (!(in[2].dtype == DType::i32 && is_dense(in[2]) && in[2].rows == f && in[2].cols == 1)) return "rows";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == n)) return "y";
      return nullptr;
    }
    case Op::position_embed_bicubic: {
      if (!is_count(attrs[0])) return "side";
      [[maybe_unused]] const int64_t side = attrs[0];
      [[maybe_unused]] const int64_t n = in[0].cols;
      if (!((in[0].dtype == DType::f32 || in[0].dtype == DType::bf16 || in[0].dtype == DType::f16 || in[0].dtype == DType::q8 || in[0].dtype == DType::q4 || in[0].dtype == DType::q4_1 || in[0].dtype == DType::q5_0 || in[0].dtype == DType::q5_1 || in[0].dtype == DType::q4_k || in[0].dtype == DType::q5_k || in[0].dtype == DType::q6_k || in[0].dtype == DType::fp8) && is_dense(in[0]) && in[0].rows == times(side, side))) return "table";
      [[maybe_unused]] const int64_t m = in[1].rows;
      if (!(in[1].dtype == DType::f32 && is_dense(in[1]) && in[1].cols == 2)) return "coords";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == n)) return "y";
      return nullptr;
    }
    case Op::route_experts: {
      if (!is_count(attrs[0])) return "topK";
      [[maybe_unused]] const int64_t topK = attrs[0];
      if (!is_count(attrs[1])) return "numGroups";
      [[maybe_unused]] const int64_t numGroups = attrs[1];
      if (!is_count(attrs[2])) return "topkGroups";
      [[maybe_unused]] const int64_t topkGroups = attrs[2];
      if (attrs[3] >= 2) return "normalise";
      [[maybe_unused]] const int64_t t = in[0].rows;
      [[maybe_unused]] const int64_t e = in[0].cols;
      if (!(in[0].dtype == activation)) return "logits";
      if (!(in[1].dtype == DType::f32 && is_dense(in[1]) && in[1].rows == e && in[1].cols == 1)) return "correction";
      if (!is_multiple(e, numGroups)) return "e";
      if (!(topkGroups <= numGroups)) return "topkGroups";
      if (!(topK <= e)) return "topK";
      if (!(out[0].dtype == DType::i32 && is_dense(out[0]) && out[0].rows == t && out[0].cols == topK)) return "experts";
      if (!(out[1].dtype == DType::f32 && is_dense(out[1]) && out[1].rows == t && out[1].cols == topK)) return "weights";
      return nullptr;
    }
    case Op::experts: {
      if (!is_count(attrs[0])) return "numExperts";
      [[maybe_unused]] const int64_t numExperts = attrs[0];
      if (!is_count(attrs[1])) return "topK";
      [[maybe_unused]] const int64_t topK = attrs[1];
      if (!is_count(attrs[2])) return "width";
      [[maybe_unused]] const int64_t width = attrs[2];
      if (!is_index(attrs[3])) return "firstExpert";
      [[maybe_unused]] const int64_t firstExpert = attrs[3];
      if (!is_count(attrs[4])) return "totalExperts";
      [[maybe_unused]] const int64_t totalExperts = attrs[4];
      [[maybe_unused]] const int64_t t = in[0].rows;
      [[maybe_unused]] const int64_t n = in[0].cols;
      if (!(in[0].dtype == activation)) return "x";
      if (!(in[1].dtype == DType::i32 && is_dense(in[1]) && in[1].rows == t && in[1].cols == topK)) return "experts";
      if (!(in[2].dtype == DType::f32 && is_dense(in[2]) && in[2].rows == t && in[2].cols == topK)) return "weights";
      if (!((in[3].dtype == DType::f32 || in[3].dtype == DType::bf16 || in[3].dtype == DType::f16 || in[3].dtype == DType::q8 || in[3].dtype == DType::q4 || in[3].dtype == DType::q4_1 || in[3].dtype == DType::q5_0 || in[3].dtype == DType::q5_1 || in[3].dtype == DType::q4_k || in[3].dtype == DType::q5_k || in[3].dtype == DType::q6_k || in[3].dtype == DType::fp8) && is_dense(in[3]) && in[3].rows == times(times(numExperts, 2), width) && in[3].cols == n)) return "gateUp";
      if (!((in[4].dtype == DType::f32 || in[4].dtype == DType::bf16 || in[4].dtype == DType::f16 || in[4].dtype == DType::q8 || in[4].dtype == DType::q4 || in[4].dtype == DType::q4_1 || in[4].dtype == DType::q5_0 || in[4].dtype == DType::q5_1 || in[4].dtype == DType::q4_k || in[4].dtype == DType::q5_k || in[4].dtype == DType::q6_k || in[4].dtype == DType::fp8) && is_dense(in[4]) && in[4].rows == times(numExperts, n) && in[4].cols == width)) return "down";
      if (!((numExperts + firstExpert) <= totalExperts)) return "numExperts+firstExpert";
      if (!(out[0].dtype == activation && out[0].rows == t && out[0].cols == n)) return "y";
      return nullptr;
    }
    case Op::adjust_logits: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t v = in[0].cols;
      if (!(in[0].dtype == activation)) return "logits";
      [[maybe_unused]] const int64_t a = in[1].rows;
      if (!(in[1].dtype == DType::i32 && is_dense(in[1]) && in[1].cols == 1)) return "rows";
      [[maybe_unused]] const int64_t p = in[2].rows;
      if (!(in[2].dtype == DType::i32 && is_dense(in[2]) && in[2].cols == 1)) return "ids";
      if (!(in[3].dtype == DType::f32 && is_dense(in[3]) && in[3].rows == p && in[3].cols == 2)) return "changes";
      if (!(in[4].dtype == DType::i32 && is_dense(in[4]) && in[4].rows == (a + 1) && in[4].cols == 1)) return "cuIds";
      [[maybe_unused]] const int64_t k = in[5].rows;
      [[maybe_unused]] const int64_t words = in[5].cols;
      if (!(in[5].dtype == DType::i32 && is_dense(in[5]))) return "masks";
      if (!(in[6].dtype == DType::i32 && is_dense(in[6]) && in[6].rows == a && in[6].cols == 1)) return "maskOf";
      if (!(v <= times(words, 32))) return "v";
      if (!(out[0].dtype == DType::f32 && is_dense(out[0]) && out[0].rows == a && out[0].cols == v)) return "adjusted";
      return nullptr;
    }
    case Op::sample: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t v = in[0].cols;
      if (!(in[0].dtype == activation)) return "logits";
      [[maybe_unused]] const int64_t a = in[1].rows;
      if (!(in[1].dtype == DType::f32 && is_dense(in[1]) && in[1].cols == v)) return "adjusted";
      if (!(in[2].dtype == DType::i32 && is_dense(in[2]) && in[2].rows == m && in[2].cols == 1)) return "adjustedAs";
      if (!(in[3].dtype == DType::f32 && is_dense(in[3]) && in[3].rows == m && in[3].cols == 3)) return "settings";
      if (!(in[4].dtype == DType::i32 && is_dense(in[4]) && in[4].rows == m && in[4].cols == 2)) return "choices";
      if (!(1 <= v)) return "1";
      if (!(v < 4194304)) return "v";
      if (!(out[0].dtype == DType::i32 && is_dense(out[0]) && out[0].rows == m && out[0].cols == 1)) return "tokens";
      return nullptr;
    }
    case Op::accept_drafts: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      if (!(in[0].dtype == DType::i32 && is_dense(in[0]) && in[0].cols == 1)) return "tokens";
      if (!(in[1].dtype == DType::i32 && is_dense(in[1]) && in[1].rows == m && in[1].cols == 1)) return "guesses";
      [[maybe_unused]] const int64_t d = in[2].rows;
      if (!(in[2].dtype == DType::i32 && is_dense(in[2]) && in[2].cols == 1)) return "firsts";
      if (!(in[3].dtype == DType::i32 && is_dense(in[3]) && in[3].rows == m && in[3].cols == 1)) return "rowOf";
      if (!(in[4].dtype == DType::i32 && is_dense(in[4]) && in[4].rows == m && in[4].cols == 2)) return "choicesOf";
      if (!(out[0].dtype == DType::i32 && is_dense(out[0]) && out[0].rows == d && out[0].cols == 1)) return "accepted";
      if (!(out[1].dtype == DType::i32 && is_dense(out[1]) && out[1].rows == d && out[1].cols == 1)) return "rows";
      if (!(out[2].dtype == DType::i32 && is_dense(out[2]) && out[2].rows == d && out[2].cols == 2)) return "choices";
      return nullptr;
    }
    case Op::follow_drafts: {
      [[maybe_unused]] const int64_t r = in[0].rows;
      if (!(in[0].dtype == DType::i32 && is_dense(in[0]) && in[0].cols == 1)) return "of";
      [[maybe_unused]] const int64_t p = in[1].rows;
      if (!(in[1].dtype == DType::i32 && is_dense(in[1]) && in[1].cols == 1)) return "drafts";
      if (!(in[2].dtype == DType::i32 && is_dense(in[2]) && in[2].rows == p && in[2].cols == 1)) return "chosen";
      [[maybe_unused]] const int64_t m = in[3].rows;
      if (!(in[3].dtype == DType::i32 && is_dense(in[3]) && in[3].cols == 1)) return "slotOf";
      if (!(in[4].dtype == DType::i32 && is_dense(in[4]) && in[4].rows == m && in[4].cols == 1)) return "lengthOf";
      [[maybe_unused]] const int64_t h = in[5].cols;
      if (!(in[5].dtype == DType::f32 && is_dense(in[5]) && in[5].rows == m)) return "cosOf";
      if (!(in[6].dtype == DType::f32 && is_dense(in[6]) && in[6].rows == m && in[6].cols == h)) return "sinOf";
      if (!(in[7].dtype == DType::i32 && is_dense(in[7]) && in[7].rows == m && in[7].cols == 2)) return "choicesOf";
      if (!(out[0].dtype == DType::i32 && is_dense(out[0]) && out[0].rows == r && out[0].cols == 1)) return "ids";
      if (!(out[1].dtype == DType::i32 && is_dense(out[1]) && out[1].rows == r && out[1].cols == 1)) return "accepted";
      if (!(out[2].dtype == DType::i32 && is_dense(out[2]) && out[2].rows == r && out[2].cols == 1)) return "slots";
      if (!(out[3].dtype == DType::i32 && is_dense(out[3]) && out[3].rows == r && out[3].cols == 1)) return "lengths";
      if (!(out[4].dtype == DType::f32 && is_dense(out[4]) && out[4].rows == r && out[4].cols == h)) return "cos";
      if (!(out[5].dtype == DType::f32 && is_dense(out[5]) && out[5].rows == r && out[5].cols == h)) return "sin";
      if (!(out[6].dtype == DType::i32 && is_dense(out[6]) && out[6].rows == r && out[6].cols == 2)) return "choices";
      return nullptr;
    }
    case Op::all_reduce: {
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t n = in[0].cols;
      if (!(in[0].dtype == activation)) return "x";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == n)) return "y";
      return nullptr;
    }
    case Op::all_gather: {
      if (!is_count(attrs[0])) return "ranks";
      [[maybe_unused]] const int64_t ranks = attrs[0];
      if (!is_count(attrs[1])) return "stretches";
      [[maybe_unused]] const int64_t stretches = attrs[1];
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t n = in[0].cols;
      if (!(in[0].dtype == activation)) return "x";
      if (!is_multiple(n, stretches)) return "n";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == times(n, ranks))) return "y";
      return nullptr;
    }
    case Op::reduce_scatter: {
      if (!is_count(attrs[0])) return "ranks";
      [[maybe_unused]] const int64_t ranks = attrs[0];
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t n = in[0].cols;
      if (!(in[0].dtype == activation)) return "x";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == over(n, ranks))) return "y";
      return nullptr;
    }
    case Op::send: {
      if (!is_index(attrs[0])) return "peer";
      [[maybe_unused]] const int64_t peer = attrs[0];
      [[maybe_unused]] const int64_t m = in[0].rows;
      [[maybe_unused]] const int64_t n = in[0].cols;
      if (!(in[0].dtype == activation)) return "x";
      return nullptr;
    }
    case Op::receive: {
      if (!is_index(attrs[0])) return "peer";
      [[maybe_unused]] const int64_t peer = attrs[0];
      if (!is_count(attrs[1])) return "cols";
      [[maybe_unused]] const int64_t cols = attrs[1];
      [[maybe_unused]] const int64_t m = in[0].rows;
      if (!(in[0].dtype == DType::i32 && is_dense(in[0]) && in[0].cols == 1)) return "rows";
      if (!(out[0].dtype == activation && out[0].rows == m && out[0].cols == cols)) return "y";
      return nullptr;
    }
    default:
      return "op";
  }
}

}  // namespace glimt::program
