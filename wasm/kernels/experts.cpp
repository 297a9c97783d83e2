// experts: y[t] = sum over k of weights[t, k] * down[e] swiglu(gateUp[e] x[t]) with e = experts[t, k].
//
// 1. One part sorts the (t, k) pairs by expert and cuts each expert's list into jobs of up to 96 pairs.
// 2. A part is a job and a range of hidden columns: hidden = swiglu(gateUp[e] x), in the order of the sorted pairs.
// 3. A part is a range of columns of y: job after job, y += weight * down[e] hidden. So a row of y is a sum in the
//    order of experts, whoever computes which columns.
// Only chosen experts' weights are read.
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
  // [pairs, width]
  float* hidden;
};

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
  memory.hidden = (float*)take(sizeof(float) * pairs * attrs.width);
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

// What a worker holds: gate and up, or columns of the result, of one job; then the memory of `multiply`.
uint64_t productBytes(const Call& call) {
  uint64_t hidden = (uint64_t)2 * call.attrs<Attrs>().width, result = resultColumns(call);
  return (sizeof(float) * blockRows(call) * (hidden > result ? hidden : result) + 63) / 64 * 64;
}

Workspace workspace(const Call& call) {
  uint64_t shared;
  layOut(call, nullptr, shared);
  return {shared, productBytes(call) + multiplyScratch()};
}

bool check(const Call& call, BadIndex& bad) {
  int32_t highest = (int32_t)call.attrs<Attrs>().numExperts - 1;
  for (uint32_t t = 0; t < call.in[in_experts].rows; t++) {
    const int32_t* row = (const int32_t*)call.in[in_experts].row(t);
    if (!indicesInside(in_experts, row, call.in[in_experts].cols, 0, highest, bad)) return false;
  }
  return true;
}

Work sortWork(const Call& call) { return {pairCount(call) ? 1u : 0u, 10.0 * pairCount(call)}; }

int32_t expertOf(const Call& call, uint32_t pair) {
  uint32_t topK = call.attrs<Attrs>().topK;
  return ((const int32_t*)call.in[in_experts].row(pair / topK))[pair % topK];
}

void sortPairs(const Call& call, uint32_t, uint32_t, uint8_t*) {
  Memory memory = memoryOf(call);
  const Attrs& attrs = call.attrs<Attrs>();
  uint32_t pairs = pairCount(call);
  for (uint32_t e = 0; e <= attrs.numExperts; e++) memory.starts[e] = 0;
  for (uint32_t pair = 0; pair < pairs; pair++) memory.starts[expertOf(call, pair) + 1]++;
  for (uint32_t e = 0; e < attrs.numExperts; e++) memory.starts[e + 1] += memory.starts[e];
  // Filling moves each start to its expert's end, which is the start of the next.
  for (uint32_t pair = 0; pair < pairs; pair++) {
    int32_t place = memory.starts[expertOf(call, pair)]++;
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

uint32_t hiddenColumns(const Call& call, const Jobs& jobs) {
  uint32_t width = call.attrs<Attrs>().width;
  return columnsOfPart(call, blockRows(call), width, call.in[in_x].cols, jobs.count);
}

Work hiddenWork(const Call& call) {
  if (pairCount(call) == 0) return {0, 0};
  const Jobs& jobs = *memoryOf(call).jobs;
  uint32_t width = call.attrs<Attrs>().width, columns = hiddenColumns(call, jobs);
  uint32_t ranges = (width + columns - 1) / columns;
  double all = 4.0 * pairCount(call) * call.in[in_x].cols * width;
  return {jobs.count * ranges, ranges ? all / jobs.count / ranges : 0};
}

void computeHidden(const Call& call, uint32_t firstPart, uint32_t lastPart, uint8_t* own) {
  Memory memory = memoryOf(call);
  const Operand& x = call.in[in_x];
  uint32_t width = call.attrs<Attrs>().width, columns = hiddenColumns(call, *memory.jobs);
  uint32_t ranges = (width + columns - 1) / columns;
  float* both = (float*)own;
  uint8_t* scratch = own + productBytes(call);
  for (uint32_t part = firstPart; part < lastPart; part++) {
    const Job& job = memory.jobs->list[part / ranges];
    uint32_t first = part % ranges * columns, count = width - first < columns ? width - first : columns;
    Rows rows = {x.row(0), x.stride, memory.tokens + job.first};
    // Gate, then up, of the same columns; one product when that is all of them.
    uint32_t gate = job.expert * 2 * width + first, products = count == width ? 1 : 2, length = 2 * count / products;
    for (uint32_t half = 0; half < products; half++) {
      uint32_t from = gate + half * width;
      multiply({rows, job.count, call.in[in_gateUp], from, from + length, nullptr, both + half * count, 2 * count},
               scratch);
    }
    for (uint32_t i = 0; i < job.count; i++) {
      const float* row = both + (size_t)i * 2 * count;
      mapRow(row, row + count, memory.hidden + (size_t)(job.first + i) * width + first, count,
             [](f32x4 g, f32x4 up) { return mul(swish(g), up); });
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
  float* result = (float*)own;
  uint32_t from = job.expert * call.out[out_y].cols + first;
  multiply({{memory.hidden + (size_t)job.first * attrs.width, attrs.width, nullptr}, job.count, call.in[in_down], from,
            from + count, nullptr, result, count},
           own + productBytes(call));
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

const Kernel kExperts = {{{sortWork, sortPairs}, {hiddenWork, computeHidden}, {sumWork, sumResults}}, workspace, check};

}  // namespace glimt
