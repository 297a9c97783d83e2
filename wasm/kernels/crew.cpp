// A job is the parts of one phase. Its gate is one word: a number that grows with each job, whether more threads may come
// in, and how many are inside. Who comes in takes parts until none is left: a few at a time, or, where they are quicker in
// runs, an even share of those that are left, so that all end at about the same time. The thread that runs the program closes
// the gate when it finds no more, and waits until it is alone: a thread that sleeps meanwhile is not waited for. A thread that
// dies inside is waited for without end; JavaScript hears of its death, and ends this one.
// A thread that finds no job for a while sleeps on the gate until the next one opens, or the run ends.
#include "crew.h"

#include <emscripten.h>

#include "address.h"
#include "executable.h"

namespace glimt {
namespace {

constexpr uint32_t kInside = 0xff, kOpen = 0x100, kNumber = 0x200;
// Looks at the gate before the thread that waits sleeps: longer than the last part of most phases. One that takes longer
// may be waiting for this processor.
constexpr uint32_t kLooks = 100'000;
// Nanoseconds of such a sleep, for a bell that rang before it began.
constexpr int64_t kNap = 1'000'000;
// Operations that are taken in one go, so that parts of little work do not wait for each other, and the share of an even
// cut that they may be at most.
constexpr double kHandful = 1e6;
constexpr uint32_t kShares = 8;

struct Job {
  const Phase* phase;
  const Call* call;
  uint8_t* own;
  uint64_t ownBytes;
  uint32_t last;
  // Parts of a take, or, where it is a share of those that are left, at most.
  uint32_t grain;
  bool inRuns;
};

Job job;
// On cache lines of their own.
alignas(128) uint32_t gate;
alignas(128) uint32_t next;
alignas(128) uint32_t stopped;
// Whether the thread that runs the program sleeps until it is alone.
uint32_t napping;
// Whether a program is run, and how many threads sleep until a gate opens.
uint32_t running;
uint32_t sleepers;

// Of so many parts that are left.
uint32_t takeOf(uint32_t left) {
  uint32_t share = job.inRuns ? left / job.call->workers : left;
  return least(share ? share : 1, job.grain);
}

void takeParts(uint32_t worker) {
  uint8_t* own = job.own + (size_t)(worker * job.ownBytes);
  while (!stopAsked()) {
    uint32_t first = __atomic_load_n(&next, __ATOMIC_RELAXED), last;
    do {
      if (first >= job.last) return;
      last = first + takeOf(job.last - first);
    } while (!__atomic_compare_exchange_n(&next, &first, last, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    job.phase->run(*job.call, first, last, own);
  }
}

bool othersInside() { return __atomic_load_n(&gate, __ATOMIC_ACQUIRE) & kInside; }

void waitForOthers() {
  for (uint32_t looks = 0; looks < kLooks; looks++) {
    if (!othersInside()) return;
  }
  __atomic_store_n(&napping, 1, __ATOMIC_SEQ_CST);
  for (;;) {
    uint32_t now = __atomic_load_n(&gate, __ATOMIC_SEQ_CST);
    if (!(now & kInside)) break;
    __builtin_wasm_memory_atomic_wait32((int*)&gate, (int)now, kNap);
  }
  __atomic_store_n(&napping, 0, __ATOMIC_RELAXED);
}

void leaveGate() {
  uint32_t before = __atomic_fetch_sub(&gate, 1, __ATOMIC_SEQ_CST);
  if ((before & kInside) == 1 && __atomic_load_n(&napping, __ATOMIC_SEQ_CST)) {
    __builtin_wasm_memory_atomic_notify((int*)&gate, 1);
  }
}

void wakeSleepers() {
  if (__atomic_load_n(&sleepers, __ATOMIC_SEQ_CST)) __builtin_wasm_memory_atomic_notify((int*)&gate, UINT32_MAX);
}

// Until a gate opens or the run ends, or for no reason. `now` is the gate as it was seen.
void sleepAtGate(uint32_t now) {
  __atomic_fetch_add(&sleepers, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&running, __ATOMIC_SEQ_CST)) __builtin_wasm_memory_atomic_wait32((int*)&gate, (int)now, -1);
  __atomic_fetch_sub(&sleepers, 1, __ATOMIC_SEQ_CST);
}

}  // namespace

void beginRun() { __atomic_store_n(&running, 1, __ATOMIC_SEQ_CST); }

void endRun() {
  __atomic_store_n(&running, 0, __ATOMIC_SEQ_CST);
  // Who is about to sleep sees that the gate is another.
  __atomic_fetch_add(&gate, kNumber, __ATOMIC_SEQ_CST);
  wakeSleepers();
}

bool stopAsked() { return __atomic_load_n(&stopped, __ATOMIC_RELAXED); }

uint32_t runTogether(const Phase& phase, const Call& call, const Work& work, uint32_t first, uint32_t last, uint8_t* own,
                     uint64_t ownBytes) {
  double handful = (work.inRuns ? kLargestPart : kHandful) / work.cost;
  uint32_t most = work.inRuns ? last - first : (last - first) / (call.workers * kShares);
  uint32_t grain = handful < most ? (uint32_t)handful : most;
  job = {&phase, &call, own, ownBytes, last, grain ? grain : 1, work.inRuns};
  __atomic_store_n(&next, first, __ATOMIC_RELAXED);
  uint32_t number = (__atomic_load_n(&gate, __ATOMIC_RELAXED) & ~(kNumber - 1)) + kNumber;
  __atomic_store_n(&gate, number | kOpen, __ATOMIC_SEQ_CST);
  wakeSleepers();
  takeParts(0);
  __atomic_fetch_and(&gate, ~kOpen, __ATOMIC_ACQ_REL);
  waitForOthers();
  uint32_t reached = __atomic_load_n(&next, __ATOMIC_RELAXED);
  return reached < last ? reached : last;
}

}  // namespace glimt

using namespace glimt;

extern "C" {

// Takes part in jobs as worker `worker` (1 and up): until none came for `patience` looks at the gate while no program ran.
EMSCRIPTEN_KEEPALIVE void glimt_serve(uint32_t worker, uint32_t patience) {
  // A job that began before has been closed, or is found again by a thread that knows it: then there is nothing to take.
  uint32_t served = 0;
  for (uint32_t looks = 0;; looks++) {
    uint32_t now = __atomic_load_n(&gate, __ATOMIC_ACQUIRE);
    if (!(now & kOpen) || (now & ~(kNumber - 1)) == served) {
      if (looks < patience) continue;
      if (!__atomic_load_n(&running, __ATOMIC_SEQ_CST)) return;
      sleepAtGate(now);
    } else if (__atomic_compare_exchange_n(&gate, &now, now + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
      served = now & ~(kNumber - 1);
      takeParts(worker);
      leaveGate();
    }
    looks = 0;
  }
}

// Runs a program with the threads that serve, as worker 0: up to the instruction `end`, or until it is asked to stop.
EMSCRIPTEN_KEEPALIVE Progress glimt_run_together(Address<Executable> executable, uint32_t end) {
  executable->together = true;
  beginRun();
  Progress progress = run(*executable, __builtin_inf(), end);
  endRun();
  executable->together = false;
  return progress;
}

// Asks the run on this memory to stop at the next part; 0: runs may go on.
EMSCRIPTEN_KEEPALIVE void glimt_stop(uint32_t yes) { __atomic_store_n(&stopped, yes, __ATOMIC_RELAXED); }

}
