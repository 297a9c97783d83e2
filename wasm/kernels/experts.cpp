// experts: y[t] = sum over k of weights[t, k] * down[e] swiglu(gateUp[e] x[t]) with e = experts[t, k] - firstExpert.
//
// 1. One part sorts the (t, k) pairs of the experts that are here by expert and cuts each expert's list into jobs of up to
//    kBlockRows pairs. Where gateUp is in blocks, each other part quantises a row of x.
// 2. A part is a job and a range of hidden columns: hidden = swiglu(gateUp[e] x), in the order of the sorted pairs; where
//    down is in blocks it is quantised at once, since a range is whole blocks.
// 3. A part is a range of columns of y: job after job, y += weight * down[e] hidden. So a row of y is a sum in the
//    order of experts, whoever computes which columns.
// Only chosen experts' weights are read.
#include "block_product.h"
#include "elementwise.h"
#include "gemm.h"
#include "kernel.h"

namespace glimt {
namespace {

using namespace program::op_experts;

struct Job {
  uint32_t expert, first, count;
};

struct Jobs {
  uint32_t count;
  Job list[];
};

struct Memory {
  // Pairs t * topK + k by expert, the token of each, and where each expert's begin.
  int32_t *pairs, *tokens, *starts;
  Jobs* jobs;
  // [t, n] as blocks, for a gateUp in blocks.
  uint8_t* x;
  // [pairs, width], as blocks for a down in blocks.
  uint8_t* hidden;
};

// Of a row that meets these weights.
uint64_t rowBytes(const Operand& weights) {
  if (!isBlockFormat(weights.dtype)) return (uint64_t)sizeof(float) * weights.cols;
  return blockRowBytes(weights.dtype, weights.cols);
}

uint32_t pairCount(const Call& call) { return call.in[in_experts].length(); }

uint32_t blockRows(const Call& call) { return pairCount(call) < kBlockRows ? pairCount(call) : kBlockRows; }

// Lays the shared memory out from `base`; `end` receives its size.
Memory layOut(const Call& call, uint8_t* base, uint64_t& end) {
  const Attrs& attrs = call.attrs<Attrs>();
  uint64_t offset = 0, pairs = pairCount(call);
  auto take = [&](uint64_t bytes) {
    uint8_t* place = base + (size_t)offset;
    offset += (bytes + 63) / 64 * 64;
    return place;
  };
  Memory memory;
  memory.pairs = (int32_t*)take(sizeof(int32_t) * pairs);
  memory.tokens = (int32_t*)take(sizeof(int32_t) * pairs);
  memory.starts = (int32_t*)take((uint64_t)sizeof(int32_t) * (attrs.numExperts + 1));
  memory.jobs = (Jobs*)take(sizeof(Jobs) + sizeof(Job) * (attrs.numExperts + pairs / kBlockRows));
  memory.x = take(isBlockFormat(call.in[in_gateUp].dtype) ? call.in[in_x].rows * rowBytes(call.in[in_gateUp]) : 0);
  memory.hidden = take(pairs * rowBytes(call.in[in_down]));
  end = offset;
  return memory;
}

Memory memoryOf(const Call& call) {
  uint64_t bytes;
  return layOut(call, call.shared, bytes);
}

uint32_t resultColumns(const Call& call) {
  return columnsOfPart(call, pairCount(call), call.out[out_y].cols, call.attrs<Attrs>().width, 1);
}

uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

// What a worker holds: gate and up, or columns of the result, of one job; then what `multiplyRows` needs for it.
uint64_t productBytes(const Call& call) {
  uint64_t hidden = (uint64_t)2 * call.attrs<Attrs>().width, result = resultColumns(call);
  return (sizeof(float) * blockRows(call) * larger(hidden, result) + 63) / 64 * 64;
}

// Panels of a job, behind the memory of the product.
uint64_t panelBytes(const Call& call, const Operand& weights) {
  return isBlockFormat(weights.dtype) ? blockScratch() + blockRows(call) * rowBytes(weights) : multiplyScratch();
}

Workspace workspace(const Call& call) {
  uint64_t shared;
  layOut(call, nullptr, shared);
  uint64_t panels = larger(panelBytes(call, call.in[in_gateUp]), panelBytes(call, call.in[in_down]));
  return {shared, productBytes(call) + panels};
}

bool check(const Call& call, BadIndex& bad) {
  int32_t highest = (int32_t)call.attrs<Attrs>().totalExperts - 1;
  for (uint32_t t = 0; t < call.in[in_experts].rows; t++) {
    const int32_t* row = (const int32_t*)call.in[in_experts].row(t);
    if (!indicesInside(in_experts, row, call.in[in_experts].cols, 0, highest, bad)) return false;
  }
  return true;
}

Work prepareWork(const Call& call) {
  const Operand& x = call.in[in_x];
  if (pairCount(call) == 0) return {0, 0};
  uint32_t rows = isBlockFormat(call.in[in_gateUp].dtype) ? x.rows : 0;
  return {1 + rows, (10.0 * pairCount(call) + 8.0 * rows * x.cols) / (1 + rows)};
}

// Among those that are here; numExperts or more for the others.
uint32_t expertOf(const Call& call, uint32_t pair) {
  const Attrs& attrs = call.attrs<Attrs>();
  int32_t chosen = ((const int32_t*)call.in[in_experts].row(pair / attrs.topK))[pair % attrs.topK];
  return (uint32_t)chosen - attrs.firstExpert;
}

void sortPairs(const Call& call, const Memory& memory) {
  const Attrs& attrs = call.attrs<Attrs>();
  uint32_t pairs = pairCount(call);
  for (uint32_t e = 0; e <= attrs.numExperts; e++) memory.starts[e] = 0;
  for (uint32_t pair = 0; pair < pairs; pair++) {
    uint32_t e = expertOf(call, pair);
    if (e < attrs.numExperts) memory.starts[e + 1]++;
  }
  for (uint32_t e = 0; e < attrs.numExperts; e++) memory.starts[e + 1] += memory.starts[e];
  // Filling moves each start to its expert's end, which is the start of the next.
  for (uint32_t pair = 0; pair < pairs; pair++) {
    uint32_t e = expertOf(call, pair);
    if (e >= attrs.numExperts) continue;
    int32_t place = memory.starts[e]++;
    memory.pairs[place] = (int32_t)pair;
    memory.tokens[place] = (int32_t)(pair / attrs.topK);
  }
  uint32_t first = 0;
  memory.jobs->count = 0;
  for (uint32_t e = 0; e < attrs.numExperts; e++) {
    for (uint32_t end = (uint32_t)memory.starts[e]; first < end;) {
      uint32_t count = end - first < kBlockRows ? end - first : kBlockRows;
      memory.jobs->list[memory.jobs->count++] = {e, first, count};
      first += count;
    }
  }
}

void prepare(const Call& call, uint32_t firstPart, uint32_t lastPart, uint8_t*) {
  Memory memory = memoryOf(call);
  const Operand &x = call.in[in_x], &gateUp = call.in[in_gateUp];
  for (uint32_t part = firstPart; part < lastPart; part++) {
    if (part == 0) {
      sortPairs(call, memory);
      continue;
    }
    const float* row = x.row(part - 1);
    quantisePanel(&row, 1, x.cols, gateUp.dtype, memory.x + (size_t)((part - 1) * rowBytes(gateUp)));
  }
}

// Rows of x or hidden that a job multiplies with weights: in f32, or as blocks, each a panel of its own.
struct JobRows {
  const uint8_t* base;
  size_t bytes;
  const int32_t* index;
  uint32_t count;

