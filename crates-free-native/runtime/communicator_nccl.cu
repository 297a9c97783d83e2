// NCCL behind Communicator. Its communicators block: what waits too long is ended by `abort` from another thread.
#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

#include "communicator.h"
#include "error.h"
#include "nccl_api.h"

namespace glimt::rt {

namespace {

using namespace nccl;

struct Library {
  Api api{};
  std::string failure;
};

std::string format_version(int version) {
  // Before 2.9 they were counted otherwise.
  const int major = version < 10000 ? 1000 : 10000;
  return std::to_string(version / major) + "." + std::to_string(version % major / 100) + "." +
         std::to_string(version % 100);
}

// One a process; never closed, since its threads may outlive any group.
const Library& library() {
  static const Library loaded = [] {
    Library result;
    const char* chosen = std::getenv("GLIMT_NCCL");
    void* handle = dlopen(chosen ? chosen : "libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
      result.failure = "NCCL, by which the GPUs of a group talk, was not found (" + std::string(dlerror()) +
                       "). Install it (libnccl2, or nvidia-nccl-cu13 of Python's packages), or name its file in "
                       "GLIMT_NCCL.";
      return result;
    }
    const auto find = [&](auto& function, const char* name) {
      void* symbol = dlsym(handle, name);
      if (!symbol && result.failure.empty())
        result.failure = std::string("NCCL lacks ") + name + ": install 2.18 or newer.";
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol);
    };
    Api& api = result.api;
    find(api.version, "ncclGetVersion");
    find(api.error_string, "ncclGetErrorString");
    find(api.last_error, "ncclGetLastError");
    find(api.unique_id, "ncclGetUniqueId");
    find(api.init, "ncclCommInitRank");
    find(api.split, "ncclCommSplit");
    find(api.async_error, "ncclCommGetAsyncError");
    find(api.abort, "ncclCommAbort");
    find(api.all_reduce, "ncclAllReduce");
    find(api.all_gather, "ncclAllGather");
    find(api.reduce_scatter, "ncclReduceScatter");
    find(api.send, "ncclSend");
    find(api.receive, "ncclRecv");
    int version = 0;
    if (api.version && api.version(&version) == kSuccess && version < kLeastVersion)
      result.failure = "NCCL " + format_version(version) + " is too old: install 2.18 or newer.";
    return result;
  }();
  return loaded;
}

std::string describe(int result, Comm comm) {
  const Api& api = library().api;
  const char* last = api.last_error(comm);
  return std::string(api.error_string(result)) + (last && *last ? std::string(" (") + last + ")" : "");
}

void check(int result, const char* what, Comm comm = nullptr) {
  if (result == kSuccess) return;
  throw Error("GROUP_FAILED", std::string("NCCL: ") + what + " failed: " + describe(result, comm) + ".");
}

void check_cuda(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  throw Error("DEVICE_FAILED", std::string("CUDA: ") + what + " failed: " + cudaGetErrorString(status) + ".");
}

int type_of(program::DType dtype) {
  switch (dtype) {
    case program::DType::f32: return kFloat32;
    case program::DType::bf16: return kBfloat16;
    case program::DType::f16: return kFloat16;
    case program::DType::i32: return kInt32;
    default: throw Error("PROGRAM_INVALID", "Devices exchange no weights.");
  }
}

cudaStream_t native(Stream stream) { return reinterpret_cast<cudaStream_t>(stream); }

// What connections are tried with.
struct Scratch {
  void* word = nullptr;
  cudaStream_t stream = nullptr;

  Scratch() {
    check_cuda(cudaMalloc(&word, 256), "allocating device memory");
    check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
  }
  ~Scratch() {
    if (stream) cudaStreamDestroy(stream);
    cudaFree(word);
  }
};

}  // namespace

GroupId make_group_id() {
  const Library& lib = library();
  if (!lib.failure.empty()) throw Error("BACKEND_UNAVAILABLE", lib.failure);
  UniqueId unique{};
  const int result = lib.api.unique_id(&unique);
  if (result != kSuccess)
    throw Error("BACKEND_UNAVAILABLE", "NCCL does not work here: " + describe(result, nullptr) + ".");
  GroupId id;
  static_assert(sizeof id == sizeof unique);
  std::memcpy(id.data(), &unique, sizeof id);
  return id;
}

struct Communicator::State {
  Seat seat;
  int device = 0;
  // Of the whole group, and of the stage: the same where the group is one stage, none where it has one rank.
  std::atomic<Comm> all{nullptr}, stage{nullptr};

  std::mutex mutex;
  std::condition_variable changed;
  // Guarded by the mutex: while the ranks meet.
  bool met = false, abandoned = false;
  std::string failure;

