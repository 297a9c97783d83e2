// The emulated NCCL: ranks are threads of one process, and an operation is carried out when the last of its ranks has
// come. Where the library waits for ever it says why nobody will come: operations that do not match, ranks that wait for
// each other in a circle, ranks that have left. What is left is waiting for a rank that computes, or that hangs.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "communicator.h"
#include "emulator_stream.h"
#include "emulator_control.h"
#include "error.h"
#include "glimt_float.h"
#include "glimt_storage.h"
#include "launch.h"

namespace glimt::rt {

namespace {

using program::DType;

enum class Kind { all_reduce, all_gather, reduce_scatter, send, receive };

const char* name_of(Kind kind) {
  static const char* const names[] = {"all_reduce", "all_gather", "reduce_scatter", "send", "receive"};
  return names[static_cast<int>(kind)];
}

struct Operation {
  Kind kind;
  const void* x;
  void* y;
  size_t count;
  DType dtype;
  // Of send and receive.
  int peer = -1;

  bool is_collective() const { return kind != Kind::send && kind != Kind::receive; }
  // Elements of x and of y, of `ranks` that take part.
  size_t size_of_x(int ranks) const { return kind == Kind::reduce_scatter ? count * ranks : count; }
  size_t size_of_y(int ranks) const { return kind == Kind::all_gather ? count * ranks : count; }
};

std::string describe(const Operation& operation) {
  static const char* const dtypes[] = {"f32", "bf16", "f16", "i32"};
  const char* towards = operation.kind == Kind::send ? " to rank " : " from rank ";
  return std::string(name_of(operation.kind)) + " of " + std::to_string(operation.count) + " " +
         dtypes[static_cast<int>(operation.dtype)] +
         (operation.is_collective() ? "" : towards + std::to_string(operation.peer));
}

struct Member {
  int device = -1;
  bool present = false, gone = false;
  // Operations begun.
  uint64_t operations = 0;
  // The one that it waits in, on its thread's stack.
  const Operation* waits_in = nullptr;
};

// What the ranks of a group have in common.
struct World {
  explicit World(const Seat& seat) : tensor(seat.tensor), members(seat.ranks) {}

  std::mutex mutex;
  std::condition_variable changed;
  const int tensor;
  // The rest is guarded by the mutex.
  std::vector<Member> members;
  // Ends every operation, now and later.
  std::string failure;

  std::string describe_rank(int rank) const {
    const Member& member = members[rank];
    return "rank " + std::to_string(rank) + " is in its operation " + std::to_string(member.operations) + ", " +
           describe(*member.waits_in);
  }

  // The ranks that a waiting one waits for.
  std::vector<int> awaited(int rank) const {
    const Operation& operation = *members[rank].waits_in;
    if (!operation.is_collective()) return {operation.peer};
    std::vector<int> ranks;
    const int first = rank / tensor * tensor;
    for (int other = first; other < first + tensor; other++) {
      const Operation* theirs = members[other].waits_in;
      if (other != rank && !(theirs && theirs->is_collective())) ranks.push_back(other);
    }
    return ranks;
  }

  // Whether two ranks that are in these operations could be in the same.
  bool match(int a, int b) const {
    const Operation &x = *members[a].waits_in, &y = *members[b].waits_in;
    if (x.is_collective()) return x.kind == y.kind && x.count == y.count && x.dtype == y.dtype;
    return x.kind != y.kind && x.count == y.count && x.dtype == y.dtype;
  }

  // Why the operation that `rank` has come to can never be carried out, or "".
  std::string hopeless(int rank) const {
    const Operation& operation = *members[rank].waits_in;
    const int first = operation.is_collective() ? rank / tensor * tensor : operation.peer;
    const int last = operation.is_collective() ? first + tensor : first + 1;
    for (int other = first; other < last; other++) {
      const Operation* theirs = members[other].waits_in;
      const bool meets = theirs && (operation.is_collective() ? theirs->is_collective()
                                                             : !theirs->is_collective() && theirs->peer == rank);
      if (other != rank && meets && !match(rank, other))
        return "operations do not match: " + describe_rank(rank) + "; " + describe_rank(other);
    }
    return circle();
  }

  // Ranks that can go on are those that compute and those that wait for such ranks alone; the others wait for ever.
  std::string circle() const {
    const auto count = static_cast<int>(members.size());
    std::vector<bool> goes_on(count);
    for (int rank = 0; rank < count; rank++) goes_on[rank] = !members[rank].waits_in && !members[rank].gone;
    for (bool changes = true; changes;) {
      changes = false;
      for (int rank = 0; rank < count; rank++) {
        if (goes_on[rank] || members[rank].gone) continue;
        bool all = true;
        for (int other : awaited(rank)) all = all && goes_on[other];
        if (all) goes_on[rank] = changes = true;
      }
    }
    std::string stuck;
    for (int rank = 0; rank < count; rank++) {
      if (goes_on[rank] || members[rank].gone || !members[rank].waits_in) continue;
      for (int other : awaited(rank))
        if (members[other].gone)
          return "rank " + std::to_string(other) + " has left the group; " + describe_rank(rank) + " with it";
      stuck += (stuck.empty() ? "" : "; ") + describe_rank(rank);
    }
    return stuck.empty() ? "" : "operations are in different orders: " + stuck;
  }

