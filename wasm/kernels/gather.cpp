// Rows chosen by index. embed: y[t] = table[ids[t] - first], or zeros where that is no row of the table, or ids[t] is -1;
// gather_rows: y[i] = x[rows[i]]; scatter_rows: y[rows[i]] = values[i], where y is x's memory. A part is one row; of
// scatter_rows a range of columns, so that the last of several values for one row is the one that stays, whatever the
// order of parts.
#include "kernel.h"
#include "weights.h"

namespace glimt {
namespace {

void copyRow(const float* from, uint32_t count, float* to) { __builtin_memmove(to, from, count * sizeof(float)); }

Work outputRows(const Call& call) { return {call.out[0].rows, 4.0 * call.out[0].cols}; }

void runEmbed(const Call& call, uint32_t first, uint32_t last, uint8_t*) {
  using namespace program::op_embed;
  const Operand& table = call.in[in_table];
  uint32_t begin = call.attrs<Attrs>().first;
  for (uint32_t t = first; t < last; t++) {
    uint32_t row = (uint32_t)call.in[in_ids].ints()[t] - begin;
    float* y = call.out[out_y].row(t);
    if (row < table.rows) readWeightRow(table, row, y);
    else __builtin_memset(y, 0, sizeof(float) * call.out[out_y].cols);
  }
}

bool checkEmbed(const Call& call, BadIndex& bad) {
  using namespace program::op_embed;
  const Operand& ids = call.in[in_ids];
  return indicesInside(in_ids, ids.ints(), ids.length(), -1, (int32_t)call.attrs<Attrs>().total - 1, bad);
}

void runGather(const Call& call, uint32_t first, uint32_t last, uint8_t*) {
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

// Whole cache lines.
constexpr uint32_t kLeastColumns = 16;

uint32_t scatterColumns(const Call& call) {
  const Operand& values = call.in[program::op_scatter_rows::in_values];
  double slices = 4.0 * values.rows * values.cols / kLargestPart;
  uint32_t ranges = slices > sharedParts(call) ? (uint32_t)slices + 1 : sharedParts(call);
  uint32_t columns = (values.cols + ranges - 1) / ranges;
  return (columns + kLeastColumns - 1) / kLeastColumns * kLeastColumns;
}

Work scatterWork(const Call& call) {
  const Operand& values = call.in[program::op_scatter_rows::in_values];
  if (values.rows == 0 || values.cols == 0) return {0, 0};
  uint32_t columns = scatterColumns(call);
  return {(values.cols + columns - 1) / columns, 4.0 * values.rows * columns};
}

void runScatter(const Call& call, uint32_t first, uint32_t last, uint8_t*) {
  using namespace program::op_scatter_rows;
  const Operand& values = call.in[in_values];
  uint32_t columns = scatterColumns(call), low = first * columns;
  uint32_t high = last * columns < values.cols ? last * columns : values.cols;
  for (uint32_t i = 0; i < values.rows; i++) {
    float* to = call.out[out_y].row((uint32_t)call.in[in_rows].ints()[i]);
    copyRow(values.row(i) + low, high - low, to + low);
  }
}

bool checkScatter(const Call& call, BadIndex& bad) {
  using namespace program::op_scatter_rows;
  const Operand& rows = call.in[in_rows];
  return indicesInside(in_rows, rows.ints(), rows.length(), 0, (int32_t)call.in[in_x].rows - 1, bad);
}

}  // namespace

const Kernel kEmbed = {{{outputRows, runEmbed}}, nullptr, checkEmbed};
const Kernel kGatherRows = {{{outputRows, runGather}}, nullptr, checkGather};
const Kernel kScatterRows = {{{scatterWork, runScatter}}, nullptr, checkScatter};

}  // namespace glimt
