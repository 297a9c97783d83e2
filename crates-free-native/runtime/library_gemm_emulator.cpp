// The emulator has no vendor library: our own kernels are what it is there to test.
#include "library_gemm.h"

namespace glimt::rt {

struct LibraryGemm::State {
  std::string status = "the emulator has no vendor library";
};

LibraryGemm::LibraryGemm() : state_(std::make_unique<State>()) {}
LibraryGemm::~LibraryGemm() = default;
void LibraryGemm::prepare() noexcept {}
bool LibraryGemm::available() const { return false; }
bool LibraryGemm::run(Stream, const GemmShape&, const void*, const void*, const float*, void*, bool*) { return false; }
const std::string& LibraryGemm::status() const { return state_->status; }

}  // namespace glimt::rt