  void fail(const std::string& reason) {
    if (failure.empty()) failure = "emulated NCCL: " + reason + ".";
    changed.notify_all();
  }
};

std::mutex g_worlds_mutex;
std::map<GroupId, std::weak_ptr<World>> g_worlds;

std::shared_ptr<World> world_of(const Seat& seat) {
  std::lock_guard lock(g_worlds_mutex);
  std::erase_if(g_worlds, [](const auto& entry) { return entry.second.expired(); });
  std::shared_ptr<World> world = g_worlds[seat.id].lock();
  if (!world) g_worlds[seat.id] = world = std::make_shared<World>(seat);
  return world;
}

// The sum over the ranks in their order, in float32 and rounded once.
void add_up(const std::vector<const char*>& parts, size_t count, DType dtype, char* sum) {
  for (size_t i = 0; i < count; i++) {
    if (dtype == DType::i32) {
      uint32_t total = 0;
      for (const char* part : parts) total += reinterpret_cast<const uint32_t*>(part)[i];
      reinterpret_cast<uint32_t*>(sum)[i] = total;
      continue;
    }
    float total = loadFloat(dtype, parts[0], i);
    for (size_t rank = 1; rank < parts.size(); rank++) total += loadFloat(dtype, parts[rank], i);
    storeFloat(dtype, sum, i, total);
  }
}

void put(void* y, const char* from, size_t bytes) {
  std::memcpy(y, from, bytes);
  emu::note_device_memory(y, bytes, true);
}

// All ranks are in it, and their operations match.
void carry_out(const std::vector<const Operation*>& all) {
  const Operation& first = *all[0];
  const size_t bytes = storageBytes(first.dtype, 1, first.count);
  std::vector<const char*> parts;
  for (const Operation* one : all) parts.push_back(static_cast<const char*>(one->x));
  std::vector<char> result;
  switch (first.kind) {
    case Kind::all_reduce:
      result.resize(bytes);
      add_up(parts, first.count, first.dtype, result.data());
      for (const Operation* one : all) put(one->y, result.data(), bytes);
      break;
    case Kind::all_gather:
      for (const char* part : parts) result.insert(result.end(), part, part + bytes);
      for (const Operation* one : all) put(one->y, result.data(), result.size());
      break;
    case Kind::reduce_scatter:
      // x of one rank may be y of another's part only when it is its own; sums come first.
      result.resize(bytes * all.size());
      add_up(parts, first.count * all.size(), first.dtype, result.data());
      for (size_t rank = 0; rank < all.size(); rank++) put(all[rank]->y, result.data() + rank * bytes, bytes);
      break;
    default: break;
  }
}

void require_device_memory(const void* memory, size_t elements, const Operation& operation) {
  const size_t bytes = storageBytes(operation.dtype, 1, elements);
  const unsigned char *begin = nullptr, *end = nullptr;
  const auto* at = static_cast<const unsigned char*>(memory);
  if (find_allocation(memory, &begin, &end) && at >= begin && at + bytes <= end) return;
  throw Error("DEVICE_FAILED", "Kernel fault (out of bounds): " + describe(operation) +
                                   " reaches outside of a device allocation.");
}

}  // namespace

GroupId make_group_id() {
  static std::atomic<uint64_t> made{0};
  GroupId id{};
  const uint64_t number = ++made;
  std::memcpy(id.data(), &number, sizeof number);
  return id;
}

struct Communicator::State {
  Seat seat;
  std::shared_ptr<World> world;

  Member& self() { return world->members[seat.rank]; }

  // Joins the operation, and waits until it was carried out.
  void take_part(const Operation& operation) {
    const int ranks = operation.is_collective() ? seat.tensor : 1;
    if (operation.x) require_device_memory(operation.x, operation.size_of_x(ranks), operation);
    if (operation.y) require_device_memory(operation.y, operation.size_of_y(ranks), operation);
    std::unique_lock lock(world->mutex);
    self().operations++;
    if (strike(Fault::hang)) world->changed.wait(lock, [&] { return self().gone; });
    require_alive();
    self().waits_in = &operation;
    if (!complete(operation)) {
      const std::string reason = world->hopeless(seat.rank);
      if (!reason.empty()) world->fail(reason);
    }
    world->changed.wait(lock, [&] { return !self().waits_in || self().gone || !world->failure.empty(); });
    if (!self().waits_in) return;
    self().waits_in = nullptr;
    require_alive();
  }