  const uint8_t* row(uint32_t i) const { return base + bytes * (size_t)(index ? (uint32_t)index[i] : i); }
};

// y[count, last - first] = rows wᵀ, for one range of rows of w after another.
class JobProduct {
 public:
  JobProduct(const Operand& w, const JobRows& rows, uint8_t* memory) : w_(w), rows_(rows), memory_(memory) {
    if (isBlockFormat(w.dtype)) panels_ = rows.count == 1 ? rows.row(0) : join(memory + blockScratch());
  }

  void multiply(uint32_t first, uint32_t last, float* y, size_t stride) const {
    if (panels_) {
      multiplyBlocks({panels_, rows_.count, w_, first, last, nullptr, y, stride}, memory_);
    } else {
      Rows rows = {(const float*)rows_.base, rows_.bytes / sizeof(float), rows_.index};
      glimt::multiply({rows, rows_.count, w_, first, last, nullptr, y, stride}, memory_);
    }
  }

 private:
  const uint8_t* join(uint8_t* joined) const {
    Panels panels = blockPanels(rows_.count, w_.dtype);
    for (uint32_t panel = 0; panel < panels.count; panel++) {
      const uint8_t* from[kPanelRows];
      uint32_t first = panels.first(panel), count = panels.rows(panel);
      for (uint32_t r = 0; r < count; r++) from[r] = rows_.row(first + r);
      joinPanel(from, count, w_.cols, w_.dtype, joined + first * rows_.bytes);
    }
    return joined;
  }

