#include <dlfcn.h>

#include <cstdlib>
#include <map>
#include <tuple>

#include "cublaslt_api.h"
#include "error.h"
#include "library_gemm.h"

namespace glimt::rt {

namespace {

using namespace cublaslt;

// What NVIDIA recommends for Hopper.
constexpr size_t kWorkspaceBytes = size_t{32} << 20;

struct Library {
  Api api{};
  std::string failure;
};

// One a process; never closed, since its threads may outlive any engine.
const Library& library() {
  static const Library loaded = [] {
    Library result;
    const std::string soname = "libcublasLt.so." + std::to_string(CUDART_VERSION / 1000);
    const char* chosen = std::getenv("GLIMT_CUBLASLT");
    void* handle = dlopen(chosen ? chosen : soname.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
      result.failure = "cuBLASLt was not found (" + std::string(dlerror()) + "); own kernels are used";
      return result;
    }
    const auto find = [&](auto& function, const char* name) {
      void* symbol = dlsym(handle, name);
      if (!symbol && result.failure.empty()) result.failure = std::string("cuBLASLt lacks ") + name;
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol);
    };
    Api& api = result.api;
    find(api.create, "cublasLtCreate");
    find(api.destroy, "cublasLtDestroy");
    find(api.version, "cublasLtGetVersion");
    find(api.desc_create, "cublasLtMatmulDescCreate");
    find(api.desc_destroy, "cublasLtMatmulDescDestroy");
    find(api.desc_set, "cublasLtMatmulDescSetAttribute");
    find(api.matrix_create, "cublasLtMatrixLayoutCreate");
    find(api.matrix_destroy, "cublasLtMatrixLayoutDestroy");
    find(api.preference_create, "cublasLtMatmulPreferenceCreate");
    find(api.preference_destroy, "cublasLtMatmulPreferenceDestroy");
    find(api.preference_set, "cublasLtMatmulPreferenceSetAttribute");
    find(api.heuristic, "cublasLtMatmulAlgoGetHeuristic");
    find(api.matmul, "cublasLtMatmul");
    return result;
  }();
  return loaded;
}

// How to compute one shape; `usable` false when the library has no way.
struct Plan {
  Desc desc = nullptr;
  Matrix w = nullptr, x = nullptr, y = nullptr;
  Algorithm algorithm{};
  bool usable = false;
};

using Key = std::tuple<int, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, bool>;

}  // namespace

struct LibraryGemm::State {
  Handle handle = nullptr;
  void* workspace = nullptr;
  bool prepared = false;
  std::string status = "not used yet";
  std::map<Key, Plan> plans;

  ~State() {
    for (auto& [key, plan] : plans) release(plan);
    if (handle) library().api.destroy(handle);
    rt::release(workspace);
  }

  static void release(Plan& plan) {
    const Api& api = library().api;
    if (plan.desc) api.desc_destroy(plan.desc);
    for (Matrix matrix : {plan.w, plan.x, plan.y})
      if (matrix) api.matrix_destroy(matrix);
  }

  // The library thinks in columns: yᵀ [n, m] = w [n, k] xᵀ [k, m], where a row-major matrix is its transpose.
  Plan make_plan(const GemmShape& shape, bool bias) const {
    const Api& api = library().api;
    const cudaDataType_t type = shape.dtype == program::DType::bf16 ? CUDA_R_16BF : CUDA_R_16F;
    Plan plan;
    const auto n = static_cast<uint64_t>(shape.n), m = static_cast<uint64_t>(shape.m), k = static_cast<uint64_t>(shape.k);
    bool good = api.desc_create(&plan.desc, kCompute32F, CUDA_R_32F) == kSuccess &&
                api.matrix_create(&plan.w, type, k, n, shape.w_stride) == kSuccess &&
                api.matrix_create(&plan.x, type, k, m, shape.x_stride) == kSuccess &&
                api.matrix_create(&plan.y, type, n, m, shape.y_stride) == kSuccess;
    const auto set = [&](int attribute, const auto& value) {
      good = good && api.desc_set(plan.desc, attribute, &value, sizeof value) == kSuccess;
    };
    set(kDescTransA, int32_t{kOpTranspose});
    set(kDescEpilogue, int32_t{bias ? kEpilogueBias : kEpilogueDefault});
    if (bias) {
      set(kDescBiasDataType, int32_t{CUDA_R_32F});
      // The heuristic looks at the pointer's alignment only.
      set(kDescBiasPointer, static_cast<const void*>(workspace));
    }
    Preference preference = nullptr;
    good = good && api.preference_create(&preference) == kSuccess;
    if (!good) return plan;
    const uint64_t bytes = kWorkspaceBytes;
    api.preference_set(preference, kPreferenceWorkspace, &bytes, sizeof bytes);
    // Operands may be columns of wider matrices: more than 16 bytes are not promised.
    const uint32_t alignment = 16;
    for (int operand = 0; operand < 4; operand++)
      api.preference_set(preference, kPreferenceAlignmentA + operand, &alignment, sizeof alignment);
    Heuristic best{};
    int found = 0;
    plan.usable = api.heuristic(handle, plan.desc, plan.w, plan.x, plan.y, plan.y, preference, 1, &best, &found) ==
                      kSuccess &&
                  found > 0 && best.state == kSuccess;
    plan.algorithm = best.algorithm;
    api.preference_destroy(preference);
    return plan;
  }

  const Plan& plan(const GemmShape& shape, bool bias) {
    const Key key{static_cast<int>(shape.dtype), shape.m,        shape.n,        shape.k,
                  shape.x_stride,                shape.w_stride, shape.y_stride, bias};
    auto found = plans.find(key);
    if (found == plans.end()) found = plans.emplace(key, make_plan(shape, bias)).first;
    return found->second;
  }
};

LibraryGemm::LibraryGemm() : state_(std::make_unique<State>()) {}
LibraryGemm::~LibraryGemm() = default;

void LibraryGemm::prepare() noexcept {
  State& state = *state_;
  if (state.prepared) return;
  state.prepared = true;
  try {
    const Library& lib = library();
    state.status = lib.failure;
    if (!lib.failure.empty()) return;
    state.workspace = rt::allocate(kWorkspaceBytes);
    if (lib.api.create(&state.handle) != kSuccess) {
      state.handle = nullptr;
      state.status = "cuBLASLt could not be initialised; own kernels are used";
      return;
    }
    state.status = "cuBLASLt " + std::to_string(lib.api.version());
  } catch (const std::exception& failure) {
    state.status = failure.what();
  }
}

bool LibraryGemm::available() const { return !state_->prepared || state_->handle; }

bool LibraryGemm::run(Stream stream, const GemmShape& shape, const void* x, const void* w, const float* bias, void* y,
                      bool* bias_added) {
  State& state = *state_;
  *bias_added = false;
  if (!state.handle) return false;
  const Plan* plan = &state.plan(shape, bias != nullptr);
  if (bias && plan->usable) {
    *bias_added = library().api.desc_set(plan->desc, kDescBiasPointer, &bias, sizeof bias) == kSuccess;
    if (!*bias_added) return false;
  } else if (bias) {
    plan = &state.plan(shape, false);
  }
  if (!plan->usable) return false;
  const float one = 1, zero = 0;
  return library().api.matmul(state.handle, plan->desc, &one, w, plan->w, x, plan->x, &zero, y, plan->y, y, plan->y,
                              &plan->algorithm, state.workspace, kWorkspaceBytes,
                              reinterpret_cast<cudaStream_t>(stream)) == kSuccess;
}

const std::string& LibraryGemm::status() const { return state_->status; }

}  // namespace glimt::rt
