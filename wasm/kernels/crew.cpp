// A job is the parts of one phase. Its gate is one word: a number that grows with each job, whether more threads may come
// in, and how many are inside. Who comes in takes parts until none is left. The thread that runs the program closes the
// gate when it finds no more, and waits until it is alone: a thread that sleeps meanwhile is not waited for.
#include "crew.h"

#ifdef __wasm_atomics__
#include <emscripten.h>

namespace glimt {
namespace {

constexpr uint32_t kInside = 0xff, kOpen = 0x100, kNumber = 0x200;
// Looks at the gate before a thread that does not come out is given up: some seconds, where a part takes milliseconds.
constexpr uint64_t kPatience = uint64_t{1} << 32;
// Parts that are taken in one go, so that rows of little work do not wait for each other: this share of an even one.
constexpr uint32_t kShares = 8;

struct Job {
  const Phase* phase;
  const Call* call;
  uint8_t* own;
  uint64_t ownBytes;
  uint32_t last, grain;
};

Job job;
// On cache lines of their own.
alignas(128) uint32_t gate;
alignas(128) uint32_t next;
// Not 0: a thread took parts and did not do them.
uint32_t lost;

void takeParts(uint32_t worker) {
  uint8_t* own = job.own + (size_t)(worker * job.ownBytes);
  for (;;) {
    uint32_t first = __atomic_fetch_add(&next, job.grain, __ATOMIC_RELAXED);
    if (first >= job.last) return;
    uint32_t last = job.last - first < job.grain ? job.last : first + job.grain;
    job.phase->run(*job.call, first, last, own);
  }
}

}  // namespace

bool runTogether(const Phase& phase, const Call& call, uint32_t first, uint32_t last, uint8_t* own, uint64_t ownBytes) {
  uint32_t grain = (last - first) / (call.workers * kShares);
  job = {&phase, &call, own, ownBytes, last, grain ? grain : 1};
  __atomic_store_n(&next, first, __ATOMIC_RELAXED);
  uint32_t number = (__atomic_load_n(&gate, __ATOMIC_RELAXED) & ~(kNumber - 1)) + kNumber;
  __atomic_store_n(&gate, number | kOpen, __ATOMIC_RELEASE);
  takeParts(0);
  __atomic_fetch_and(&gate, ~kOpen, __ATOMIC_ACQ_REL);
  for (uint64_t looks = 0; __atomic_load_n(&gate, __ATOMIC_ACQUIRE) & kInside; looks++) {
    if (looks > kPatience) return false;
  }
  return !__atomic_load_n(&lost, __ATOMIC_RELAXED);
}

}  // namespace glimt

using namespace glimt;

// Takes part in jobs as worker `worker` (1 and up), until there was none for `patience` looks at the gate.
extern "C" EMSCRIPTEN_KEEPALIVE void glimt_serve(uint32_t worker, uint32_t patience) {
  // A job that began before has been closed, or is found again by a thread that knows it: then there is nothing to take.
  uint32_t served = 0;
  for (uint32_t looks = 0; looks < patience; looks++) {
    uint32_t now = __atomic_load_n(&gate, __ATOMIC_ACQUIRE);
    if (!(now & kOpen) || (now & ~(kNumber - 1)) == served) continue;
    if (!__atomic_compare_exchange_n(&gate, &now, now + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) continue;
    served = now & ~(kNumber - 1);
    takeParts(worker);
    __atomic_fetch_sub(&gate, 1, __ATOMIC_RELEASE);
    looks = 0;
  }
}

// Called after `glimt_serve` of the same thread has trapped, which only a part can do.
extern "C" EMSCRIPTEN_KEEPALIVE void glimt_abandon() {
  __atomic_store_n(&lost, 1, __ATOMIC_RELAXED);
  __atomic_fetch_sub(&gate, 1, __ATOMIC_RELEASE);
}
#endif
