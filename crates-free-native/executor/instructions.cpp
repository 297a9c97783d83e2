// The op table's native side: one entry an op. A new op that is missing in `find_op` is a compile error.
#include "instructions.h"

#include "operand_checks.h"

namespace glimt {

namespace {

using program::Op;

template <class Attrs>
constexpr uint32_t kWords = sizeof(Attrs) / 4;

// ---- linear ----

void check_linear(const Operands& o) {
  const View &x = o.inputs[0], &w = o.inputs[1], &y = o.outputs[0];
  require(x.cols == w.cols && y.rows == x.rows && y.cols == w.rows && x.dtype == y.dtype, o, "x, w and y");
  if (o.inputs.size() == 3) f32_vector(o, o.inputs[2], w.rows);
}

// x and w, for linear_bias the bias too.
LinearCall linear_call(const Operands& o) {
  return {o.inputs[0], o.inputs[1], o.inputs.size() == 3 ? o.inputs[2].as<const float>() : nullptr, o.outputs[0]};
}

constexpr OpEntry kLinear{
    "linear", 2, 1, 0,
    [](const KernelContext& c, const Operands& o) { linear(c, linear_call(o)); },
    check_linear,
    [](const Operands& o, const KernelTerms& terms) { return linear_workspace(terms, linear_call(o)); },
    nullptr};

constexpr OpEntry kLinearBias{"linear_bias", 3, 1, 0, kLinear.run, check_linear, kLinear.workspace, nullptr};

constexpr OpEntry kLinearSwiglu{
    "linear_swiglu", 2, 1, kWords<program::op_linear_swiglu::Attrs>,
    [](const KernelContext& c, const Operands& o) { linear_swiglu(c, linear_call(o)); },
    [](const Operands& o) {
      const View &x = o.inputs[0], &w = o.inputs[1], &y = o.outputs[0];
      const int64_t width = o.instruction.attrs_as<program::op_linear_swiglu::Attrs>().width;
      require(x.cols == w.cols && y.rows == x.rows && y.cols == width && w.rows == 2 * width && x.dtype == y.dtype, o,
              "x, w and y");
    },
    [](const Operands& o, const KernelTerms& terms) { return linear_swiglu_workspace(terms, linear_call(o)); },
    nullptr};

// ---- elementwise ----

void check_alike(const Operands& o) {
  for (const View& input : o.inputs) require(same_shape(input, o.outputs[0]), o, "inputs and output");
}

constexpr OpEntry kAdd{
    "add", 2, 1, 0,
    [](const KernelContext& c, const Operands& o) { add(c, o.inputs[0], o.inputs[1], o.outputs[0]); },
    check_alike, nullptr, nullptr};

constexpr OpEntry kAddBias{
    "add_bias", 2, 1, 0,
    [](const KernelContext& c, const Operands& o) {
      add_bias(c, o.inputs[0], o.inputs[1].as<const float>(), o.outputs[0]);
    },
    [](const Operands& o) {
      require(same_shape(o.inputs[0], o.outputs[0]), o, "x and y");
      f32_vector(o, o.inputs[1], o.inputs[0].cols);
    },
    nullptr, nullptr};

constexpr OpEntry kSwiglu{
    "swiglu", 2, 1, 0,
    [](const KernelContext& c, const Operands& o) { swiglu(c, o.inputs[0], o.inputs[1], o.outputs[0]); },
    check_alike, nullptr, nullptr};

constexpr OpEntry kGelu{
    "gelu", 1, 1, 0, [](const KernelContext& c, const Operands& o) { gelu(c, o.inputs[0], o.outputs[0]); },
    check_alike, nullptr, nullptr};

// ---- norms ----

constexpr OpEntry kRmsNorm{
    "rms_norm", 2, 1, kWords<program::op_rms_norm::Attrs>,
    [](const KernelContext& c, const Operands& o) {
      rms_norm(c, o.inputs[0], o.inputs[1].as<const float>(), o.inputs[1].rows,
               o.instruction.attrs_as<program::op_rms_norm::Attrs>().eps, o.outputs[0]);
    },
    [](const Operands& o) {
      const View &x = o.inputs[0], &w = o.inputs[1];
      require(same_shape(x, o.outputs[0]) && w.rows > 0 && x.cols % w.rows == 0, o, "x, w and y");
      f32_vector(o, w, w.rows);
    },
    nullptr, nullptr};

constexpr OpEntry kAddRmsNorm{
    "add_rms_norm", 3, 2, kWords<program::op_add_rms_norm::Attrs>,
    [](const KernelContext& c, const Operands& o) {
      add_rms_norm(c, o.inputs[0], o.inputs[1], o.inputs[2].as<const float>(),
                   o.instruction.attrs_as<program::op_add_rms_norm::Attrs>().eps, o.outputs[0], o.outputs[1]);
    },
    [](const Operands& o) {
      require(same_shape(o.inputs[0], o.inputs[1]) && same_shape(o.inputs[0], o.outputs[0]) &&
                  same_shape(o.inputs[0], o.outputs[1]),
              o, "a, b, sum and y");
      f32_vector(o, o.inputs[2], o.inputs[0].cols);
    },
    nullptr, nullptr};

constexpr OpEntry kRmsNormAddRmsNorm{
    "rms_norm_add_rms_norm", 4, 2, kWords<program::op_rms_norm_add_rms_norm::Attrs>,
    [](const KernelContext& c, const Operands& o) {
      rms_norm_add_rms_norm(c, o.inputs[0], o.inputs[1], o.inputs[2].as<const float>(), o.inputs[3].as<const float>(),
                            o.instruction.attrs_as<program::op_rms_norm_add_rms_norm::Attrs>().eps, o.outputs[0],
                            o.outputs[1]);
    },
    [](const Operands& o) {
      require(same_shape(o.inputs[0], o.inputs[1]) && same_shape(o.inputs[0], o.outputs[0]) &&
                  same_shape(o.inputs[0], o.outputs[1]),
              o, "a, b, sum and y");
      f32_vector(o, o.inputs[2], o.inputs[0].cols);
      f32_vector(o, o.inputs[3], o.inputs[0].cols);
    },
    nullptr, nullptr};

constexpr OpEntry kLayerNorm{
    "layer_norm", 3, 1, kWords<program::op_layer_norm::Attrs>,
    [](const KernelContext& c, const Operands& o) {
      layer_norm(c, o.inputs[0], o.inputs[1].as<const float>(), o.inputs[2].as<const float>(),
                 o.instruction.attrs_as<program::op_layer_norm::Attrs>().eps, o.outputs[0]);
    },
    [](const Operands& o) {
      require(same_shape(o.inputs[0], o.outputs[0]), o, "x and y");
      f32_vector(o, o.inputs[1], o.inputs[0].cols);
      f32_vector(o, o.inputs[2], o.inputs[0].cols);
    },
    nullptr, nullptr};

// ---- rotary embedding and the cache ----

constexpr OpEntry kRope{
    "rope", 3, 1, kWords<program::op_rope::Attrs>,
    [](const KernelContext& c, const Operands& o) {
      rope(c, o.inputs[0], o.inputs[1], o.inputs[2], o.instruction.attrs_as<program::op_rope::Attrs>(), o.outputs[0]);
    },
    [](const Operands& o) {
      const auto& attrs = o.instruction.attrs_as<program::op_rope::Attrs>();
      const View& x = o.inputs[0];
      require(same_shape(x, o.outputs[0]) && x.cols == int64_t{attrs.numHeads} * attrs.headDim &&
                  attrs.rotaryDim <= attrs.headDim && attrs.rotaryDim % 2 == 0,
              o, "x and the heads");
      for (int i = 1; i <= 2; i++)
        require(o.inputs[i].dtype == DType::f32 && o.inputs[i].rows == x.rows &&
                    o.inputs[i].cols == attrs.rotaryDim / 2,
                o, "x and its tables");
    },
    nullptr, nullptr};

template <class Attrs>
bool fits_cache(const Attrs& attrs, const View& cache) {
  return attrs.numKvHeads > 0 && attrs.pageSize > 0 &&
         cache.cols == page_elements(attrs.numKvHeads, attrs.pageSize, attrs.headDim);
}

void check_slots(const Operands& o, uint32_t input, const View& cache, uint32_t page_size) {
  const int32_t* slots = o.host[input];
  if (!slots) return;
  for (int64_t i = 0; i < o.inputs[input].rows; i++)
    if (slots[i] != -1)
      check_index(name_of(o), "page", slots[i] < 0 ? -1 : slots[i] / static_cast<int64_t>(page_size), cache.rows);
}

constexpr OpEntry kKvWrite{
    "kv_write", 4, 1, kWords<program::op_kv_write::Attrs>,
    [](const KernelContext& c, const Operands& o) {
      kv_write(c, o.inputs[0], o.inputs[1], o.inputs[2].as<const int32_t>(), o.inputs[3],
               o.instruction.attrs_as<program::op_kv_write::Attrs>());
    },
    [](const Operands& o) {
      const auto& attrs = o.instruction.attrs_as<program::op_kv_write::Attrs>();
      const View &k = o.inputs[0], &cache = o.inputs[3];
      require(same_shape(k, o.inputs[1]) && k.dtype == cache.dtype && fits_cache(attrs, cache) &&
                  k.cols == int64_t{attrs.numKvHeads} * attrs.headDim,
              o, "k, v and the cache");
      i32_vector(o, o.inputs[2], k.rows);
    },
    nullptr,
    [](const Operands& o) {
      check_slots(o, 2, o.inputs[3], o.instruction.attrs_as<program::op_kv_write::Attrs>().pageSize);
    }};

// ---- attention ----

// Inputs from `cache` on: the cache, blockTable, cuSeqlens, contextLens.
template <class Attrs>
void check_paged(const Operands& o, const Attrs& attrs, uint32_t cache) {
  const View &q = o.inputs[0], &table = o.inputs[cache + 1];
  require(same_shape(q, o.outputs[0]) && q.dtype == o.inputs[cache].dtype && fits_cache(attrs, o.inputs[cache]) &&
              attrs.numHeads % attrs.numKvHeads == 0 && q.cols == int64_t{attrs.numHeads} * attrs.headDim,
          o, "q, the cache and y");
  require(table.dtype == DType::i32 && table.stride == table.cols, o, "the block table and its rows");
  i32_vector(o, o.inputs[cache + 2], table.rows + 1);
  i32_vector(o, o.inputs[cache + 3], table.rows);
}

void check_contexts(const Operands& o, uint32_t cache, uint32_t page_size) {
  const View& table = o.inputs[cache + 1];
  check_bounds(o, cache + 2, o.inputs[0].rows);
  const int32_t *blocks = o.host[cache + 1], *bounds = o.host[cache + 2], *lengths = o.host[cache + 3];
  for (int64_t s = 0; s < table.rows && lengths; s++) {
    if (bounds && bounds[s + 1] == bounds[s]) continue;
    if (bounds)
      check_index(name_of(o), "the query count of a context", bounds[s + 1] - bounds[s], int64_t{lengths[s]} + 1);
    check_index(name_of(o), "context length", lengths[s], table.cols * page_size + 1);
    for (int64_t block = 0; blocks && block * page_size < lengths[s]; block++)
      check_index(name_of(o), "page", blocks[s * table.cols + block], o.inputs[cache].rows);
  }
}

// Operands as check_paged takes them.
template <class Attrs>
AttentionCall paged_call(const Operands& o, uint32_t cache) {
  const auto& attrs = o.instruction.attrs_as<Attrs>();
  const View& table = o.inputs[cache + 1];
  AttentionCall call;
  call.q = o.inputs[0];
  call.y = o.outputs[0];
  call.paged = true;
  call.cache = o.inputs[cache];
  call.block_table = table.as<const int32_t>();
  call.sequences = table.rows;
  call.blocks = table.cols;
  call.cu_seqlens = o.inputs[cache + 2].as<const int32_t>();
  call.context_lens = o.inputs[cache + 3].as<const int32_t>();
  call.heads = static_cast<int>(attrs.numHeads);
  call.kv_heads = static_cast<int>(attrs.numKvHeads);
  call.head_dim = static_cast<int>(attrs.headDim);
  call.page_size = static_cast<int>(attrs.pageSize);
  call.scale = attrs.scale;
  return call;
}

constexpr OpEntry kAttentionPaged{
    "attention_paged", 5, 1, kWords<program::op_attention_paged::Attrs>,
    [](const KernelContext& c, const Operands& o) {
      attention_paged(c, paged_call<program::op_attention_paged::Attrs>(o, 1));
    },
    [](const Operands& o) { check_paged(o, o.instruction.attrs_as<program::op_attention_paged::Attrs>(), 1); },
    [](const Operands& o, const KernelTerms& terms) {
      return attention_paged_workspace(terms, paged_call<program::op_attention_paged::Attrs>(o, 1));
    },
    [](const Operands& o) {
      check_contexts(o, 1, o.instruction.attrs_as<program::op_attention_paged::Attrs>().pageSize);
    }};

constexpr OpEntry kRopeAttentionPaged{
    "rope_attention_paged", 10, 2, kWords<program::op_rope_attention_paged::Attrs>,
    [](const KernelContext& c, const Operands& o) {
      using Attrs = program::op_rope_attention_paged::Attrs;
      rope_attention_paged(c, o.inputs[1], o.inputs[2], o.inputs[3], o.inputs[4], o.inputs[5].as<const int32_t>(),
                           o.instruction.attrs_as<Attrs>(), paged_call<Attrs>(o, 6));
    },
    [](const Operands& o) {
      const auto& attrs = o.instruction.attrs_as<program::op_rope_attention_paged::Attrs>();
      const View &q = o.inputs[0], &k = o.inputs[1];
      check_paged(o, attrs, 6);
      require(same_shape(k, o.inputs[2]) && k.dtype == q.dtype && k.rows == q.rows &&
                  k.cols == int64_t{attrs.numKvHeads} * attrs.headDim && attrs.rotaryDim <= attrs.headDim &&
                  attrs.rotaryDim % 2 == 0,
              o, "q, k and v");
      for (int i = 3; i <= 4; i++)
        require(o.inputs[i].dtype == DType::f32 && o.inputs[i].rows == q.rows &&
                    o.inputs[i].cols == attrs.rotaryDim / 2,
                o, "q and its tables");
      i32_vector(o, o.inputs[5], q.rows);
    },
    [](const Operands& o, const KernelTerms& terms) {
      return rope_attention_paged_workspace(terms, paged_call<program::op_rope_attention_paged::Attrs>(o, 6));
    },
    [](const Operands& o) {
      const uint32_t page_size = o.instruction.attrs_as<program::op_rope_attention_paged::Attrs>().pageSize;
      check_slots(o, 5, o.inputs[6], page_size);
      check_contexts(o, 6, page_size);
    }};

constexpr OpEntry kAttentionVarlen{
    "attention_varlen", 4, 1, kWords<program::op_attention_varlen::Attrs>,
    [](const KernelContext& c, const Operands& o) {
      const auto& attrs = o.instruction.attrs_as<program::op_attention_varlen::Attrs>();
      AttentionCall call;
      call.q = o.inputs[0];
      call.k = o.inputs[1];
      call.v = o.inputs[2];
      call.y = o.outputs[0];
      call.cu_seqlens = o.inputs[3].as<const int32_t>();
      call.sequences = o.inputs[3].rows - 1;
      call.heads = call.kv_heads = static_cast<int>(attrs.numHeads);
      call.head_dim = static_cast<int>(attrs.headDim);
      call.scale = attrs.scale;
      attention_varlen(c, call);
    },
    [](const Operands& o) {
      const auto& attrs = o.instruction.attrs_as<program::op_attention_varlen::Attrs>();
      const View& q = o.inputs[0];
      require(same_shape(q, o.inputs[1]) && same_shape(q, o.inputs[2]) && same_shape(q, o.outputs[0]) &&
                  q.cols == int64_t{attrs.numHeads} * attrs.headDim && o.inputs[3].rows > 0,
              o, "q, k, v and y");
      i32_vector(o, o.inputs[3], o.inputs[3].rows);
    },
    nullptr, [](const Operands& o) { check_bounds(o, 3, o.inputs[0].rows); }};

// ---- rows ----

constexpr OpEntry kEmbed{
    "embed", 2, 1, 0,
    [](const KernelContext& c, const Operands& o) {
      embed(c, o.inputs[0].as<const int32_t>(), o.inputs[1], o.outputs[0]);
    },
    [](const Operands& o) {
      require(o.inputs[1].cols == o.outputs[0].cols, o, "table and y");
      i32_vector(o, o.inputs[0], o.outputs[0].rows);
    },
    nullptr, [](const Operands& o) { check_all(o, 0, "id", o.inputs[1].rows); }};

constexpr OpEntry kGatherRows{
    "gather_rows", 2, 1, 0,
    [](const KernelContext& c, const Operands& o) {
      gather_rows(c, o.inputs[0], o.inputs[1].as<const int32_t>(), o.outputs[0]);
    },
    [](const Operands& o) {
      require(o.inputs[0].cols == o.outputs[0].cols && o.inputs[0].dtype == o.outputs[0].dtype, o, "x and y");
      i32_vector(o, o.inputs[1], o.outputs[0].rows);
    },
    nullptr, [](const Operands& o) { check_all(o, 1, "row", o.inputs[0].rows); }};

constexpr OpEntry kScatterRows{
    "scatter_rows", 3, 1, 0,
    [](const KernelContext& c, const Operands& o) {
      scatter_rows(c, o.inputs[1], o.inputs[2].as<const int32_t>(), o.outputs[0]);
    },
    [](const Operands& o) {
      require(same_shape(o.inputs[0], o.outputs[0]) && o.instruction.inputs[0] == o.instruction.outputs[0] &&
                  o.inputs[1].cols == o.outputs[0].cols && o.inputs[1].dtype == o.outputs[0].dtype,
              o, "x, values and y");
      i32_vector(o, o.inputs[2], o.inputs[1].rows);
    },
    nullptr, [](const Operands& o) { check_all(o, 2, "row", o.outputs[0].rows); }};

constexpr OpEntry kPositionEmbedBicubic{
    "position_embed_bicubic", 2, 1, kWords<program::op_position_embed_bicubic::Attrs>,
    [](const KernelContext& c, const Operands& o) {
      position_embed_bicubic(c, o.inputs[0], o.inputs[1],
                             o.instruction.attrs_as<program::op_position_embed_bicubic::Attrs>().side, o.outputs[0]);
    },
    [](const Operands& o) {
      const auto side = static_cast<int64_t>(o.instruction.attrs_as<program::op_position_embed_bicubic::Attrs>().side);
      const View &table = o.inputs[0], &coords = o.inputs[1], &y = o.outputs[0];
      require(table.rows == side * side && table.cols == y.cols && coords.dtype == DType::f32 && coords.cols == 2 &&
                  coords.rows == y.rows,
              o, "table, coords and y");
    },
    nullptr, nullptr};

// ---- mixture of experts ----

constexpr OpEntry kRouteExperts{
    "route_experts", 2, 2, kWords<program::op_route_experts::Attrs>,
    [](const KernelContext& c, const Operands& o) {
      route_experts(c, o.inputs[0], o.inputs[1].as<const float>(),
                    o.instruction.attrs_as<program::op_route_experts::Attrs>(), o.outputs[0], o.outputs[1]);
    },
    [](const Operands& o) {
      const auto& attrs = o.instruction.attrs_as<program::op_route_experts::Attrs>();
      const View& logits = o.inputs[0];
      f32_vector(o, o.inputs[1], logits.cols);
      require(attrs.numGroups > 0 && logits.cols % attrs.numGroups == 0 && attrs.topK <= logits.cols &&
                  attrs.topkGroups <= attrs.numGroups,
              o, "logits and groups");
      for (const View& output : o.outputs)
        require(output.rows == logits.rows && output.cols == attrs.topK, o, "logits and outputs");
      require(o.outputs[0].dtype == DType::i32 && o.outputs[1].dtype == DType::f32, o, "the outputs' dtypes");
    },
    nullptr, nullptr};

ExpertsCall experts_call(const Operands& o) {
  return {o.inputs[0], o.inputs[1], o.inputs[2], o.inputs[3], o.inputs[4],
          o.instruction.attrs_as<program::op_experts::Attrs>(), o.outputs[0]};
}

constexpr OpEntry kExperts{
    "experts", 5, 1, kWords<program::op_experts::Attrs>,
    [](const KernelContext& c, const Operands& o) { experts(c, experts_call(o)); },
    [](const Operands& o) {
      const auto& attrs = o.instruction.attrs_as<program::op_experts::Attrs>();
      const View &x = o.inputs[0], &chosen = o.inputs[1], &weights = o.inputs[2], &gate_up = o.inputs[3],
                 &down = o.inputs[4];
      require(same_shape(x, o.outputs[0]) && chosen.dtype == DType::i32 && weights.dtype == DType::f32 &&
                  chosen.rows == x.rows && weights.rows == x.rows && chosen.cols == attrs.topK &&
                  weights.cols == attrs.topK,
              o, "x and the chosen experts");
      require(gate_up.cols == x.cols && gate_up.rows == int64_t{2} * attrs.numExperts * attrs.width &&
                  down.cols == attrs.width && down.rows == attrs.numExperts * x.cols && gate_up.dtype == down.dtype,
              o, "x and the experts' weights");
    },
    [](const Operands& o, const KernelTerms& terms) { return experts_workspace(terms, experts_call(o)); },
    [](const Operands& o) {
      const int32_t* chosen = o.host[1];
      const auto& attrs = o.instruction.attrs_as<program::op_experts::Attrs>();
      for (int64_t i = 0; chosen && i < o.inputs[1].rows * o.inputs[1].cols; i++)
        check_index("experts", "expert", chosen[i], attrs.numExperts);
    }};

// ---- sampling ----

constexpr OpEntry kSample{
    "sample", 5, 1, 0,
    [](const KernelContext& c, const Operands& o) {
      const View& penalised = o.inputs[3];
      sample(c, o.inputs[0], o.inputs[1].as<const float>(), o.inputs[2].as<const int32_t>(),
             penalised.as<const int32_t>(), penalised.rows, o.inputs[4].as<const int32_t>(),
             o.outputs[0].as<int32_t>());
    },
    [](const Operands& o) {
      const View &logits = o.inputs[0], &settings = o.inputs[1], &choices = o.inputs[2];
      require(logits.cols > 0 && logits.cols < int64_t{1} << 22 && settings.dtype == DType::f32 &&
                  settings.rows == logits.rows && settings.cols == 4 && settings.stride == 4 &&
                  choices.dtype == DType::i32 && choices.rows == logits.rows && choices.cols == 2 &&
                  choices.stride == 2,
              o, "logits, settings and choices");
      i32_vector(o, o.inputs[3], o.inputs[3].rows);
      i32_vector(o, o.inputs[4], logits.rows + 1);
      i32_vector(o, o.outputs[0], logits.rows);
    },
    [](const Operands& o, const KernelTerms&) { return sample_workspace(o.inputs[0].rows, o.inputs[0].cols); },
    [](const Operands& o) {
      const int32_t* ids = o.host[3];
      for (int64_t i = 0; ids && i < o.inputs[3].rows; i++)
        if (ids[i] != -1) check_index("sample", "penalised token", ids[i], o.inputs[0].cols);
      check_bounds(o, 4, o.inputs[3].rows, "cuPenalised");
    }};

}  // namespace

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"
const OpEntry* find_op(Op op) {
  switch (op) {
    case Op::slice:
    case Op::merge_rows:
      return nullptr;
    case Op::linear:
      return &kLinear;
    case Op::add_bias:
      return &kAddBias;
    case Op::linear_bias:
      return &kLinearBias;
    case Op::add:
      return &kAdd;
    case Op::rms_norm:
      return &kRmsNorm;
    case Op::add_rms_norm:
      return &kAddRmsNorm;
    case Op::rms_norm_add_rms_norm:
      return &kRmsNormAddRmsNorm;
    case Op::layer_norm:
      return &kLayerNorm;
    case Op::rope:
      return &kRope;
    case Op::kv_write:
      return &kKvWrite;
    case Op::attention_paged:
      return &kAttentionPaged;
    case Op::rope_attention_paged:
      return &kRopeAttentionPaged;
    case Op::attention_varlen:
      return &kAttentionVarlen;
    case Op::swiglu:
      return &kSwiglu;
    case Op::linear_swiglu:
      return &kLinearSwiglu;
    case Op::gelu:
      return &kGelu;
    case Op::embed:
      return &kEmbed;
    case Op::gather_rows:
      return &kGatherRows;
    case Op::scatter_rows:
      return &kScatterRows;
    case Op::position_embed_bicubic:
      return &kPositionEmbedBicubic;
    case Op::route_experts:
      return &kRouteExperts;
    case Op::experts:
      return &kExperts;
    case Op::sample:
      return &kSample;
  }
  return nullptr;
}
#pragma GCC diagnostic pop

}  // namespace glimt
