#include "repeats.h"

#include <algorithm>

namespace glimt {

namespace {

// A program has few sizes that come back, and many that do not.
constexpr size_t kMostRuns = 64;

void destroy(Repeat& repeat) {
  if (repeat.graph) rt::destroy_graph(repeat.graph);
  repeat.graph = nullptr;
}

}  // namespace

Repeat* Repeats::find(const std::string& key) {
  const auto found = std::find_if(repeats_.begin(), repeats_.end(), [&](auto& repeat) { return repeat.key == key; });
  if (found == repeats_.end()) return nullptr;
  std::rotate(found, found + 1, repeats_.end());
  return &repeats_.back();
}

void Repeats::remember(std::string key) {
  if (repeats_.size() == kMostRuns) {
    destroy(repeats_.front());
    repeats_.erase(repeats_.begin());
  }
  repeats_.push_back({std::move(key)});
}

void Repeats::forget_graphs() {
  for (Repeat& repeat : repeats_) destroy(repeat);
}

}  // namespace glimt