  const Operand& w_;
  JobRows rows_;
  uint8_t* memory_;
  const uint8_t* panels_ = nullptr;
};

uint32_t hiddenColumns(const Call& call, const Jobs& jobs) {
  uint32_t width = call.attrs<Attrs>().width;
  return columnsOfPart(call, blockRows(call), width, call.in[in_x].cols, jobs.count);
}

Work hiddenWork(const Call& call) {
  if (pairCount(call) == 0) return {0, 0};
  const Jobs& jobs = *memoryOf(call).jobs;
  // None of the experts that are here was chosen.
  if (jobs.count == 0) return {0, 0};
  uint32_t width = call.attrs<Attrs>().width, columns = hiddenColumns(call, jobs);
  uint32_t ranges = (width + columns - 1) / columns;
  double all = 4.0 * pairCount(call) * call.in[in_x].cols * width;
  return {jobs.count * ranges, ranges ? all / jobs.count / ranges : 0};
}

void computeHidden(const Call& call, uint32_t firstPart, uint32_t lastPart, uint8_t* own) {
  Memory memory = memoryOf(call);
  const Operand &x = call.in[in_x], &gateUp = call.in[in_gateUp], &down = call.in[in_down];
  uint32_t width = call.attrs<Attrs>().width, columns = hiddenColumns(call, *memory.jobs);
  uint32_t ranges = (width + columns - 1) / columns;
  float* both = (float*)own;
  uint8_t* scratch = own + productBytes(call);
  for (uint32_t part = firstPart; part < lastPart; part++) {
    const Job& job = memory.jobs->list[part / ranges];
    uint32_t first = part % ranges * columns, count = width - first < columns ? width - first : columns;
    const int32_t* tokens = memory.tokens + job.first;
    JobRows rows = isBlockFormat(gateUp.dtype)
                       ? JobRows{memory.x, (size_t)rowBytes(gateUp), tokens, job.count}
                       : JobRows{(const uint8_t*)x.row(0), sizeof(float) * x.stride, tokens, job.count};
    JobProduct product(gateUp, rows, scratch);
    // Gate, then up, of the same columns; one product when that is all of them.
    uint32_t gate = job.expert * 2 * width + first, products = count == width ? 1 : 2, length = 2 * count / products;
    for (uint32_t half = 0; half < products; half++) {
      uint32_t from = gate + half * width;
      product.multiply(from, from + length, both + half * count, 2 * count);
    }
    for (uint32_t i = 0; i < job.count; i++) {
      float* gates = both + (size_t)i * 2 * count;
      uint8_t* hidden = memory.hidden + (job.first + i) * rowBytes(down);
      float* to = isBlockFormat(down.dtype) ? gates : (float*)hidden + first;
      mapRow(gates, gates + count, to, count, [](f32x4 g, f32x4 up) { return mul(swish(g), up); });
      if (!isBlockFormat(down.dtype)) continue;
      const float* row = gates;
      quantisePanel(&row, 1, count, down.dtype, hidden + blockRowBytes(down.dtype, first));
    }
  }
}

Work sumWork(const Call& call) {
  uint32_t n = call.out[out_y].cols, columns = resultColumns(call);
  if (pairCount(call) == 0) return {0, 0};
  return {(n + columns - 1) / columns, 2.0 * pairCount(call) * columns * call.attrs<Attrs>().width};
}

void addJob(const Call& call, const Memory& memory, const Job& job, uint32_t first, uint32_t count, uint8_t* own) {
  const Attrs& attrs = call.attrs<Attrs>();
  const Operand& down = call.in[in_down];
  float* result = (float*)own;
  uint32_t from = job.expert * call.out[out_y].cols + first;
  size_t bytes = (size_t)rowBytes(down);
  JobProduct product(down, {memory.hidden + job.first * bytes, bytes, nullptr, job.count}, own + productBytes(call));
  product.multiply(from, from + count, result, count);
  for (uint32_t i = 0; i < job.count; i++) {
    uint32_t pair = (uint32_t)memory.pairs[job.first + i], t = pair / attrs.topK;
    f32x4 weight = splat(call.in[in_weights].row(t)[pair % attrs.topK]);
    float* y = call.out[out_y].row(t) + first;
    mapRow(result + (size_t)i * count, y, y, count, [=](f32x4 value, f32x4 sum) { return madd(value, weight, sum); });
  }
}

void sumResults(const Call& call, uint32_t firstPart, uint32_t lastPart, uint8_t* own) {
  Memory memory = memoryOf(call);
  const Operand& y = call.out[out_y];
  uint32_t columns = resultColumns(call);
  for (uint32_t part = firstPart; part < lastPart; part++) {
    uint32_t first = part * columns, count = y.cols - first < columns ? y.cols - first : columns;
    for (uint32_t t = 0; t < y.rows; t++) __builtin_memset(y.row(t) + first, 0, sizeof(float) * count);
    for (uint32_t i = 0; i < memory.jobs->count; i++) addJob(call, memory, memory.jobs->list[i], first, count, own);
  }
}

}  // namespace

const Kernel kExperts = {{{prepareWork, prepare}, {hiddenWork, computeHidden}, {sumWork, sumResults}}, workspace, check};

}  // namespace glimt
