// Context switch: a dozen instructions on x86-64, ucontext elsewhere (or when GLIMT_UCONTEXT is defined).
#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(__x86_64__) && !defined(GLIMT_UCONTEXT)
#define GLIMT_ASSEMBLY_SWITCH
#else
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)0)
#endif

namespace glimt::emu {

namespace {

constexpr size_t kStackBytes = Fiber::kStackBytes;

void* allocate_stack() {
  // The lowest page is a guard: a kernel that overflows its stack faults instead of corrupting a neighbour.
  void* base = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) throw std::bad_alloc();
  mprotect(base, 4096, PROT_NONE);
  return base;
}

// What a fiber was left in the middle of never returns: its frames' red zones would stay, for whoever comes next.
void forget_frames(void* stack) { ASAN_UNPOISON_MEMORY_REGION(stack, kStackBytes); }

void release_stack(void* stack) {
  if (!stack) return;
  forget_frames(stack);
  munmap(stack, kStackBytes);
}

}  // namespace

#if defined(GLIMT_ASSEMBLY_SWITCH)

// Saves the callee-saved registers and the stack pointer, then loads the other's.
extern "C" void glimt_fiber_switch(void** save, void* load);
asm(R"(
.text
.type glimt_fiber_switch,@function
.local glimt_fiber_switch
glimt_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size glimt_fiber_switch,.-glimt_fiber_switch
)");

Fiber::~Fiber() { release_stack(stack_); }

void Fiber::reset(void (*entry)()) {
  if (!stack_) stack_ = allocate_stack();
  forget_frames(stack_);
  auto top = reinterpret_cast<uintptr_t>(stack_) + kStackBytes;
  auto* sp = reinterpret_cast<void**>(top & ~uintptr_t{63});
  // As if `entry` had been called: after `ret` the stack pointer is 8 modulo 16.
  *--sp = nullptr;
  *--sp = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--sp = nullptr;
  context_ = sp;
}

void Fiber::switch_from(Fiber& from) { glimt_fiber_switch(&from.context_, context_); }

#else

Fiber::~Fiber() {
  release_stack(stack_);
  delete static_cast<ucontext_t*>(context_);
}

void Fiber::reset(void (*entry)()) {
  if (!stack_) stack_ = allocate_stack();
  forget_frames(stack_);
  if (!context_) context_ = new ucontext_t;
  auto* context = static_cast<ucontext_t*>(context_);
  getcontext(context);
  context->uc_stack.ss_sp = stack_;
  context->uc_stack.ss_size = kStackBytes;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
}

void Fiber::switch_from(Fiber& from) {
  if (!from.context_) from.context_ = new ucontext_t;
  swapcontext(static_cast<ucontext_t*>(from.context_), static_cast<ucontext_t*>(context_));
}

#endif

#if defined(__SANITIZE_ADDRESS__)

void Fiber::resume(Fiber& from) {
  if (stack_) {
    bottom_ = stack_;
    size_ = kStackBytes;
  }
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, bottom_, size_);
  switch_from(from);
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
}

void Fiber::entered(Fiber& from) { __sanitizer_finish_switch_fiber(nullptr, &from.bottom_, &from.size_); }

#else

void Fiber::resume(Fiber& from) { switch_from(from); }
void Fiber::entered(Fiber&) {}

#endif

}  // namespace glimt::emu
