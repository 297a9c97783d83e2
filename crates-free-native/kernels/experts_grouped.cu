// experts for many tokens, on tensor cores. A pair is a token and one of its experts; p = token * topK + k.
//   group_pairs: order = the pairs sorted by expert (p rising within one), place = its inverse, starts = where each
//     expert's pairs begin.
//   grouped_mma, gate: h[i] = swiglu(gateUp[e] x[token]) of pair order[i], rounded to x's type.
//   grouped_mma, down: parts[i] = down[e] h[i] in f32, for at most kPartColumns columns of y at a time.
//   mix_parts: y[t] = sum over k, in order, of weights[t, k] * parts[place[t, k]]. No atomics: runs repeat bit by bit.
// How many tiles of pairs the experts need is known on the device only: the grid has as many as they could, and the
// blocks that find no tile leave.
#include <algorithm>

#include "../runtime/launch.h"
#include "dispatch.h"
#include "experts.h"
#include "gate.h"
#include "mma_tile.h"

namespace glimt {

namespace {

// Pairs from which tiles of pairs beat one warp an output.
constexpr int64_t kGroupedPairs = 128;
// Bounds the workspace of the parts.
constexpr int kPartColumns = 1024;

constexpr int kSortBlock = 256, kSortWarps = kSortBlock / 32;

// One block an expert; a thread looks through a run of adjacent pairs. Pairs of no expert stay out of the order.
__global__ void __launch_bounds__(kSortBlock)
    group_pairs_kernel(const int32_t* experts, int64_t experts_stride, unsigned first_expert, unsigned top_k,
                       unsigned pairs, int32_t* starts, int32_t* order, int32_t* place) {
  start_kernel();
  GLIMT_SHARED(int, lower_of_warp, kSortWarps);
  GLIMT_SHARED(int, equal_of_warp, kSortWarps);
  const unsigned expert = blockIdx.x, thread = threadIdx.x, warp = thread / 32;
  const unsigned run = (pairs + kSortBlock - 1) / kSortBlock;
  const unsigned first = min(thread * run, pairs), end = min(first + run, pairs);
  // Those before the first wrap, and are none of these either.
  const auto expert_of = [&](unsigned pair) {
    return static_cast<unsigned>(experts[pair / top_k * experts_stride + pair % top_k]) - first_expert;
  };
  int lower = 0, equal = 0;
  for (unsigned pair = first; pair < end; pair++) {
    lower += expert_of(pair) < expert;
    equal += expert_of(pair) == expert;
  }
  const int lower_through = warp_running(lower), equal_through = warp_running(equal);
  if (thread % 32 == 31) {
    lower_of_warp[warp] = lower_through;
    equal_of_warp[warp] = equal_through;
  }
  __syncthreads();
  int begin = 0, before = equal_through - equal, total = 0;
  for (unsigned other = 0; other < kSortWarps; other++) {
    begin += lower_of_warp[other];
    total += equal_of_warp[other];
    if (other < warp) before += equal_of_warp[other];
  }
  if (thread == 0) {
    starts[expert] = begin;
    if (expert + 1 == gridDim.x) starts[expert + 1] = begin + total;
  }
  int next = begin + before;
  for (unsigned pair = first; pair < end; pair++) {
    if (expert_of(pair) != expert) continue;
    order[next] = static_cast<int32_t>(pair);
    place[pair] = next++;
  }
}

template <class T, class Weights>
struct GroupedArguments {
  const T* x;
  Weights w;
  const int32_t* starts;
  const int32_t* order;
  void* y;  // [pairs, columns]
  // Rows of w an expert has, and the first of them that is used.
  int64_t x_stride, expert_rows, first_row;
  unsigned top_k;
  int num_experts, columns, k;
};

// 64 pairs x 128 rows of w.
template <class T, class Weights>
using GroupedTile = MmaTile<T, Weights, 64, 128, 2, 2>;
constexpr int kTileRows = 64, kTileColumns = 128;

template <class T, class Weights>
struct GroupedShared {
  GroupedTile<T, Weights> tile;
  unsigned token[kTileRows];
};

// A tile's expert, its first place and its rows; no rows when there are fewer tiles than that.
struct PairTile {
  int expert, first, rows;
};

// Called by whole warps.
__device__ __forceinline__ PairTile find_pair_tile(const int32_t* starts, int num_experts, int tile) {
  const int lane = threadIdx.x % 32;
  int before = 0;
  for (int base = 0; base < num_experts; base += 32) {
    const int expert = base + lane;
    const int first = expert < num_experts ? starts[expert] : 0;
    const int rows = expert < num_experts ? starts[expert + 1] - first : 0;
    const int tiles = (rows + kTileRows - 1) / kTileRows;
    const int through = warp_running(tiles);
    const int index = tile - before - (through - tiles);
    const unsigned found = __ballot_sync(kAllLanes, index >= 0 && index < tiles);
    if (found) {
      const int owner = __popc(found - 1);
      const int skipped = index * kTileRows;
      return {base + owner, __shfl_sync(kAllLanes, first + skipped, owner),
              __shfl_sync(kAllLanes, min(rows - skipped, kTileRows), owner)};
    }
    before += __shfl_sync(kAllLanes, through, 31);
  }
  return {0, 0, 0};
}

// Gate: a tile's 128 rows of w are 64 columns of h, for each warp 32 rows of the gate and the same 32 of up, so that a
// thread holds both factors of its elements.
template <class T, class Weights, bool Gate>
__global__ void __launch_bounds__(GroupedTile<T, Weights>::kBlock) grouped_mma_kernel(GroupedArguments<T, Weights> args) {
  start_kernel();
  using Tile = GroupedTile<T, Weights>;
  using Shared = GroupedShared<T, Weights>;
  GLIMT_DYNAMIC_SHARED(Shared, shared);
  // Blocks that run together share columns of w: tiles of pairs vary fastest.
  const PairTile pairs = find_pair_tile(args.starts, args.num_experts, blockIdx.x);
  if (pairs.rows == 0) return;
  constexpr int kPanel = Tile::kTilesN / 2 * 8;
  const int first_column = blockIdx.y * (Gate ? kTileColumns / 2 : kTileColumns);
  const int64_t expert_row = pairs.expert * args.expert_rows + args.first_row;
  if constexpr (Gate) {
    const int row = threadIdx.x;
    if (row < pairs.rows) shared.token[row] = args.order[pairs.first + row] / args.top_k;
    __syncthreads();
  }
  const auto x_row = [&](int row) -> const T* {
    if (row >= pairs.rows) return nullptr;
    return args.x + (Gate ? int64_t{shared.token[row]} : int64_t{pairs.first + row}) * args.x_stride;
  };
  const auto w_row = [&](int row) -> int64_t {
    const int column = first_column + (Gate ? row / (2 * kPanel) * kPanel + row % kPanel : row);
    if (column >= args.columns) return -1;
    return expert_row + column + (Gate && row / kPanel % 2 ? args.columns : 0);
  };
  typename Tile::Sums sums = {};
  shared.tile.multiply(0, args.k, args.x, x_row, args.w, w_row, sums);

  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < Tile::kTilesM; i++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int row = Tile::warp_row() + i * 16 + half * 8 + lane / 4;
      if (row >= pairs.rows) continue;
      const int64_t to = int64_t{pairs.first + row} * args.columns;
#pragma unroll
      for (int j = 0; j < (Gate ? Tile::kTilesN / 2 : Tile::kTilesN); j++) {
        const int column = first_column + Tile::warp_column() / (Gate ? 2 : 1) + j * 8 + lane % 4 * 2;
        if (column >= args.columns) continue;
        const float low = sums[i][j][half * 2], high = sums[i][j][half * 2 + 1];
        if constexpr (Gate) {
          const float* up = &sums[i][j + Tile::kTilesN / 2][half * 2];
          *reinterpret_cast<unsigned*>(static_cast<T*>(args.y) + to + column) =
              pack_pair<T>(gated(low, up[0]), gated(high, up[1]));
        } else {
          store_pack<float, 2>(static_cast<float*>(args.y) + to + column, {low, high});
        }
      }
    }
}

constexpr int kMixBlock = 128, kMixColumns = 4;

template <class T>
__global__ void __launch_bounds__(kMixBlock)
    mix_parts_kernel(const float* parts, int columns, const int32_t* place, const int32_t* experts,
                     int64_t experts_stride, const float* weights, int64_t weights_stride, unsigned top_k,
                     unsigned first_expert, unsigned num_experts, T* y, int64_t y_stride) {
  start_kernel();
  const unsigned token = blockIdx.x;
  const int column = static_cast<int>(blockIdx.y * kMixBlock + threadIdx.x) * kMixColumns;
  if (column >= columns) return;
  float sums[kMixColumns] = {};
  for (unsigned k = 0; k < top_k; k++) {
    if (static_cast<unsigned>(experts[token * experts_stride + k]) - first_expert >= num_experts) continue;
    const float weight = weights[token * weights_stride + k];
    const auto part = load_pack<float, kMixColumns>(parts + int64_t{place[token * top_k + k]} * columns + column);
#pragma unroll
    for (int v = 0; v < kMixColumns; v++) sums[v] += weight * part.at[v];
  }
  Pack<T, kMixColumns> out;
#pragma unroll
  for (int v = 0; v < kMixColumns; v++) out.at[v] = narrow<T>(sums[v]);
  store_pack<T, kMixColumns>(y + token * y_stride + column, out);
}

// Where each thing begins in the workspace, in bytes.
struct Places {
  size_t starts = 0, order = 0, place = 0, hidden = 0, parts = 0, end = 0;

