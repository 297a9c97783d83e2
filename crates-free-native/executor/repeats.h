// Which runs of a program came before, and the graphs they were captured as: the one cache that decides a replay.
#pragma once
#include <string>
#include <vector>

#include "runtime/runtime.h"

namespace glimt {

// A run that ended well, and the graph it was captured as when it came again.
struct Repeat {
  // What it has in common with others that do the same to the same device memory.
  std::string key;
  rt::Graph graph = nullptr;
};

class Repeats {
 public:
  Repeats() = default;
  Repeats(const Repeats&) = delete;
  ~Repeats() { forget_graphs(); }

  // The run of this key, or null. Valid until the next call of `remember`.
  Repeat* find(const std::string& key);
  // A key that `find` does not find. The run that was not looked for longest is forgotten.
  void remember(std::string key);
  // Graphs hold addresses of the arena, which has moved. The runs are remembered.
  void forget_graphs();

 private:
  // The latest last.
  std::vector<Repeat> repeats_;
};

}  // namespace glimt
