// An op with several kernels has them in a list, and the first that fits and pays is taken. Who runs the op, reserves its
// workspace, or names its kernels for tests and measurements goes over the same rows.
#pragma once
#include <algorithm>
#include <span>
#include <string>

#include "../runtime/error.h"
#include "kernels.h"

namespace glimt {

// One way to compute an op.
template <class Call>
struct Candidate {
  const char* name;
  // Whether it computes this call rightly on this device; where addresses are null, whether it could.
  bool (*fits)(const KernelTerms& terms, const Call& call);
  // Whether a call that fits shall go here and not to the rows behind; null when it always shall.
  bool (*pays)(const KernelTerms& terms, const Call& call);
  // Bytes; null for none.
  size_t (*workspace)(const KernelTerms& terms, const Call& call);
  // False when nothing was launched after all: the next row is tried.
  bool (*launch)(const KernelContext& context, const Call& call);
  // Under KernelTerms::invariant a row of the result has the same bits whatever rows the call has beside it, and whether
  // it fits does not depend on how many there are.
  bool invariant = false;
};

// A launch that never refuses.
template <auto Launch, class Call>
bool launches(const KernelContext& context, const Call& call) {
  Launch(context, call);
  return true;
}

// "op:name" names a row.
template <class Call>
struct KernelList {
  const char* op;
  std::span<const Candidate<Call>> rows;
};

template <class Call>
bool is_preferred(const KernelTerms& terms, const Candidate<Call>& row) {
  return std::find(terms.preferred.begin(), terms.preferred.end(), &row) != terms.preferred.end();
}

template <class Call>
bool could(const KernelTerms& terms, const Candidate<Call>& row, const Call& call) {
  return (row.invariant || !terms.invariant) && row.fits(terms, call);
}

// What pays is said of many rows or of few.
template <class Call>
bool would(const KernelTerms& terms, const Candidate<Call>& row, const Call& call) {
  return terms.invariant || !row.pays || row.pays(terms, call);
}

template <class Call>
void tell(const KernelList<Call>& list, const KernelTerms& terms, const Candidate<Call>& taken, const Call& call) {
  KernelDecision decision{list.op, taken.name, {}};
  for (const Candidate<Call>& row : list.rows)
    if (could(terms, row, call)) decision.fitting.push_back(row.name);
  terms.watch(decision);
}

// Launches the first row that fits and pays; before that, one that is preferred and fits.
template <class Call>
void run(const KernelList<Call>& list, const KernelContext& context, const Call& call) {
  const KernelTerms& terms = context.terms;
  for (const bool preferred : {true, false})
    for (const Candidate<Call>& row : list.rows) {
      if (preferred ? !is_preferred(terms, row) : is_preferred(terms, row)) continue;
      if (!could(terms, row, call) || (!preferred && !would(terms, row, call))) continue;
      if (terms.watch) tell(list, terms, row, call);
      if (row.launch(context, call)) return;
    }
  throw Error("PROGRAM_INVALID", std::string("cuda: ") + list.op + " has no kernel for these operands.");
}

// The most that a row asks for which could be taken: where the operands will lie may decide between several.
template <class Call>
size_t most_workspace(const KernelList<Call>& list, const KernelTerms& terms, const Call& call) {
  size_t most = 0;
  for (const Candidate<Call>& row : list.rows)
    if (row.workspace && could(terms, row, call) && (would(terms, row, call) || is_preferred(terms, row)))
      most = std::max(most, row.workspace(terms, call));
  return most;
}

}  // namespace glimt