  Places(int64_t pairs, int64_t columns, const program::op_experts::Attrs& attrs) {
    const auto take = [this](size_t bytes) {
      const size_t begin = end;
      end += (bytes + 255) / 256 * 256;
      return begin;
    };
    starts = take((size_t{attrs.numExperts} + 1) * sizeof(int32_t));
    order = take(pairs * sizeof(int32_t));
    place = take(pairs * sizeof(int32_t));
    hidden = take(pairs * attrs.width * sizeof(bf16));
    parts = take(pairs * std::min<int64_t>(columns, kPartColumns) * sizeof(float));
  }
};

template <bool Gate, class T, class Weights>
void launch_tiles(const KernelContext& context, int64_t pairs, const GroupedArguments<T, Weights>& args) {
  const dim3 grid(rt::blocks_for(pairs, kTileRows) + args.num_experts,
                  rt::blocks_for(args.columns, Gate ? kTileColumns / 2 : kTileColumns));
  rt::launch(context.stream, Gate ? "experts_gate" : "experts_down", grouped_mma_kernel<T, Weights, Gate>, grid,
             GroupedTile<T, Weights>::kBlock, sizeof(GroupedShared<T, Weights>), args);
}

template <class T, class Weights>
void launch_grouped(const KernelContext& context, const Weights& gate_up, const Weights& down,
                    const ExpertsCall& call) {
  const Operand &x = call.x, &experts = call.experts, &weights = call.weights, &y = call.y;
  const program::op_experts::Attrs& attrs = call.attrs;
  const int64_t pairs = x.rows * attrs.topK;
  const Places places(pairs, x.cols, attrs);
  const auto at = [&](size_t place) { return static_cast<void*>(static_cast<char*>(context.workspace) + place); };
  auto* starts = static_cast<int32_t*>(at(places.starts));
  auto* order = static_cast<int32_t*>(at(places.order));
  auto* place = static_cast<int32_t*>(at(places.place));
  auto* hidden = static_cast<T*>(at(places.hidden));
  const auto size = static_cast<int>(x.cols), width = static_cast<int>(attrs.width);
  const auto num_experts = static_cast<int>(attrs.numExperts);
  rt::launch(context.stream, "group_pairs", group_pairs_kernel, attrs.numExperts, kSortBlock, 0,
             experts.as<const int32_t>(), experts.stride, attrs.firstExpert, attrs.topK, static_cast<unsigned>(pairs),
             starts, order, place);
  using Arguments = GroupedArguments<T, Weights>;
  launch_tiles<true>(context, pairs,
                     Arguments{x.as<const T>(), gate_up, starts, order, hidden, x.stride, int64_t{2} * width, 0,
                               attrs.topK, num_experts, width, size});
  for (int first = 0; first < size; first += kPartColumns) {
    const int columns = std::min(size - first, kPartColumns);
    launch_tiles<false>(context, pairs,
                        Arguments{hidden, down, starts, order, at(places.parts), width, size, first, attrs.topK,
                                  num_experts, columns, width});
    const dim3 grid(static_cast<unsigned>(x.rows), rt::blocks_for(columns, kMixBlock * kMixColumns));
    rt::launch(context.stream, "experts_mix_parts", mix_parts_kernel<T>, grid, kMixBlock, 0,
               static_cast<const float*>(at(places.parts)), columns, static_cast<const int32_t*>(place),
               experts.as<const int32_t>(), experts.stride, weights.as<const float>(), weights.stride, attrs.topK,
               attrs.firstExpert, attrs.numExperts, y.as<T>() + first, y.stride);
  }
}

}  // namespace

bool grouped_experts_fit(const KernelTerms&, const ExpertsCall& call) {
  const auto& [x, experts, weights, gate_up, down, attrs, y] = call;
  return x.rows * attrs.topK > 0 && attrs.numExperts > 0 && attrs.width > 0 && x.dtype != DType::f32 &&
         packable<bf16>(x) && fits_tensor_cores(gate_up, x.dtype) && fits_tensor_cores(down, x.dtype) &&
         packable<bf16>(y);
}

bool grouped_experts_pay(const KernelTerms&, const ExpertsCall& call) {
  return call.x.rows * call.attrs.topK >= kGroupedPairs;
}

void grouped_experts(const KernelContext& context, const ExpertsCall& call) {
  with_tensor_core_weights(call.x.dtype, call.gate_up, [&](auto type, const auto& gate_up) {
    using Weights = std::remove_cvref_t<decltype(gate_up)>;
    launch_grouped<typename decltype(type)::type>(context, gate_up, Weights(call.down), call);
  });
}

size_t grouped_experts_workspace(const KernelTerms&, const ExpertsCall& call) {
  return Places(call.x.rows * call.attrs.topK, call.x.cols, call.attrs).end;
}

}  // namespace glimt
