// Rows chosen by index. embed: y[t] = table[ids[t]]; gather_rows: y[i] = x[rows[i]]; scatter_rows: y[rows[i]] =
// values[i], where y is x's memory. A part is one row.
#include "kernel.h"
#include "weights.h"

namespace glimt {
namespace {

void copyRow(const float* from, uint32_t count, float* to) { __builtin_memmove(to, from, count * sizeof(float)); }

Work outputRows(const Call& call) { return {call.out[0].rows, 4.0 * call.out[0].cols}; }

void runEmbed(const Call& call, uint32_t first, uint32_t last) {
  using namespace program::op_embed;
  for (uint32_t t = first; t < last; t++) {
    readWeightRow(call.in[in_table], (uint32_t)call.in[in_ids].ints()[t], call.out[out_y].row(t));
  }
}

bool checkEmbed(const Call& call, BadIndex& bad) {
  using namespace program::op_embed;
  const Operand& ids = call.in[in_ids];
  return indicesInside(in_ids, ids.ints(), ids.length(), 0, (int32_t)call.in[in_table].rows - 1, bad);
}

void runGather(const Call& call, uint32_t first, uint32_t last) {
  using namespace program::op_gather_rows;
  for (uint32_t i = first; i < last; i++) {
    copyRow(call.in[in_x].row((uint32_t)call.in[in_rows].ints()[i]), call.out[out_y].cols, call.out[out_y].row(i));
  }
}

bool checkGather(const Call& call, BadIndex& bad) {
  using namespace program::op_gather_rows;
  const Operand& rows = call.in[in_rows];
  return indicesInside(in_rows, rows.ints(), rows.length(), 0, (int32_t)call.in[in_x].rows - 1, bad);
}

Work scatterWork(const Call& call) {
  using namespace program::op_scatter_rows;
  return {call.in[in_values].rows, 4.0 * call.in[in_values].cols};
}

void runScatter(const Call& call, uint32_t first, uint32_t last) {
  using namespace program::op_scatter_rows;
  for (uint32_t i = first; i < last; i++) {
    float* to = call.out[out_y].row((uint32_t)call.in[in_rows].ints()[i]);
    copyRow(call.in[in_values].row(i), call.out[out_y].cols, to);
  }
}

bool checkScatter(const Call& call, BadIndex& bad) {
  using namespace program::op_scatter_rows;
  const Operand& rows = call.in[in_rows];
  return indicesInside(in_rows, rows.ints(), rows.length(), 0, (int32_t)call.in[in_x].rows - 1, bad);
}

}  // namespace

const Kernel kEmbed = {outputRows, runEmbed, nullptr, checkEmbed};
const Kernel kGatherRows = {outputRows, runGather, nullptr, checkGather};
const Kernel kScatterRows = {scatterWork, runScatter, nullptr, checkScatter};

}  // namespace glimt