  // On a thread of its own, since it waits for as long as others do not come.
  void meet() {
    const Api& api = library().api;
    UniqueId unique;
    std::memcpy(&unique, seat.id.data(), sizeof unique);
    check_cuda(cudaSetDevice(device), "choosing the device");
    Comm made = nullptr;
    check(api.init(&made, seat.ranks, unique, seat.rank), "meeting the other ranks");
    all = made;
    if (seat.tensor == seat.ranks) {
      stage = made;
    } else if (seat.tensor > 1) {
      Comm part = nullptr;
      check(api.split(made, seat.rank / seat.tensor, seat.rank, &part, nullptr), "dividing the group", made);
      stage = part;
    }
    connect();
  }

  // Connections are made when they are first used, by both ends at once: here, where nothing is captured yet.
  void connect() {
    const Api& api = library().api;
    const Scratch scratch;
    void* word = scratch.word;
    if (Comm comm = stage) check(api.all_reduce(word, word, 1, kFloat32, kSum, comm, scratch.stream), "all_reduce", comm);
    const int before = seat.rank - seat.tensor, behind = seat.rank + seat.tensor;
    if (before >= 0) check(api.receive(word, 1, kFloat32, before, live(all), scratch.stream), "receive");
    if (behind < seat.ranks) check(api.send(word, 1, kFloat32, behind, live(all), scratch.stream), "send");
    check_cuda(cudaStreamSynchronize(scratch.stream), "meeting the other ranks");
  }

  // Apart: NCCL ends what waits at once, but returns when all captured graphs that hold the communicator are gone, those of
  // the machine's other ranks too.
  void abort() noexcept {
    const Comm part = stage.exchange(nullptr), whole = all.exchange(nullptr);
    if (part && part != whole) std::thread(library().api.abort, part).detach();
    if (whole) std::thread(library().api.abort, whole).detach();
  }

  static Comm live(Comm comm) {
    if (!comm) throw Error("GROUP_FAILED", "The group of devices has ended.");
    return comm;
  }
};

Communicator::Communicator(const Seat& seat, int device, const std::function<void()>& keep_waiting)
    : state_(std::make_shared<State>()) {
  const Library& lib = library();
  if (!lib.failure.empty()) throw Error("BACKEND_UNAVAILABLE", lib.failure);
  state_->seat = seat;
  state_->device = device;
  // Holds the state: what waits before there is anything to abort is left behind.
  std::thread([state = state_] {
    std::string failure;
    try {
      state->meet();
    } catch (const std::exception& error) {
      failure = error.what();
    }
    std::unique_lock lock(state->mutex);
    state->met = true;
    state->failure = failure;
    state->changed.notify_all();
    const bool abandoned = state->abandoned;
    lock.unlock();
    if (abandoned) state->abort();
  }).detach();
  std::unique_lock lock(state_->mutex);
  try {
    while (!state_->met) {
      keep_waiting();
      state_->changed.wait_for(lock, std::chrono::milliseconds(20));
    }
    if (!state_->failure.empty()) throw Error("GROUP_FAILED", state_->failure);
  } catch (...) {
    state_->abandoned = true;
    lock.unlock();
    state_->abort();
    throw;
  }
}

Communicator::~Communicator() { state_->abort(); }

void Communicator::all_reduce(Stream stream, const void* x, void* y, size_t count, program::DType dtype) {
  const Comm comm = state_->live(state_->stage);
  check(library().api.all_reduce(x, y, count, type_of(dtype), kSum, comm, native(stream)), "all_reduce", comm);
}

void Communicator::all_gather(Stream stream, const void* x, void* y, size_t count, program::DType dtype) {
  const Comm comm = state_->live(state_->stage);
  check(library().api.all_gather(x, y, count, type_of(dtype), comm, native(stream)), "all_gather", comm);
}

void Communicator::reduce_scatter(Stream stream, const void* x, void* y, size_t count, program::DType dtype) {
  const Comm comm = state_->live(state_->stage);
  check(library().api.reduce_scatter(x, y, count, type_of(dtype), kSum, comm, native(stream)), "reduce_scatter", comm);
}

void Communicator::send(Stream stream, const void* x, size_t count, program::DType dtype, int peer) {
  const Comm comm = state_->live(state_->all);
  check(library().api.send(x, count, type_of(dtype), peer, comm, native(stream)), "send", comm);
}

void Communicator::receive(Stream stream, void* y, size_t count, program::DType dtype, int peer) {
  const Comm comm = state_->live(state_->all);
  check(library().api.receive(y, count, type_of(dtype), peer, comm, native(stream)), "receive", comm);
}

std::string Communicator::failure() {
  State& state = *state_;
  const Api& api = library().api;
  for (Comm comm : {state.all.load(), state.stage.load()}) {
    int result = kSuccess;
    if (comm && (api.async_error(comm, &result) != kSuccess || result != kSuccess))
      return "NCCL: " + describe(result, comm);
  }
  return "";
}

void Communicator::abort() noexcept { state_->abort(); }

}  // namespace glimt::rt
