// experts: y[t] = sum over k of weights[t, k] * down[e] swiglu(gateUp[e] x[t]) with e = experts[t, k].
// Part 0 sorts the (t, k) pairs by expert and cuts each expert's list into jobs of up to 96 rows; every later part is
// one job: two products with the expert's own rows of gateUp and down. Only chosen experts' weights are read.
#include "elementwise.h"
#include "gemm.h"
#include "kernel.h"

namespace glimt {
namespace {

using namespace program::op_experts;

struct Job {
  uint32_t expert, first, count;
};

struct Memory {
  // Pairs t * topK + k by expert; where each expert's begin.
  int32_t *pairs, *starts, *tokens;
  Job* jobs;
  float *hidden, *result;
  uint8_t* product;
};

uint32_t jobLimit(const Call& call) {
  return call.attrs<Attrs>().numExperts + call.in[in_experts].length() / kBlockRows;
}

// Lays the scratch out from `base`; `end` receives its size.
Memory layOut(const Call& call, uint8_t* base, uint64_t& end) {
  const Attrs& attrs = call.attrs<Attrs>();
  uint64_t offset = 0;
  auto take = [&](uint64_t bytes) {
    uint8_t* place = base + (size_t)offset;
    offset += (bytes + 63) / 64 * 64;
    return place;
  };
  Memory memory;
  memory.pairs = (int32_t*)take((uint64_t)sizeof(int32_t) * call.in[in_experts].length());
  memory.starts = (int32_t*)take((uint64_t)sizeof(int32_t) * (attrs.numExperts + 1));
  memory.tokens = (int32_t*)take(sizeof(int32_t) * kBlockRows);
  memory.jobs = (Job*)take((uint64_t)sizeof(Job) * jobLimit(call));
  memory.hidden = (float*)take((uint64_t)sizeof(float) * kBlockRows * 2 * attrs.width);
  memory.result = (float*)take((uint64_t)sizeof(float) * kBlockRows * call.in[in_x].cols);
  memory.product = take(multiplyScratch());
  end = offset;
  return memory;
}

Work work(const Call& call) {
  double uses = call.in[in_experts].length(), parts = 1.0 + jobLimit(call);
  if (uses == 0) return {0, 0};
  return {(uint32_t)parts, 6.0 * uses * call.in[in_x].cols * call.attrs<Attrs>().width / parts};
}

uint64_t scratch(const Call& call) {
  uint64_t bytes;
  layOut(call, nullptr, bytes);
  return bytes;
}

bool check(const Call& call, BadIndex& bad) {
  int32_t highest = (int32_t)call.attrs<Attrs>().numExperts - 1;
  for (uint32_t t = 0; t < call.in[in_experts].rows; t++) {
    const int32_t* row = (const int32_t*)call.in[in_experts].row(t);
    if (!indicesInside(in_experts, row, call.in[in_experts].cols, 0, highest, bad)) return false;
  }
  return true;
}

int32_t expertOf(const Call& call, uint32_t pair) {
  uint32_t topK = call.attrs<Attrs>().topK;
  return ((const int32_t*)call.in[in_experts].row(pair / topK))[pair % topK];
}

void sortPairs(const Call& call, const Memory& memory) {
  uint32_t numExperts = call.attrs<Attrs>().numExperts, pairs = call.in[in_experts].length();
  for (uint32_t e = 0; e <= numExperts; e++) memory.starts[e] = 0;
  for (uint32_t pair = 0; pair < pairs; pair++) memory.starts[expertOf(call, pair) + 1]++;
  for (uint32_t e = 0; e < numExperts; e++) memory.starts[e + 1] += memory.starts[e];
  // Filling moves each start to its expert's end, which is the start of the next.
  for (uint32_t pair = 0; pair < pairs; pair++) memory.pairs[memory.starts[expertOf(call, pair)]++] = (int32_t)pair;
  uint32_t jobs = 0, first = 0;
  for (uint32_t e = 0; e < numExperts; e++) {
    for (uint32_t end = (uint32_t)memory.starts[e]; first < end;) {
      uint32_t count = end - first < kBlockRows ? end - first : kBlockRows;
      memory.jobs[jobs++] = {e, first, count};
      first += count;
    }
  }
  while (jobs < jobLimit(call)) memory.jobs[jobs++] = {0, 0, 0};
}

void prepare(const Call& call, const Memory& memory) {
  sortPairs(call, memory);
  for (uint32_t t = 0; t < call.out[out_y].rows; t++) {
    __builtin_memset(call.out[out_y].row(t), 0, sizeof(float) * call.out[out_y].cols);
  }
}

void runJob(const Call& call, const Memory& memory, const Job& job) {
  const Attrs& attrs = call.attrs<Attrs>();
  const Operand &x = call.in[in_x], &gateUp = call.in[in_gateUp], &down = call.in[in_down];
  uint32_t width = attrs.width, n = x.cols;
  for (uint32_t i = 0; i < job.count; i++) memory.tokens[i] = memory.pairs[job.first + i] / (int32_t)attrs.topK;

  uint32_t firstRow = job.expert * 2 * width;
  multiply({{x.row(0), x.stride, memory.tokens}, job.count, gateUp, firstRow, firstRow + 2 * width, nullptr,
            memory.hidden, 2 * width},
           memory.product);
  for (uint32_t i = 0; i < job.count; i++) {
    float* gate = memory.hidden + (size_t)i * 2 * width;
    mapRow(gate, gate + width, gate, width, [](f32x4 g, f32x4 up) { return mul(swish(g), up); });
  }
  firstRow = job.expert * n;
  multiply({{memory.hidden, 2 * width, nullptr}, job.count, down, firstRow, firstRow + n, nullptr, memory.result, n},
           memory.product);

  for (uint32_t i = 0; i < job.count; i++) {
    uint32_t pair = (uint32_t)memory.pairs[job.first + i], t = pair / attrs.topK;
    f32x4 weight = splat(call.in[in_weights].row(t)[pair % attrs.topK]);
    float* y = call.out[out_y].row(t);
    mapRow(memory.result + (size_t)i * n, y, y, n, [=](f32x4 value, f32x4 sum) { return madd(value, weight, sum); });
  }
}

void run(const Call& call, uint32_t firstPart, uint32_t lastPart) {
  uint64_t bytes;
  Memory memory = layOut(call, call.scratch, bytes);
  for (uint32_t part = firstPart; part < lastPart; part++) {
    if (part == 0) prepare(call, memory);
    else if (memory.jobs[part - 1].count) runJob(call, memory, memory.jobs[part - 1]);
  }
}

}  // namespace

const Kernel kExperts = {work, run, scratch, check};

}  // namespace glimt