  void require_alive() {
    if (!world->failure.empty()) throw Error("GROUP_FAILED", world->failure);
    if (self().gone) throw Error("GROUP_FAILED", "The group of devices has ended.");
  }

  // Carries the operation out when this rank was the last to come.
  bool complete(const Operation& operation) {
    std::vector<Member>& members = world->members;
    if (!operation.is_collective()) {
      const Operation* theirs = members[operation.peer].waits_in;
      if (!theirs || theirs->is_collective() || theirs->peer != seat.rank || !world->match(seat.rank, operation.peer))
        return false;
      const Operation &from = operation.kind == Kind::send ? operation : *theirs;
      const Operation &to = operation.kind == Kind::send ? *theirs : operation;
      put(to.y, static_cast<const char*>(from.x), storageBytes(from.dtype, 1, from.count));
      members[operation.peer].waits_in = self().waits_in = nullptr;
    } else {
      std::vector<const Operation*> all;
      for (int rank = seat.first(); rank < seat.first() + seat.tensor; rank++) {
        const Operation* theirs = members[rank].waits_in;
        if (!theirs || !theirs->is_collective() || !world->match(seat.rank, rank)) return false;
        all.push_back(theirs);
      }
      carry_out(all);
      for (int rank = seat.first(); rank < seat.first() + seat.tensor; rank++) members[rank].waits_in = nullptr;
    }
    world->changed.notify_all();
    return true;
  }

  void push(Stream stream, const Operation& operation) {
    {
      std::lock_guard lock(world->mutex);
      require_alive();
    }
    const auto ranks = static_cast<int>(world->members.size());
    if (!operation.is_collective() && (operation.peer < 0 || operation.peer >= ranks || operation.peer == seat.rank))
      throw Error("GROUP_FAILED", "There is no " + describe(operation) + " for rank " + std::to_string(seat.rank) +
                                      " of " + std::to_string(ranks) + " (emulated NCCL).");
    push_work(stream, [this, operation] { take_part(operation); });
  }
};

Communicator::Communicator(const Seat& seat, int device, const std::function<void()>& keep_waiting)
    : state_(std::make_shared<State>(State{seat, world_of(seat)})) {
  World& world = *state_->world;
  const auto refuse = [](const std::string& reason) {
    throw Error("GROUP_FAILED", "The group of devices can not be opened: emulated NCCL: " + reason + ".");
  };
  std::unique_lock lock(world.mutex);
  if (static_cast<int>(world.members.size()) != seat.ranks || world.tensor != seat.tensor)
    refuse("its ranks do not agree how many they are");
  if (state_->self().present) refuse("rank " + std::to_string(seat.rank) + " is there twice");
  for (const Member& other : world.members)
    if (other.present && other.device == device)
      refuse("device " + std::to_string(device) + " is used by two of its ranks");
  state_->self().present = true;
  state_->self().device = device;
  world.changed.notify_all();
  const auto missing = [&] {
    for (const Member& other : world.members)
      if (!other.present) return true;
    return false;
  };
  try {
    while (missing()) {
      keep_waiting();
      world.changed.wait_for(lock, std::chrono::milliseconds(5));
    }
  } catch (...) {
    state_->self().gone = true;
    throw;
  }
}

Communicator::~Communicator() { abort(); }

void Communicator::all_reduce(Stream stream, const void* x, void* y, size_t count, DType dtype) {
  state_->push(stream, {Kind::all_reduce, x, y, count, dtype});
}
void Communicator::all_gather(Stream stream, const void* x, void* y, size_t count, DType dtype) {
  state_->push(stream, {Kind::all_gather, x, y, count, dtype});
}
void Communicator::reduce_scatter(Stream stream, const void* x, void* y, size_t count, DType dtype) {
  state_->push(stream, {Kind::reduce_scatter, x, y, count, dtype});
}
void Communicator::send(Stream stream, const void* x, size_t count, DType dtype, int peer) {
  state_->push(stream, {Kind::send, x, nullptr, count, dtype, peer});
}
void Communicator::receive(Stream stream, void* y, size_t count, DType dtype, int peer) {
  state_->push(stream, {Kind::receive, nullptr, y, count, dtype, peer});
}

std::string Communicator::failure() { return ""; }

void Communicator::abort() noexcept {
  World& world = *state_->world;
  std::lock_guard lock(world.mutex);
  if (state_->self().gone) return;
  state_->self().gone = true;
  // Who waits for it, directly or not, waits in vain.
  const std::string reason = world.circle();
  if (!reason.empty()) world.fail(reason);
  world.changed.notify_all();
}

}  // namespace glimt::rt
