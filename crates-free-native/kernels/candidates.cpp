#include "candidates.h"

#include "attention.h"
#include "experts.h"
#include "linear.h"

namespace glimt {

namespace {

struct NamedRow {
  std::string op, name;
  const void* row;
  bool invariant;
};

template <class... Lists>
std::vector<NamedRow> rows_of(const Lists&... lists) {
  std::vector<NamedRow> rows;
  const auto add = [&](const auto& list) {
    for (const auto& row : list.rows) rows.push_back({list.op, row.name, &row, row.invariant});
  };
  (add(lists), ...);
  return rows;
}

}  // namespace

void prefer(KernelTerms& terms, const std::string& kernel) {
  std::string known;
  bool found = false;
  for (const NamedRow& row :
       rows_of(linear_kernels, linear_swiglu_kernels, attention_varlen_kernels, attention_paged_kernels, experts_kernels)) {
    const std::string whole = row.op + ":" + row.name;
    known += (known.empty() ? "" : ", ") + whole;
    if (kernel != whole && kernel != row.name) continue;
    if (terms.invariant && !row.invariant)
      throw Error("INPUT_INVALID", "The rows of kernel \"" + whole +
                                       "\" depend on those beside them: it can not be had of a batch-invariant engine.");
    terms.preferred.push_back(row.row);
    found = true;
  }
  if (!found) throw Error("INPUT_INVALID", "There is no kernel \"" + kernel + "\"; there are " + known + ".");
}

}  // namespace glimt
