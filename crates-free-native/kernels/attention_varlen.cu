// attention_varlen: y = softmax(scale q kᵀ) v inside each run of rows, all keys visible (vision). Flash attention on
// tensor cores (flash.h) for 16-bit types, else attention_simple.
#include "attention.h"
#include "flash_launch.h"

namespace glimt {

bool flash_fits(const AttentionInput& input) {
  const auto aligned = [](const View& view) {
    return reinterpret_cast<uintptr_t>(view.data) % 16 == 0 && view.stride % 8 == 0;
  };
  const bool keys = input.cache.data ? aligned(input.cache) : aligned(input.k) && aligned(input.v);
  const bool pairs = reinterpret_cast<uintptr_t>(input.y.data) % 4 == 0 && input.y.stride % 2 == 0;
  return input.q.dtype != DType::f32 && keys && pairs && aligned(input.q) && with_head_dim(input.head_dim, [](auto) {});
}

void attention_varlen(const KernelContext& context, const View& q, const View& k, const View& v,
                      const int32_t* cu_seqlens, int64_t sequences, const program::op_attention_varlen::Attrs& attrs,
                      const View& y) {
  AttentionInput input;
  input.q = q;
  input.k = k;
  input.v = v;
  input.y = y;
  input.cu_seqlens = cu_seqlens;
  input.sequences = sequences;
  input.heads = input.kv_heads = static_cast<int>(attrs.numHeads);
  input.head_dim = static_cast<int>(attrs.headDim);
  input.scale = attrs.scale;
  if (q.rows == 0 || q.cols == 0 || sequences == 0) return;
  if (!flash_fits(input)) return attention_simple(context, input);
  if (flash_wgmma_pays(context, input)) return flash_wgmma(context, input);
  if (q.dtype == DType::bf16)
    launch_flash<bf16, false>(context, "flash_varlen", input);
  else
    launch_flash<f16, false>(context, "flash_varlen", input);
}

}  // namespace glimt
